use std::sync::Arc;

use super::{Body, Child, ChildAt, Node, Plan, Recovery};
use crate::{Segment, StepId, StepPath, model::Definition};

/// The order in which the steps directly inside a step run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The step contains no steps.
    Leaf,
    /// The steps run one after the other, so a later step may depend on an earlier step.
    Sequential,
    /// The steps run as their dependencies allow. The listed steps depend on the requested child,
    /// directly or indirectly.
    Graph(Vec<StepId>),
    /// The steps run at the same time, or only one of them runs.
    Independent,
}

impl Plan {
    /// Returns the order of the steps inside the step at `path`, as seen from its child `child`; `None` if there is no
    /// step at `path`.
    ///
    /// An iteration's path is its loop's path with a number appended: `/main/each[3]` is the
    /// list of the loop's steps.
    #[must_use]
    pub fn order(&self, path: &StepPath, child: Option<&StepId>) -> Option<Order> {
        Some(self.find(path)?.body.order(child))
    }

    /// Returns the step at `path`, if the plan contains it. Steps called by code are not in a plan.
    #[must_use]
    pub fn step(&self, path: &StepPath) -> Option<&crate::model::Step> {
        self.find(path).map(|node| &*node.step)
    }

    /// Returns the ids of the steps directly inside the step at `path`, in definition order; empty for a loop, whose
    /// steps are inside its iterations.
    #[must_use]
    pub fn inside(&self, path: &StepPath) -> Vec<&StepId> {
        let children = self.find(path).map(|node| node.body.children()).unwrap_or_default();
        children.into_iter().filter(|child| child.at == ChildAt::Id).map(|child| &child.node.id).collect()
    }

    /// Returns the definition that the step at `path` runs as a sub-workflow.
    #[must_use]
    pub fn sub_definition(&self, path: &StepPath) -> Option<&Arc<Definition>> {
        self.find(path)?.body.sub_workflow().map(|sub| sub.plan.definition())
    }

    /// Returns the plan of the sub-workflow that the step at `path` runs.
    #[must_use]
    pub fn sub_plan(&self, path: &StepPath) -> Option<&Arc<Self>> {
        self.find(path)?.body.sub_workflow().map(|sub| &sub.plan)
    }

    /// Returns whether the step at `path` may leave something behind if its process dies.
    #[must_use]
    pub fn may_leave_leftovers(&self, path: &str) -> bool {
        let node = path.parse().ok().and_then(|path| self.find(&path));
        // Steps that are not in the plan are started by code.
        node.is_none_or(|node| match &node.body {
            Body::Activity(activity) => activity.activity.as_ref().is_none_or(|it| it.may_leave_leftovers()),
            Body::SubWorkflow(_) | Body::Leaf(_) | Body::Composite(_) => false,
            Body::Code(_) => true,
        })
    }

    /// Returns the step at `path`.
    pub(crate) fn node_at(&self, path: &StepPath) -> Option<&Node> {
        self.find(path)
    }

    /// Returns the step that undoes the step at `path`.
    pub(crate) fn undo(&self, path: &StepPath) -> Option<&Arc<Node>> {
        self.find(path)?.undo.as_ref()
    }

    fn find(&self, path: &StepPath) -> Option<&Node> {
        let (root, rest) = path.segments().split_first()?;
        if root.id != self.root.id {
            return None;
        }
        let mut node: &Node = &self.root;
        // If the root is a loop, the path of an iteration is the root's path with a number
        // appended.
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
    let child = node.body.children().into_iter().find(|child| child.is_at(segment));
    if let Some(Child { node, at: ChildAt::Number(_) }) = child {
        return Some(node);
    }
    let finally = || plan.finally.as_ref().filter(|finally| node.is_root && is_called(finally));
    let found = child.map(|child| child.node).or_else(finally)?;
    if segment.iteration.is_some() { iteration_of(found) } else { Some(found) }
}

fn iteration_of(node: &Node) -> Option<&Node> {
    let child = node.body.children().into_iter().find(|child| child.at == ChildAt::Iteration)?;
    Some(child.node)
}
