//! Lists of steps: sequences, graphs and routes, and steps that a block of the same list takes in.

use std::{collections::HashMap, sync::Arc};

use llmspell_workflows_basic::model::{Route, Step, StepKind, Steps, Transition};

use super::Reader;
use crate::{
    diagnose::At,
    tree::{Data, Node, Span},
};

/// An entry of a list of steps, or of a mapping of ids to steps.
#[derive(Clone, Copy)]
pub(crate) struct Item<'n, 's> {
    pub(crate) key: Option<(&'n str, Span)>,
    pub(crate) node: &'n Node<'s>,
}

/// What the steps of one list know of each other while they are read.
pub(crate) struct Scope<'n, 's> {
    items: Vec<Item<'n, 's>>,
    by_id: HashMap<&'n str, usize>,
    /// For each item the id of the block that takes it in, and whether it did so.
    taken: Vec<Option<(&'n str, bool)>>,
    by_key: bool,
}

/// How a route is bounded, where a document says so.
#[derive(Default)]
pub(crate) struct RouteSettings {
    pub(crate) start: Option<String>,
    pub(crate) transitions_max: Option<u32>,
    /// It is one even if no step names the next.
    pub(crate) is_route: bool,
}

impl<'n, 's> Scope<'n, 's> {
    pub(crate) fn new(items: Vec<Item<'n, 's>>) -> Self {
        let id = |item: &Item<'n, 's>| match item.key {
            Some((key, _)) => Some(key),
            None => item.node.get("id").or_else(|| item.node.get("name")).and_then(Node::as_text),
        };
        let by_id: HashMap<_, _> =
            items.iter().enumerate().rev().filter_map(|(index, item)| Some((id(item)?, index))).collect();
        let mut taken = vec![None; items.len()];
        for item in &items {
            let block = id(item).unwrap_or_default();
            for index in block_ids(item.node).into_iter().filter_map(|id| by_id.get(id)) {
                taken[*index].get_or_insert((block, false));
            }
        }
        let by_key = items.iter().any(|item| item.key.is_some());
        Self { items, by_id, taken, by_key }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &'n str> + Clone {
        self.by_id.keys().copied()
    }

    /// The step `id` for the block that takes it in, or the id of the block that has it already.
    pub(crate) fn take(&mut self, id: &str, block: &str) -> Option<Result<Item<'n, 's>, &'n str>> {
        let index = *self.by_id.get(id)?;
        let (owner, done) = self.taken[index].as_mut()?;
        if *done || *owner != block {
            return Some(Err(owner));
        }
        *done = true;
        Some(Ok(self.items[index]))
    }

    fn names_next(&self) -> bool {
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

/// Whether an entry of `branches` is a way on rather than a step.
fn is_transition(node: &Node<'_>) -> bool {
    ["next_step", "target", "next"].iter().any(|key| node.get(key).is_some()) && node.get("id").is_none()
}

/// The ids that the branches of a block name.
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
    /// The steps of `node`, whose paths begin with `parent`. Steps that name the next become one step, a route.
    pub(crate) fn steps(&mut self, node: &Node<'_>, parent: &str, at: At) -> Steps {
        let Some(scope) = self.scope(node, at) else { return Steps::new() };
        if !scope.names_next() {
            return self.plain(scope, parent, at);
        }
        let path = format!("{parent}/route");
        let at = self.positions.enter(path.clone(), node.span);
        vec![Arc::new(Step::new("route", self.route(scope, &path, at, RouteSettings::default())))]
    }

    /// The steps of `node` as what a block or a definition does.
    pub(crate) fn body(&mut self, node: &Node<'_>, at: At, settings: RouteSettings) -> StepKind {
        let parent = self.positions.path(at).to_owned();
        let is_route = settings.is_route || settings.start.is_some() || settings.transitions_max.is_some();
        match self.scope(node, at) {
            Some(scope) if is_route || scope.names_next() => self.route(scope, &parent, at, settings),
            Some(scope) => StepKind::Sequence(self.plain(scope, &parent, at)),
            None => StepKind::Sequence(Steps::new()),
        }
    }

    pub(crate) fn scope<'n, 's>(&mut self, node: &'n Node<'s>, at: At) -> Option<Scope<'n, 's>> {
        let items = match &node.data {
            Data::List(items) => items.iter().map(|node| Item { key: None, node }).collect(),
            Data::Map(entries) => entries
                .iter()
                .map(|entry| Item { key: Some((entry.key.as_ref(), entry.key_span)), node: &entry.value })
                .collect(),
            _ => {
                self.wrong_type(at, "steps", node, "a list of steps");
                return None;
            }
        };
        Some(Scope::new(items))
    }

    fn plain(&mut self, scope: Scope<'_, '_>, parent: &str, at: At) -> Steps {
        self.all(scope, parent, at, false).into_iter().map(|(step, _)| Arc::new(step)).collect()
    }

    fn route(&mut self, scope: Scope<'_, '_>, parent: &str, at: At, settings: RouteSettings) -> StepKind {
        let by_key = scope.by_key;
        let mut steps = self.all(scope, parent, at, true);
        let following: Vec<_> = steps.iter().skip(1).map(|(step, _)| step.id.clone()).collect();
        for ((step, names_next), next) in steps.iter_mut().zip(following) {
            if !*names_next && !by_key {
                step.next = vec![Transition { condition: None, target: Some(next) }];
            }
        }
        let start = settings.start.or_else(|| steps.first().map(|(step, _)| step.id.clone())).unwrap_or_default();
        let steps = steps.into_iter().map(|(step, _)| Arc::new(step)).collect();
        StepKind::Route(Route { start, steps, transitions_max: settings.transitions_max })
    }

    /// All steps that no block takes in, each with whether it names the next.
    fn all(&mut self, mut scope: Scope<'_, '_>, parent: &str, at: At, in_route: bool) -> Vec<(Step, bool)> {
        let free: Vec<_> = scope.items.iter().zip(&scope.taken).filter(|(_, t)| t.is_none()).map(|(i, _)| *i).collect();
        let mut steps = Vec::with_capacity(free.len());
        for item in free {
            if let Some(read) = self.step(item, parent, at, &[], &mut scope) {
                self.check_dependencies(&read.step, read.at, &scope);
                if read.names_next && !in_route {
                    self.stray_next(read.at, item.node);
                }
                steps.push((read.step, read.names_next));
            }
        }
        for (item, block) in scope.items.iter().zip(&scope.taken) {
            if let Some((block, false)) = block {
                let span =
                    item.key.map_or_else(|| item.node.get("id").map_or(item.node.span, |id| id.span), |(_, s)| s);
                self.error(
                    "circular_block",
                    at,
                    span,
                    format!("this step runs inside `{block}`, which never runs itself"),
                )
                .help("a block cannot be one of its own steps");
            }
        }
        steps
    }

    fn stray_next(&mut self, at: At, node: &Node<'_>) {
        self.error("conflicting_fields", at, node.span, "only a step of a route names the next");
    }

    fn check_dependencies(&mut self, step: &Step, at: At, scope: &Scope<'_, '_>) {
        for (index, id) in step.dependencies.iter().enumerate() {
            let Some((block, _)) = scope.by_id.get(id.as_str()).and_then(|index| scope.taken[*index]) else { continue };
            let span = self.field_span(at, &format!("dependencies/{index}"));
            self.error(
                "moved_step",
                at,
                span,
                format!("`{id}` runs only inside `{block}`, so nothing outside can wait for it"),
            )
            .help(format!("depend on `{block}` instead"));
        }
    }
}
