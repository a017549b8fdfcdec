//! Reads one step: its id, name, settings and kind.

use llmspell_workflows_basic::{
    ProblemLocation, StepId,
    model::{Step, StepKind, Transition},
};
use serde_json::Map;

use super::{
    Fields, Reader,
    lists::{Siblings, StepNode},
};
use crate::{
    diagnose::At,
    dialect::{COMMON, Field, TRANSITION},
    limits,
    tree::{Data, Entry, Node, Span},
};

/// A step, with the information that its list needs.
pub(crate) struct ParsedStep {
    pub(crate) step: Step,
    pub(crate) at: At,
    /// Whether the step has `next_step`.
    pub(crate) has_next: bool,
    /// The value of `required`, for a branch of a parallel block.
    pub(crate) required: bool,
}

impl Reader<'_> {
    /// Reads `item`, a step below `parent` that may also have the fields in `extra`.
    pub(crate) fn step<'n, 's>(
        &mut self,
        item: StepNode<'n, 's>,
        parent: &str,
        around: At,
        extra: &'static [Field],
        siblings: &mut Siblings<'n, 's>,
    ) -> Option<ParsedStep> {
        self.step_as(None, item, parent, around, extra, siblings)
    }

    /// Like [`step`](Self::step), for a step whose path ends with `role` instead of its id.
    pub(crate) fn step_as<'n, 's>(
        &mut self,
        role: Option<&'static str>,
        item: StepNode<'n, 's>,
        parent: &str,
        around: At,
        extra: &'static [Field],
        siblings: &mut Siblings<'n, 's>,
    ) -> Option<ParsedStep> {
        if !matches!(item.node.data, Data::Map(_)) {
            let message = format!("expected a step, got {}", item.node.noun());
            self.error("wrong_type", around, item.node.span, message)
                .help("write a step as a mapping, such as `{id: fetch, tool: web_scraper}`");
            return None;
        }
        if self.nesting >= limits::STEP_NESTING {
            let message = format!("steps are nested deeper than {} levels", limits::STEP_NESTING);
            self.error("too_deep", around, item.node.span, message);
            return None;
        }
        self.nesting += 1;
        let read = self.nested_step(role, item, parent, extra, siblings);
        self.nesting -= 1;
        Some(read)
    }

    fn nested_step<'n, 's>(
        &mut self,
        role: Option<&'static str>,
        item: StepNode<'n, 's>,
        parent: &str,
        extra: &'static [Field],
        siblings: &mut Siblings<'n, 's>,
    ) -> ParsedStep {
        let (id, head) = self.id(&item, parent);
        let path = format!("{parent}/{}", role.unwrap_or(&id));
        let first = self.positions.first_of(&path).filter(|_| id != UNNAMED);
        let at = self.positions.enter(path, head);
        if let Some(first) = first {
            self.duplicate_id(&id, &item, first, at, head);
        }
        let mut read = ParsedStep { step: placeholder(id), at, has_next: false, required: false };
        let Some(kind) = self.kind_of(item.node, at) else { return read };
        let mut tables = vec![extra];
        tables.push(kind.fields());
        tables.push(COMMON);
        let what = format!("a `{}` step", kind.name());
        let Some(mut fields) = self.fields(item.node, &tables, kind.custom_fields(), what, at) else { return read };
        fields.head = head;
        self.keep_kind(item.node, &kind, &fields);
        self.mark_id(&item, &fields);
        let mut step = read.step;
        step.name = self.name(&fields, &step.id);
        step.condition = self.expression_as(&fields, kind.condition_field(), "condition");
        self.settings(&mut step, &fields, kind.name());
        read.has_next = fields.has("next_step");
        step.next = self.next(&fields, siblings);
        step.kind = self.build(&kind, &fields, siblings, &step.id).unwrap_or(step.kind);
        read.required = self.boolean(&fields, "required").unwrap_or_default();
        read.step = step;
        read
    }

    /// Returns the id of a step and the span of its name.
    fn id(&mut self, item: &StepNode<'_, '_>, parent: &str) -> (String, Span) {
        let written = item.node.get("id");
        let name = item.node.get("name");
        let head = item.node.entries().first().map_or(item.node.span, |entry| entry.key_span);
        let around = self.positions.known(parent);
        if let Some((key, span)) = item.key {
            if let Some(id) = written.filter(|id| id.as_text() != Some(key)) {
                let message = format!("the key of the step is `{key}`, but its `id` differs");
                self.error("conflicting_fields", around, id.span, message).help("remove `id`");
            }
            return (self.checked_id(key, around, span), span);
        }
        match (written, name) {
            (Some(node), _) => match node.as_text() {
                Some(text) => (self.checked_id(text, around, node.span), node.span),
                None => {
                    let message = format!("`id`: expected a string, got {}", node.noun());
                    self.error("wrong_type", around, node.span, message)
                        .help("use letters, digits, `_` and `-`, starting with a letter or `_`, such as `step_1`");
                    (UNNAMED.to_owned(), node.span)
                }
            },
            (None, Some(node)) if node.as_text().is_some_and(|name| !name.trim().is_empty()) => {
                (StepId::from_name(node.as_text().unwrap_or_default()).as_str().to_owned(), node.span)
            }
            _ => {
                self.error("missing_field", around, head, "missing field `id` in a step")
                    .help("add `id`: letters, digits, `_` and `-`, unique among its siblings");
                (UNNAMED.to_owned(), head)
            }
        }
    }

    /// Reports a duplicate id of a step; the id of the earlier step is at `first`.
    fn duplicate_id(&mut self, id: &str, item: &StepNode<'_, '_>, first: Span, at: At, head: Span) {
        let line = self.source.locate(first.start).line;
        let is_derived = item.key.is_none() && item.node.get("id").is_none();
        let message = match is_derived {
            true => format!("the id `{id}`, derived from the name, is already used by the step on line {line}"),
            false => format!("the id `{id}` is already used by the step on line {line}"),
        };
        let help = if is_derived { "give one of the two steps its own `id`" } else { "rename one of the two" };
        self.error("duplicate_id", at, head, message).help(help);
    }

    pub(crate) fn checked_id(&mut self, text: &str, around: At, span: Span) -> String {
        if StepId::new(text).is_err() {
            let message = format!("invalid step id `{text}`");
            let help = format!(
                "use letters, digits, `_` and `-`, starting with a letter or `_`, such as `{}`",
                StepId::from_name(text)
            );
            self.error("invalid_id", around, span, message).help(help);
        }
        text.to_owned()
    }

    fn mark_id(&mut self, item: &StepNode<'_, '_>, fields: &Fields<'_, '_>) {
        let span = item.key.map(|(_, span)| span).or_else(|| fields.get("id").map(|entry| entry.value.span));
        self.mark(fields.at, "id", span.unwrap_or(fields.head));
    }

    /// Returns the name, unless it is identical to the id derived from it.
    fn name(&mut self, fields: &Fields<'_, '_>, id: &str) -> Option<String> {
        let name = self.text(fields, "name")?;
        (fields.has("id") || name != id).then_some(name)
    }

    /// Reads the transitions of a step in a route.
    fn next(&mut self, fields: &Fields<'_, '_>, siblings: &Siblings<'_, '_>) -> Vec<Transition> {
        let Some(entry) = fields.get("next_step") else { return Vec::new() };
        self.mark(fields.at, "next", entry.value.span);
        match &entry.value.data {
            Data::List(items) => items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| self.transition(item, index, fields.at, siblings))
                .collect(),
            _ => match self.target(entry, fields.at, 0, siblings) {
                Some(Some(target)) => vec![Transition { condition: None, target: Some(target) }],
                _ => Vec::new(),
            },
        }
    }

    fn transition(&mut self, node: &Node<'_>, index: usize, at: At, siblings: &Siblings<'_, '_>) -> Option<Transition> {
        let fields = self.fields(node, &[TRANSITION], &[], "a transition", at)?;
        let condition = self.expression_as(&fields, "condition", format!("next/{index}/condition"));
        let target = self.target(fields.get("target")?, at, index, siblings)?;
        Some(Transition { condition, target })
    }

    /// Reads the target of a transition; `Some(None)` is the end of the route.
    fn target(
        &mut self,
        entry: &Entry<'_>,
        at: At,
        index: usize,
        siblings: &Siblings<'_, '_>,
    ) -> Option<Option<String>> {
        match &entry.value.data {
            Data::Null => Some(None),
            Data::Text(text) if text == END && !siblings.has(END) => Some(None),
            Data::Text(text) => {
                self.mark_text(at, format!("next/{index}/target"), entry.value.span, text);
                Some(Some(text.as_ref().to_owned()))
            }
            _ => {
                self.wrong_type(at, &entry.key, &entry.value, "a step id or `end`");
                None
            }
        }
    }

    /// Returns the span of `field` in the step at `at`.
    pub(crate) fn field_span(&self, at: At, field: &str) -> Span {
        self.positions.find(&ProblemLocation::new(self.positions.path(at), field), self.source)
    }
}

/// The target that ends a route, unless one of its steps has this id.
const END: &str = "end";

/// The placeholder for a missing step id; the definition is rejected anyway.
const UNNAMED: &str = "_";

/// Creates a step whose kind could not be read; the definition is rejected anyway.
fn placeholder(id: String) -> Step {
    Step::new(id, StepKind::Set(Map::new()))
}
