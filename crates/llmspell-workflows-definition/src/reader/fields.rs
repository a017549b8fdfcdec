//! Matches the entries of a mapping against the tables of the dialect.

use std::borrow::Cow;

use llmspell_workflows_basic::nearest;

use super::Reader;
use crate::{
    diagnose::At,
    dialect::{Field, Shape},
    kinds::KINDS,
    limits,
    tree::{Data, Entry, Node, Span},
};

/// The known fields of a mapping, under their canonical names.
pub(crate) struct Fields<'n, 's> {
    known: Vec<(&'static str, &'n Entry<'s>)>,
    /// The known fields that the author probably meant by unknown ones.
    meant: Vec<&'static str>,
    /// The fields of a custom step type.
    pub(crate) custom: Vec<&'n Entry<'s>>,
    /// The description of the mapping in messages, such as "a `tool` step".
    pub(crate) what: Cow<'static, str>,
    /// The span for messages about the whole mapping.
    pub(crate) head: Span,
    pub(crate) at: At,
}

impl<'n, 's> Fields<'n, 's> {
    pub(crate) fn get(&self, name: &str) -> Option<&'n Entry<'s>> {
        self.known.iter().find(|(known, _)| *known == name).map(|(_, entry)| *entry)
    }

    /// Returns the known fields, each with its canonical name.
    pub(crate) fn known(&self) -> &[(&'static str, &'n Entry<'s>)] {
        &self.known
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns whether a reported unknown field was probably intended as the field `name`.
    pub(crate) fn is_meant(&self, name: &str) -> bool {
        self.meant.contains(&name)
    }
}

impl Reader<'_> {
    /// Matches the entries of `node` against the fields in `tables`; earlier tables take precedence.
    ///
    /// Returns `None` if `node` is not a mapping. Reports unknown, duplicate, missing and unsupported fields.
    pub(crate) fn fields<'n, 's>(
        &mut self,
        node: &'n Node<'s>,
        tables: &[&'static [Field]],
        custom: &[String],
        what: impl Into<Cow<'static, str>>,
        at: At,
    ) -> Option<Fields<'n, 's>> {
        let what = what.into();
        let Data::Map(entries) = &node.data else {
            self.error("wrong_type", at, node.span, format!("{what}: expected a mapping, got {}", node.noun()))
                .help("write the fields as `name: value`");
            return None;
        };
        let id = entries.iter().find(|entry| entry.key == "id").map(|entry| entry.value.span);
        let head = id.or_else(|| entries.first().map(|entry| entry.key_span)).unwrap_or(node.span);
        let mut fields =
            Fields { known: Vec::with_capacity(entries.len()), meant: Vec::new(), custom: Vec::new(), what, head, at };
        for entry in entries {
            if custom.iter().any(|name| *name == entry.key) {
                fields.custom.push(entry);
                continue;
            }
            match tables.iter().flat_map(|table| table.iter()).find(|field| field.is_named(&entry.key)) {
                None => self.unknown(entry, tables, custom, &mut fields),
                Some(field) if field.shape == Shape::Missing => {
                    self.unsupported(at, entry.key_span, &entry.key, field.doc)
                }
                Some(field) => self.add(field, entry, &mut fields),
            }
        }
        for field in tables.iter().flat_map(|table| table.iter()).filter(|field| field.required) {
            if !fields.has(field.name) && !fields.is_meant(field.name) {
                let message = format!("missing field `{}` in {}", field.name, fields.what);
                let help = format!("add `{}`: {}", field.name, fragment(field.doc));
                self.error("missing_field", at, fields.head, message).help(help);
            }
        }
        Some(fields)
    }

    fn add<'n, 's>(&mut self, field: &Field, entry: &'n Entry<'s>, fields: &mut Fields<'n, 's>) {
        match fields.get(field.name) {
            Some(first) => {
                let message = format!("`{}` and `{}` are the same field", first.key, entry.key);
                self.error("duplicate_field", fields.at, entry.key_span, message)
                    .help(format!("keep one of the two; the canonical name is `{}`", field.name));
            }
            None => {
                self.rename(field, entry);
                fields.known.push((field.name, entry));
            }
        }
    }

    /// Reports a feature that this version lacks, with `advice` on what to do instead.
    pub(crate) fn unsupported(&mut self, at: At, span: Span, written: &str, advice: &str) {
        self.error("unsupported", at, span, format!("`{written}` is not supported in this version")).help(advice);
    }

    fn unknown(
        &mut self,
        entry: &Entry<'_>,
        tables: &[&'static [Field]],
        custom: &[String],
        fields: &mut Fields<'_, '_>,
    ) {
        let mut help = None;
        if !self.findings.is_crowded() {
            let meant = meant(&entry.key, tables, custom, fields);
            help = match &meant {
                Some(name) => Some(format!("did you mean `{name}`?")),
                None => owners(&entry.key, &fields.what),
            };
            let field = |name: &str| tables.iter().flat_map(|table| table.iter()).find(|field| field.is_named(name));
            fields.meant.extend(meant.and_then(|name| field(&name)).map(|field| field.name));
        }
        let message = format!("`{}` is not a field of {}", entry.key, fields.what);
        let finding = self.error("unknown_field", fields.at, entry.key_span, message);
        finding.help = help;
    }
}

/// Returns the field that `written` probably stands for, either a field that has this name in other
/// programs or a field with a similar name.
fn meant(written: &str, tables: &[&'static [Field]], custom: &[String], fields: &Fields<'_, '_>) -> Option<String> {
    let is_free = |field: &&&Field| field.shape != Shape::Missing && !fields.has(field.name);
    let known = || tables.iter().flat_map(|table| table.iter()).filter(|field| is_free(&field));
    if let Some(field) = known().find(|field| field.foreign.contains(&written)) {
        return Some(field.name.to_owned());
    }
    let names: Vec<_> = known().flat_map(Field::names).collect();
    let names = names.iter().map(Cow::as_ref).chain(custom.iter().map(String::as_str));
    nearest(written, names.take(limits::SUGGESTIONS)).map(str::to_owned)
}

/// Names the step types that have a field `written`.
fn owners(written: &str, what: &str) -> Option<String> {
    let is_root = what == "a definition";
    if !what.contains("step") && !is_root {
        return None;
    }
    let kinds: Vec<_> = KINDS
        .iter()
        .filter(|kind| kind.fields.iter().any(|field| field.is_named(written)))
        .map(|kind| format!("`{}`", kind.name))
        .collect();
    let indented = if is_root { "; indent it like the other fields of the step" } else { "" };
    (!kinds.is_empty()).then(|| format!("`{written}` is a field of {} steps{indented}", kinds.join(", ")))
}

/// Converts a sentence to a fragment: removes the final period, and lower-cases the first
/// letter unless it starts an acronym.
fn fragment(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) if !characters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => sentence.to_owned(),
    }
}
