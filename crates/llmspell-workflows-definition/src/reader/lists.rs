//! Reads lists of steps: sequences, graphs and routes, and steps that move into a block in the same list.

use std::{collections::HashMap, sync::Arc};

use llmspell_workflows_basic::model::{Route, Step, StepKind, Steps, Transition};

use super::{Reader, values::STEP_LIST};
use crate::{
    diagnose::At,
    dialect::COMMON,
    tree::{Data, Entry, Node, Span},
};

/// An entry of a list of steps, or of a mapping of ids to steps.
#[derive(Clone, Copy)]
pub(crate) struct StepNode<'n, 's> {
    pub(crate) key: Option<(&'n str, Span)>,
    pub(crate) node: &'n Node<'s>,
}

/// The steps of one list, some of which move into blocks in the same list.
pub(crate) struct Siblings<'n, 's> {
    items: Vec<StepNode<'n, 's>>,
    by_id: HashMap<&'n str, usize>,
    /// The id of the block that each item moves into, and whether the item has already moved.
    owners: Vec<Option<(&'n str, bool)>>,
    by_key: bool,
}

/// The settings of a route, if the document has any.
#[derive(Default)]
pub(crate) struct RouteSettings {
    pub(crate) start: Option<String>,
    pub(crate) transitions_max: Option<u32>,
    /// Whether the list is a route even if no step has a next step.
    pub(crate) is_route: bool,
}

impl<'n, 's> Siblings<'n, 's> {
    pub(crate) fn new(items: Vec<StepNode<'n, 's>>) -> Self {
        let id = |item: &StepNode<'n, 's>| match item.key {
            Some((key, _)) => Some(key),
            None => item.node.get("id").or_else(|| item.node.get("name")).and_then(Node::as_text),
        };
        let by_id: HashMap<_, _> =
            items.iter().enumerate().rev().filter_map(|(index, item)| Some((id(item)?, index))).collect();
        let mut owners = vec![None; items.len()];
        for item in &items {
            let block = id(item).unwrap_or_default();
            for index in block_ids(item.node).into_iter().filter_map(|id| by_id.get(id)) {
                owners[*index].get_or_insert((block, false));
            }
        }
        let by_key = items.iter().any(|item| item.key.is_some());
        Self { items, by_id, owners, by_key }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &'n str> + Clone {
        self.by_id.keys().copied()
    }

    /// Moves the step `id` into `block`.
    ///
    /// If the step has already moved, returns the id of its block as an error; returns `None` for an unknown step.
    pub(crate) fn take(&mut self, id: &str, block: &str) -> Option<Result<StepNode<'n, 's>, &'n str>> {
        let index = *self.by_id.get(id)?;
        let (owner, has_moved) = self.owners[index].as_mut()?;
        if *has_moved || *owner != block {
            return Some(Err(owner));
        }
        *has_moved = true;
        Some(Ok(self.items[index]))
    }

    /// Returns whether any step has a next step, which makes the list a route.
    fn any_has_next(&self) -> bool {
        self.items.iter().any(|item| {
            item.node.entries().iter().any(|entry| match entry.key.as_ref() {
                "next_step" | "next" => true,
                "branches" => match &entry.value.data {
                    Data::List(items) => !items.is_empty() && items.iter().all(is_transition),
                    _ => false,
                },
                _ => false,
            })
        })
    }
}

/// Returns whether an entry of `branches` is a transition rather than a step.
fn is_transition(node: &Node<'_>) -> bool {
    ["next_step", "target", "next"].iter().any(|key| node.get(key).is_some()) && node.get("id").is_none()
}

/// Returns the ids of the steps that move into the block `node`.
fn block_ids<'n>(node: &'n Node<'_>) -> Vec<&'n str> {
    let mut blocks: Vec<_> =
        ["then_steps", "then", "else_steps", "else"].iter().filter_map(|key| node.get(key)).collect();
    if let Some(Data::List(cases)) = node.get("cases").map(|cases| &cases.data) {
        blocks.extend(node.get("default"));
        blocks.extend(cases.iter().filter_map(|case| case.get("steps")));
    }
    let texts = |block: &'n Node<'_>| match &block.data {
        Data::List(items) => items.iter().filter_map(Node::as_text).collect(),
        _ => block.as_text().into_iter().collect::<Vec<_>>(),
    };
    blocks.into_iter().flat_map(texts).collect()
}

impl Reader<'_> {
    /// Reads the steps of `node`, whose paths begin with `parent`; a route becomes a list of one step.
    pub(crate) fn steps(&mut self, field: &str, node: &Node<'_>, parent: &str, at: At) -> Steps {
        let Some(siblings) = self.siblings(field, node, at) else { return Steps::new() };
        if !siblings.any_has_next() {
            return self.sequence(siblings, parent, at);
        }
        let path = format!("{parent}/route");
        let at = self.positions.enter(path.clone(), node.span);
        vec![Arc::new(Step::new("route", self.route(siblings, &path, at, RouteSettings::default())))]
    }

    /// Reads the steps of `node` and returns them as a sequence or a route.
    pub(crate) fn body(&mut self, field: &str, node: &Node<'_>, at: At, settings: RouteSettings) -> StepKind {
        let parent = self.positions.path(at).to_owned();
        let is_route = settings.is_route || settings.start.is_some() || settings.transitions_max.is_some();
        match self.siblings(field, node, at) {
            Some(siblings) if is_route || siblings.any_has_next() => self.route(siblings, &parent, at, settings),
            Some(siblings) => StepKind::Sequence(self.sequence(siblings, &parent, at)),
            None => StepKind::Sequence(Steps::new()),
        }
    }

