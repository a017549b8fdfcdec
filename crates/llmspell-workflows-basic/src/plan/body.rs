//! [`Body`], the work of a step: the interface between the engine and the kinds of steps.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{List, Node, Order, Plan};
use crate::{
    Segment, StepId,
    activity::Activity,
    engine::{Call, Outcome},
    expr::Template,
    model::ActivityName,
    workflow::BasicWorkflow,
};

/// A step's prepared work.
///
/// Most kinds of steps are implementations of [`Leaf`] or [`Composite`], each in its own file. The
/// kinds with effects are variants of this enum, because the engine must know what they call.
pub(crate) enum Body {
    Activity(ActivityPlan),
    SubWorkflow(SubPlan),
    Leaf(Box<dyn Leaf>),
    Composite(Box<dyn Composite>),
    Code(Arc<dyn BasicWorkflow>),
}

/// A kind of step that has no effects and does not run other steps.
pub(crate) trait Leaf: Send + Sync {
    /// Performs the work of the step.
    fn perform(&self, call: Call) -> Work<'_>;
}

/// The work of a leaf: already done, or a future to await.
pub(crate) enum Work<'a> {
    Done(Outcome),
    Pending(BoxFuture<'a, Outcome>),
}

/// A kind of step that runs other steps.
pub(crate) trait Composite: Send + Sync {
    /// Runs the steps inside the composite.
    fn perform(&self, call: Call) -> BoxFuture<'_, Outcome>;

    /// Returns the steps directly inside the composite.
    fn children(&self) -> Vec<Child<'_>>;

    /// Returns the order in which the composite's steps run, as seen from its step `child`.
    fn order(&self, child: Option<&StepId>) -> Order;

    /// Returns the list whose steps are visible to later steps by their ids.
    fn list(&self) -> Option<&Arc<List>>;
}

/// A step directly inside a composite, and its position there.
pub(crate) struct Child<'p> {
    pub(crate) node: &'p Arc<Node>,
    pub(crate) at: ChildAt,
}

/// The position of a step's path relative to its composite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildAt {
    /// The composite's path followed by the step's id.
    Id,
    /// The composite's path followed by the step's id and this number.
    Number(usize),
    /// The composite's path itself, with an iteration number.
    Iteration,
}

#[derive(Clone)]
pub(crate) struct ActivityPlan {
    pub(crate) name: ActivityName,
    pub(crate) activity: Option<Arc<dyn Activity>>,
    pub(crate) params: Template,
}

/// A prepared sub-workflow.
pub(crate) struct SubPlan {
    pub(crate) name: String,
    pub(crate) plan: Arc<Plan>,
    pub(crate) input: Template,
}

impl Body {
    /// Returns the steps directly inside the step. Every traversal of a plan uses only this method.
    pub(crate) fn children(&self) -> Vec<Child<'_>> {
        match self {
            Self::Composite(composite) => composite.children(),
            Self::Activity(_) | Self::SubWorkflow(_) | Self::Leaf(_) | Self::Code(_) => Vec::new(),
        }
    }

    /// Returns the order in which the composite's steps run, as seen from its step `child`.
    pub(crate) fn order(&self, child: Option<&StepId>) -> Order {
        match self {
            Self::Composite(composite) => composite.order(child),
            Self::Code(_) => Order::Sequential,
            Self::Activity(_) | Self::SubWorkflow(_) | Self::Leaf(_) => Order::Leaf,
        }
    }

    /// Returns the list whose steps are visible to later steps by their ids.
    pub(crate) fn list(&self) -> Option<&Arc<List>> {
        match self {
            Self::Composite(composite) => composite.list(),
            Self::Activity(_) | Self::SubWorkflow(_) | Self::Leaf(_) | Self::Code(_) => None,
        }
    }

    /// Returns the activity that the step calls, if any.
    pub(crate) fn activity(&self) -> Option<&ActivityPlan> {
        match self {
            Self::Activity(plan) => Some(plan),
            Self::SubWorkflow(_) | Self::Leaf(_) | Self::Composite(_) | Self::Code(_) => None,
        }
    }

    /// Returns the sub-workflow that the step runs, if any.
    pub(crate) fn sub_workflow(&self) -> Option<&SubPlan> {
        match self {
            Self::SubWorkflow(plan) => Some(plan),
            Self::Activity(_) | Self::Leaf(_) | Self::Composite(_) | Self::Code(_) => None,
        }
    }
}

impl<'p> Child<'p> {
    pub(crate) fn by_id(node: &'p Arc<Node>) -> Self {
        Self { node, at: ChildAt::Id }
    }

    /// Returns whether `segment` is the path segment of this step below its composite.
    pub(crate) fn is_at(&self, segment: &Segment) -> bool {
        match self.at {
            ChildAt::Id => self.node.id == segment.id,
            ChildAt::Number(number) => {
                self.node.id == segment.id && segment.iteration.is_none_or(|n| usize::try_from(n) == Ok(number))
            }
            ChildAt::Iteration => false,
        }
    }

    /// Returns the path of this step in the definition; `path` is the path of its composite.
    pub(crate) fn path(&self, path: &str) -> String {
        match self.at {
            ChildAt::Id => format!("{path}/{}", self.node.id),
            ChildAt::Number(number) => format!("{path}/{}[{number}]", self.node.id),
            ChildAt::Iteration => path.to_owned(),
        }
    }
}
