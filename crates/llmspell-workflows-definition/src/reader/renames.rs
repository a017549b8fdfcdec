//! Records the edits that give a file's fields and step types their canonical names.

use super::{Fields, Reader, kinds::StepType};
use crate::{
    dialect::{Field, Shape},
    format::Edit,
    tree::{Data, Entry, Node, Span},
};

impl Reader<'_> {
    /// Records the canonical name of a field that is written under a different name.
    pub(super) fn rename(&mut self, field: &Field, entry: &Entry<'_>) {
        let written = entry.key.as_ref();
        let is_time = matches!(field.shape, Shape::Delay | Shape::Duration);
        if let Some(name) = written.strip_suffix("_ms").filter(|_| is_time && written != field.name) {
            let milliseconds = match &entry.value.data {
                Data::Number(number) => number.as_u64(),
                _ => None,
            };
            match milliseconds {
                Some(count) => {
                    self.replace(entry.key_span, field.name);
                    let is_quoted = self.quote(entry.key_span).is_some();
                    let duration = if is_quoted { format!("\"{count}ms\"") } else { format!("{count}ms") };
                    self.renames.push(Edit { span: entry.value.span, text: duration });
                }
                // An expression is in milliseconds only if the name of the field ends in `_ms`.
                None if name != field.name => self.replace(entry.key_span, &format!("{}_ms", field.name)),
                None => {}
            }
        } else if written != field.name {
            self.replace(entry.key_span, field.name);
        }
    }

    /// Records the canonical name of the step type at `span`.
    pub(super) fn rename_kind(&mut self, written: &str, name: &str, span: Span) {
        if written != name {
            self.replace(span, name);
        }
    }

    /// Records `type` for a step whose type is inferred from a renamed field.
    pub(super) fn keep_kind(&mut self, node: &Node<'_>, step_type: &StepType, fields: &Fields<'_, '_>) {
        let StepType::Known(known) = step_type else { return };
        let is_marker = |name: &str| known.markers.contains(&name);
        if node.get("type").is_some() || fields.known().iter().any(|(name, _)| is_marker(name)) {
            return;
        }
        let Some((name, entry)) = fields.known().iter().find(|(_, entry)| is_marker(&entry.key)) else { return };
        if let Some(index) = self.renames.iter().rposition(|edit| edit.span == entry.key_span) {
            self.renames.remove(index);
        }
        let quote = self.quote(entry.key_span).map(String::from).unwrap_or_default();
        let text = format!("{}{quote}{name}{quote}", self.type_before(entry.key_span, known.name, node));
        self.renames.push(Edit { span: entry.key_span, text });
    }

    /// Returns the `type` field as text to insert before the key at `span`.
    fn type_before(&self, span: Span, name: &str, node: &Node<'_>) -> String {
        if node.span.slice(self.source.text()).starts_with('{') {
            return match self.quote(span) {
                Some(quote) => format!("{quote}type{quote}: {quote}{name}{quote}, "),
                None => format!("type: {name}, "),
            };
        }
        let column = self.source.locate(span.start).column;
        format!("type: {name}\n{}", " ".repeat(column - 1))
    }

    /// Records that `text` replaces the name at `span`, and keeps any quotes around the name.
    fn replace(&mut self, span: Span, text: &str) {
        let text = match self.quote(span) {
            Some(quote) => format!("{quote}{text}{quote}"),
            None => text.to_owned(),
        };
        self.renames.push(Edit { span, text });
    }

    fn quote(&self, span: Span) -> Option<char> {
        span.slice(self.source.text()).chars().next().filter(|first| matches!(first, '"' | '\''))
    }
}
