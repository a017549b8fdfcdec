//! Which type a step is, and what reads it.

use llmspell_workflows_basic::model::StepKind;

use super::{Fields, Reader, lists::RouteSettings, lists::Scope};
use crate::{
    CustomType,
    diagnose::At,
    dialect::Field,
    kinds::{KINDS, Kind, kind},
    tree::Node,
};

/// The type of a step.
#[derive(Clone)]
pub(crate) enum Type {
    Known(&'static Kind),
    Custom(String, CustomType),
}

impl Type {
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

    /// The field under which any step's condition is written.
    pub(crate) fn condition_field(&self) -> &'static str {
        match self {
            Self::Known(kind) => kind.condition_field(),
            Self::Custom(..) => "condition",
        }
    }
}

impl Reader<'_> {
    /// The type that a step says or that its fields tell.
    pub(crate) fn kind_of(&mut self, node: &Node<'_>, at: At) -> Option<Type> {
        let Some(written) = node.get("type") else { return self.told_kind(node, at) };
        self.mark(at, "type", written.span);
        let Some(name) = written.as_text() else {
            self.wrong_type(at, "type", written, "a text");
            return None;
        };
        if let Some(custom) = self.types.get(name) {
            return Some(Type::Custom(name.to_owned(), custom.clone()));
        }
        let Some(kind) = kind(name) else {
            let mut names: Vec<&str> = known_names().collect();
            names.extend(self.types.names());
            let help = self.suggest(name, names.iter().copied()).unwrap_or_else(|| {
                names.retain(|name| dialect_name(name).is_none_or(|canonical| canonical == *name));
                format!("a step is one of `{}`", names.join("`, `"))
            });
            self.error("unknown_step_type", at, written.span, format!("`{name}` is not a step type")).help(help);
            return None;
        };
        if kind.read.is_none() {
            self.unsupported(at, written.span, name, kind.doc);
            return None;
        }
        Some(Type::Known(kind))
    }

    fn told_kind(&mut self, node: &Node<'_>, at: At) -> Option<Type> {
        let told: Vec<_> = KINDS
            .iter()
            .filter(|kind| !kind.yields)
            .filter(|kind| kind.markers.iter().any(|marker| node.get(marker).is_some()))
            .collect();
        let head = node.entries().first().map_or(node.span, |entry| entry.key_span);
        match told.as_slice() {
            [kind] if kind.read.is_none() => {
                self.unsupported(at, head, kind.name, kind.doc);
                None
            }
            [kind] => Some(Type::Known(kind)),
            [] if let Some(kind) = yielding(node) => Some(Type::Known(kind)),
            [] => {
                let help =
                    "add `type`, such as `type: tool`; `tool`, `persona`, `agent`, `function` and others tell it too";
                self.error("missing_field", at, head, "the step lacks `type`").help(help);
                None
            }
            several => {
                let names: Vec<_> = several.iter().map(|kind| format!("`{}`", kind.name)).collect();
                let message = format!("the step lacks `type`, and its fields are those of {}", names.join(" and "));
                self.error("missing_field", at, head, message).help("add `type`");
                None
            }
        }
    }

    /// What the step does; `None` where that could not be read.
    pub(crate) fn build<'n, 's>(
        &mut self,
        kind: &Type,
        fields: &Fields<'n, 's>,
        scope: &mut Scope<'n, 's>,
        id: &str,
    ) -> Option<StepKind> {
        match kind {
            Type::Custom(name, custom) => self.custom(name, custom, fields),
            Type::Known(kind) => (kind.read?)(self, kind, fields, scope, id),
        }
    }

    pub(crate) fn block_body(&mut self, fields: &Fields<'_, '_>, settings: RouteSettings) -> Option<StepKind> {
        let steps = fields.get("steps")?;
        self.mark(fields.at, "steps", steps.value.span);
        Some(self.body(&steps.value, fields.at, settings))
    }

    /// Remembers the field `name` under the word that the model has for it.
    pub(crate) fn mark_as(&mut self, fields: &Fields<'_, '_>, name: &str, word: &'static str) {
        if let Some(entry) = fields.get(name) {
            match entry.value.as_text() {
                Some(text) => self.mark_text(fields.at, word, entry.value.span, text),
                None => self.mark(fields.at, word, entry.value.span),
            }
        }
    }
}

/// The canonical name of a step type of the dialect.
fn dialect_name(name: &str) -> Option<&'static str> {
    kind(name).map(|kind| kind.name)
}

/// The step types that there are in this version.
fn known_names() -> impl Iterator<Item = &'static str> + Clone {
    KINDS
        .iter()
        .filter(|kind| kind.read.is_some())
        .flat_map(|kind| std::iter::once(kind.name).chain(kind.aliases.iter().copied()))
}

/// The type whose markers count only because no other type's do.
fn yielding(node: &Node<'_>) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.yields && kind.markers.iter().any(|marker| node.get(marker).is_some()))
}
