use std::sync::Arc;

use super::{Body, Node, Plan, Recovery};
use crate::{Segment, StepId, StepPath};

/// In which order the steps directly inside a step run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// It has none inside.
    Leaf,
    /// One after the other: what began later may depend on what began earlier.
    InTurn,
    /// As their dependencies allow: these need the step that was asked for, directly or not.
    Graph(Vec<StepId>),
    /// At the same time, or only one of them.
    Apart,
}

impl Plan {
    /// The order of the steps inside the step at `path`, for its child `child`; `None` where the plan has no such step.
    ///
    /// An iteration stands where its loop does, so `/main/each[3]` is the list of a loop's steps.
    #[must_use]
    pub fn order(&self, path: &StepPath, child: Option<&StepId>) -> Option<Order> {
        let node = self.find(path)?;
        let is_loop = path.segments().last().is_some_and(|last| last.iteration.is_none());
        Some(match &node.body {
            Body::List(list) => match (&list.graph, child.and_then(|child| list.number(child.as_str()))) {
                (Some(graph), Some(child)) => {
                    let all = list.nodes.iter().enumerate();
                    let dependents = all.filter(|(number, _)| graph.is_before(child, *number));
                    Order::Graph(dependents.map(|(_, node)| node.id.clone()).collect())
                }
                (Some(_), None) => Order::Apart,
                (None, _) => Order::InTurn,
            },
            Body::Route(_) | Body::Code(_) => Order::InTurn,
            Body::Loop(plan) if is_loop && plan.settings.mode == crate::model::IterationMode::Sequential => {
                Order::InTurn
            }
            Body::Loop(_) | Body::Choice(_) | Body::Parallel(_) => Order::Apart,
            _ => Order::Leaf,
        })
    }

    /// The step at `path`, where the plan has one. Steps that code calls are in no plan.
    #[must_use]
    pub fn step(&self, path: &StepPath) -> Option<&crate::model::Step> {
        self.find(path).map(|node| &*node.step)
    }

    /// What undoes the step at `path`.
    pub(crate) fn undo(&self, path: &StepPath) -> Option<&Arc<Node>> {
        self.find(path)?.undo.as_ref()
    }

    fn find(&self, path: &StepPath) -> Option<&Node> {
        let (root, rest) = path.segments().split_first()?;
        if root.id != self.root.id {
            return None;
        }
        let mut node: &Node = &self.root;
        // A root that is a loop stands where its iterations do.
        if root.iteration.is_some() {
            node = iteration_of(node)?;
        }
        for segment in rest {
            node = inside(self, node, segment)?;
        }
        Some(node)
    }
}

fn inside<'p>(plan: &'p Plan, node: &'p Node, segment: &Segment) -> Option<&'p Node> {
    let is_called = |node: &Node| node.id == segment.id;
    if let Recovery::Steps(handler) = &node.recovery
        && is_called(handler)
    {
        return Some(handler);
    }
    if let Some(undo) = node.undo.as_deref().filter(|undo| is_called(undo)) {
        return Some(undo);
    }
    let found = match &node.body {
        Body::List(list) => list.nodes.iter().find(|node| is_called(node)).map(|node| &**node),
        Body::Route(route) => route.list.nodes.iter().find(|node| is_called(node)).map(|node| &**node),
        Body::Parallel(parallel) => parallel.branches.iter().find(|node| is_called(node)).map(|node| &**node),
        Body::Choice(choice) => {
            let number = segment.iteration.and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
            let case = choice.cases.get(number).map(|(_, node)| node).filter(|node| is_called(node));
            let case = case.or_else(|| choice.cases.iter().map(|(_, node)| node).find(|node| is_called(node)));
            return case.or(choice.default.as_ref().filter(|node| is_called(node))).map(|node| &**node);
        }
        _ => None,
    };
    let finally = || plan.finally.as_deref().filter(|finally| node.is_root && is_called(finally));
    let found = found.or_else(finally)?;
    if segment.iteration.is_some() { iteration_of(found) } else { Some(found) }
}

fn iteration_of(node: &Node) -> Option<&Node> {
    match &node.body {
        Body::Loop(plan) => Some(&plan.body),
        _ => None,
    }
}
