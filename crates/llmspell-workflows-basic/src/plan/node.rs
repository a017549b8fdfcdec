use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{ActivityPlan, Body, Plan};
use crate::{
    StepError, StepId,
    engine::{Slice, View},
    expr::{Expr, Template},
    model::{Delay, Step},
};

/// A step prepared to run.
pub(crate) struct Node {
    /// The index of the node in the plan; `None` for a step called by code.
    pub(crate) number: Option<u32>,
    pub(crate) id: StepId,
    pub(crate) step: Arc<Step>,
    pub(crate) slice: Slice,
    pub(crate) name: Option<Template>,
    pub(crate) condition: Option<Expr>,
    pub(crate) timeout: Option<Length>,
    pub(crate) total_timeout: Option<Length>,
    pub(crate) recovery: Recovery,
    /// The step that undoes this one.
    pub(crate) undo: Option<Arc<Node>>,
    pub(crate) body: Body,
    /// The template of the workflow's output; only the root step has one.
    pub(crate) outputs: Option<Template>,
    /// Whether one of the step's expressions reads the start time of the step.
    pub(crate) reads_start: bool,
    pub(crate) is_root: bool,
    /// The step's role within its enclosing step.
    pub(crate) role: Role,
    /// Whether the step can run without evaluating a condition, a name or its start time first.
    pub(crate) is_plain: bool,
    /// Whether the step is nested so deeply that it needs its own task, because the steps
    /// of a task share one stack.
    pub(crate) in_task: bool,
}

/// The role of a step within its enclosing step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The run as a whole.
    Root,
    /// A step of a list, a graph or a route, or a step called by code.
    Member,
    /// A branch of a parallel block.
    Branch,
    /// One iteration of a loop.
    Iteration,
    /// A list that is not a step of the definition: a chosen branch, or an error handler.
    Block,
}

/// A reference from a call or a record to a node. A node of the plan is referenced by its number,
/// which is cheap to copy.
#[derive(Clone)]
pub(crate) enum NodeRef {
    Planned(u32),
    Own(Arc<Node>),
}

impl NodeRef {
    pub(crate) fn in_plan<'a>(&'a self, plan: &'a Plan) -> &'a Arc<Node> {
        match self {
            Self::Planned(number) => &plan.nodes[*number as usize],
            Self::Own(node) => node,
        }
    }
}

impl From<&Arc<Node>> for NodeRef {
    fn from(node: &Arc<Node>) -> Self {
        node.number.map_or_else(|| Self::Own(node.clone()), Self::Planned)
    }
}

/// The effect of a step's failure.
pub(crate) enum Recovery {
    Fail,
    Continue,
    Steps(Arc<Node>),
}

/// A duration that is either fixed or yet to be computed.
#[derive(Debug, Clone)]
pub(crate) enum Length {
    Fixed(Duration),
    Computed(Expr),
    /// The engine's limit `cleanup_step_max`.
    CleanupLimit,
}

impl Length {
    pub(crate) fn evaluate(&self, view: &View<'_>) -> Result<Duration, StepError> {
        let expression = match self {
            Self::Fixed(duration) => return Ok(*duration),
            Self::CleanupLimit => return Ok(view.limits().cleanup_step_max),
            Self::Computed(expression) => expression,
        };
        let value = expression.evaluate_strict(view)?;
        let delay = match &*value {
            Value::Number(number) => Delay::from_seconds(number.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => text.parse(),
            other => other.to_string().parse(),
        };
        match delay {
            Ok(Delay::Fixed(duration)) => Ok(duration),
            _ => {
                let message = format!(
                    "`{}` must be a number of seconds or a duration such as `30s`, got {value}",
                    expression.source()
                );
                Err(StepError::validation("invalid_duration", message))
            }
        }
    }
}

impl Node {
    /// Returns the input of the step's activity, if the input contains no references.
    pub(crate) fn fixed_input(&self) -> Option<&Value> {
        self.body.activity()?.params.fixed()
    }

    /// Returns the step's activity, if no setting and no interceptor affects the call.
    pub(crate) fn bare_activity(&self) -> Option<&ActivityPlan> {
        let is_bare = matches!(self.recovery, Recovery::Fail)
            && self.slice.is_empty()
            && self.outputs.is_none()
            && self.undo.is_none();
        self.body.activity().filter(|_| is_bare)
    }

    /// Returns whether entering the step involves a decision: whether to run it or skip it.
    pub(crate) fn has_entry(&self) -> bool {
        self.condition.is_some() || !self.step.dependencies.is_empty()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, self.step.kind.as_str())
    }
}