    fn siblings<'n, 's>(&mut self, field: &str, node: &'n Node<'s>, at: At) -> Option<Siblings<'n, 's>> {
        let items = match &node.data {
            Data::List(items) => items.iter().map(|node| StepNode { key: None, node }).collect(),
            Data::Map(entries) if self.is_without_dashes(entries, at) => return None,
            Data::Map(entries) => entries
                .iter()
                .map(|entry| StepNode { key: Some((entry.key.as_ref(), entry.key_span)), node: &entry.value })
                .collect(),
            Data::Null => {
                self.error("wrong_type", at, node.span, format!("`{field}` has no value"))
                    .help("write the steps below it, indented, each beginning with a dash and a space");
                return None;
            }
            _ => {
                self.wrong_type(at, field, node, STEP_LIST);
                return None;
            }
        };
        Some(Siblings::new(items))
    }

    /// Reports a mapping that is probably a list of steps whose dashes, or the spaces after them, are missing.
    fn is_without_dashes(&mut self, entries: &[Entry<'_>], at: At) -> bool {
        let Some(first) = entries.first() else { return false };
        let is_field = |entry: &Entry<'_>| COMMON.iter().any(|field| field.is_named(&entry.key));
        if let Some(name) = first.key.strip_prefix('-').filter(|name| !name.is_empty()) {
            self.error("syntax", at, first.key_span, format!("missing space after the dash of `-{name}`"))
                .help(format!("write `- {name}`, and indent the other fields of the step like `{name}`"));
            return true;
        }
        let is_step = is_field(first) && entries.iter().all(|entry| !matches!(entry.value.data, Data::Map(_)));
        if is_step {
            let message = "each step of a list must begin with a dash and a space";
            let rest = &self.source.text()[first.key_span.start as usize..];
            let line = rest.lines().next().unwrap_or_default().trim_end();
            let help = format!("write `- {line}`, and indent the other fields of the step like `{}`", first.key);
            self.error("wrong_type", at, first.key_span, message).help(help);
        }
        is_step
    }

    fn sequence(&mut self, siblings: Siblings<'_, '_>, parent: &str, at: At) -> Steps {
        self.read_steps(siblings, parent, at, false).into_iter().map(|(step, _)| Arc::new(step)).collect()
    }

    fn route(&mut self, siblings: Siblings<'_, '_>, parent: &str, at: At, settings: RouteSettings) -> StepKind {
        let by_key = siblings.by_key;
        let mut steps = self.read_steps(siblings, parent, at, true);
        let following: Vec<_> = steps.iter().skip(1).map(|(step, _)| step.id.clone()).collect();
        for ((step, has_next), next) in steps.iter_mut().zip(following) {
            if !*has_next && !by_key {
                step.next = vec![Transition { condition: None, target: Some(next) }];
            }
        }
        let start = settings.start.or_else(|| steps.first().map(|(step, _)| step.id.clone())).unwrap_or_default();
        let steps = steps.into_iter().map(|(step, _)| Arc::new(step)).collect();
        StepKind::Route(Route { start, steps, transitions_max: settings.transitions_max })
    }

    /// Reads the steps that no block claims; returns each step and whether it sets `next_step`.
    fn read_steps(
        &mut self,
        mut siblings: Siblings<'_, '_>,
        parent: &str,
        at: At,
        in_route: bool,
    ) -> Vec<(Step, bool)> {
        let free: Vec<_> =
            siblings.items.iter().zip(&siblings.owners).filter(|(_, t)| t.is_none()).map(|(i, _)| *i).collect();
        let mut steps = Vec::with_capacity(free.len());
        for item in free {
            if let Some(read) = self.step(item, parent, at, &[], &mut siblings) {
                self.check_dependencies(&read.step, read.at, &siblings);
                if read.has_next && !in_route {
                    self.reject_next(read.at, item.node);
                }
                steps.push((read.step, read.has_next));
            }
        }
        for (item, block) in siblings.items.iter().zip(&siblings.owners) {
            if let Some((block, false)) = block {
                let span =
                    item.key.map_or_else(|| item.node.get("id").map_or(item.node.span, |id| id.span), |(_, s)| s);
                self.error("circular_block", at, span, format!("this step runs inside `{block}`, which can never run"))
                    .help("a block cannot contain itself, directly or indirectly");
            }
        }
        steps
    }

    fn reject_next(&mut self, at: At, node: &Node<'_>) {
        self.error("conflicting_fields", at, node.span, "`next_step` is allowed only in a route");
    }

    fn check_dependencies(&mut self, step: &Step, at: At, siblings: &Siblings<'_, '_>) {
        for (index, id) in step.dependencies.iter().enumerate() {
            let Some((block, _)) = siblings.by_id.get(id.as_str()).and_then(|index| siblings.owners[*index]) else {
                continue;
            };
            let span = self.field_span(at, &format!("dependencies/{index}"));
            self.error(
                "moved_step",
                at,
                span,
                format!("`{id}` runs inside `{block}`, so steps outside of `{block}` cannot depend on it"),
            )
            .help(format!("depend on `{block}` instead"));
        }
    }
}
