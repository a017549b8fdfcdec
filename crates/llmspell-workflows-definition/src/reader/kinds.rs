//! Finds the type of a step and calls its reader.

use llmspell_workflows_basic::model::StepKind;

use super::{Fields, Reader, lists::RouteSettings, lists::Siblings};
use crate::{
    CustomType,
    diagnose::At,
    dialect::Field,
    kinds::{KINDS, Kind, kind},
    tree::{Entry, Node},
};

/// The type of a step.
#[derive(Clone)]
pub(crate) enum StepType {
    Known(&'static Kind),
    Custom(String, CustomType),
}

impl StepType {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Known(kind) => kind.name,
            Self::Custom(name, _) => name,
        }
    }

    pub(crate) fn fields(&self) -> &'static [Field] {
        match self {
            Self::Known(kind) => kind.fields,
            Self::Custom(..) => CustomType::TABLE,
        }
    }

    pub(crate) fn custom_fields(&self) -> &[String] {
        match self {
            Self::Known(_) => &[],
            Self::Custom(_, custom) => custom.names(),
        }
    }

    /// Returns the name of the field that decides whether the step runs.
    pub(crate) fn condition_field(&self) -> &'static str {
        match self {
            Self::Known(kind) => kind.condition_field(),
            Self::Custom(..) => "condition",
        }
    }
}

impl Reader<'_> {
    /// Returns the type of a step, either from `type` or inferred from its fields.
    pub(crate) fn kind_of(&mut self, node: &Node<'_>, at: At) -> Option<StepType> {
        let Some(written) = node.get("type") else { return self.inferred_kind(node, at) };
        self.mark(at, "type", written.span);
        let Some(name) = written.as_text() else {
            self.wrong_type(at, "type", written, "a string");
            return None;
        };
        if let Some(custom) = self.types.get(name) {
            return Some(StepType::Custom(name.to_owned(), custom.clone()));
        }
        let Some(kind) = kind(name) else {
            let mut names: Vec<&str> = known_names().collect();
            names.extend(self.types.names());
            let help = self.suggest(name, names.iter().copied()).unwrap_or_else(|| {
                names.retain(|name| dialect_name(name).is_none_or(|canonical| canonical == *name));
                format!("use one of `{}`", names.join("`, `"))
            });
            self.error("unknown_step_type", at, written.span, format!("`{name}` is not a step type")).help(help);
            return None;
        };
        if kind.read.is_none() {
            self.unsupported(at, written.span, name, kind.doc);
            return None;
        }
        self.rename_kind(name, kind.name, written.span);
        Some(StepType::Known(kind))
    }

    fn inferred_kind(&mut self, node: &Node<'_>, at: At) -> Option<StepType> {
        let candidates: Vec<_> = KINDS
            .iter()
            .filter(|kind| !kind.is_fallback)
            .filter(|kind| kind.markers.iter().any(|marker| node.get(marker).is_some()))
            .collect();
        let head = node.entries().first().map_or(node.span, |entry| entry.key_span);
        match candidates.as_slice() {
            [kind] if kind.read.is_none() => {
                self.unsupported(at, head, kind.name, kind.doc);
                None
            }
            [kind] => Some(StepType::Known(kind)),
            [] if let Some(kind) = fallback_kind(node) => Some(StepType::Known(kind)),
            [] if let Some((entry, kind, field)) = foreign_marker(node) => {
                let message = format!("`{}` is not a field of a step", entry.key);
                self.error("unknown_field", at, entry.key_span, message)
                    .help(format!("did you mean `{field}`, which makes this a `{}` step?", kind.name));
                None
            }
            [] => {
                let help = "add `type`, or a field that implies it, such as `tool`, `agent`, `persona` or `function`";
                self.error("missing_field", at, head, "missing field `type` in a step").help(help);
                None
            }
            several => {
                let names: Vec<_> = several.iter().map(|kind| format!("`{}`", kind.name)).collect();
                let message = format!("missing field `type` in a step whose fields match {}", names.join(" and "));
                self.error("missing_field", at, head, message).help("add `type`");
                None
            }
        }
    }

    /// Reads the kind of the step; returns `None` after an error.
    pub(crate) fn build<'n, 's>(
        &mut self,
        kind: &StepType,
        fields: &Fields<'n, 's>,
        siblings: &mut Siblings<'n, 's>,
        id: &str,
    ) -> Option<StepKind> {
        match kind {
            StepType::Custom(name, custom) => self.custom(name, custom, fields),
            StepType::Known(kind) => (kind.read?)(self, kind, fields, siblings, id),
        }
    }

    pub(crate) fn block_body(&mut self, fields: &Fields<'_, '_>, settings: RouteSettings) -> Option<StepKind> {
        let steps = fields.get("steps")?;
        self.mark(fields.at, "steps", steps.value.span);
        Some(self.body(&steps.key, &steps.value, fields.at, settings))
    }

    /// Records the span of the field `name` under `word`, its name in the model.
    pub(crate) fn mark_as(&mut self, fields: &Fields<'_, '_>, name: &str, word: &'static str) {
        if let Some(entry) = fields.get(name) {
            match entry.value.as_text() {
                Some(text) => self.mark_text(fields.at, word, entry.value.span, text),
                None => self.mark(fields.at, word, entry.value.span),
            }
        }
    }
}

/// Returns the canonical name of a step type of the dialect.
fn dialect_name(name: &str) -> Option<&'static str> {
    kind(name).map(|kind| kind.name)
}

/// Returns the names and aliases of the step types that this version supports.
fn known_names() -> impl Iterator<Item = &'static str> + Clone {
    KINDS
        .iter()
        .filter(|kind| kind.read.is_some())
        .flat_map(|kind| std::iter::once(kind.name).chain(kind.aliases.iter().copied()))
}

/// Finds another program's name for a field that would imply the type of the step.
fn foreign_marker<'n, 's>(node: &'n Node<'s>) -> Option<(&'n Entry<'s>, &'static Kind, &'static str)> {
    let supported = KINDS.iter().filter(|kind| kind.read.is_some());
    let markers = supported.flat_map(|kind| kind.fields.iter().map(move |field| (kind, field)));
    let mut markers = markers.filter(|(kind, field)| kind.markers.contains(&field.name));
    markers.find_map(|(kind, field)| {
        let entry = node.entries().iter().find(|entry| field.foreign.contains(&entry.key.as_ref()))?;
        Some((entry, kind, field.name))
    })
}

/// Infers the type of a step whose fields are not markers of any other type.
fn fallback_kind(node: &Node<'_>) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.is_fallback && kind.markers.iter().any(|marker| node.get(marker).is_some()))
}
