use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{ActivityPlan, Body, Plan};
use crate::{
    StepError, StepId,
    engine::{Slice, View},
    expr::{Expr, Template},
    model::{Delay, Step},
};

/// A step made ready to run.
pub(crate) struct Node {
    /// Its place in the plan; none for a step that code calls.
    pub(crate) number: Option<u32>,
    pub(crate) id: StepId,
    pub(crate) step: Arc<Step>,
    pub(crate) slice: Slice,
    pub(crate) name: Option<Template>,
    pub(crate) condition: Option<Expr>,
    pub(crate) timeout: Option<Length>,
    pub(crate) total_timeout: Option<Length>,
    pub(crate) recovery: Recovery,
    /// What undoes it.
    pub(crate) undo: Option<Arc<Node>>,
    pub(crate) body: Body,
    /// What its output is made of instead; the root step's alone.
    pub(crate) outputs: Option<Template>,
    /// Whether an expression of it asks when it began.
    pub(crate) reads_start: bool,
    pub(crate) is_root: bool,
    /// What it is to the step around it.
    pub(crate) role: Role,
    /// Whether nothing is decided, named or noted before it runs.
    pub(crate) is_plain: bool,
    /// Whether it lies so deep that it runs in a task of its own, since all others share a thread's stack.
    pub(crate) in_task: bool,
}

/// What a step is to the one around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The run as a whole.
    Root,
    /// A step of a list, a graph or a route, or one that code calls.
    Member,
    /// A branch of a parallel block.
    Branch,
    /// One iteration of a loop.
    Iteration,
    /// A list that nobody wrote as a step: what a condition chose, or what handles an error.
    Block,
}

/// A node as calls and records name it: those of the plan by their number, which costs nothing to copy.
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

/// What a step's failure does.
pub(crate) enum Recovery {
    Fail,
    Continue,
    Steps(Arc<Node>),
}

/// A length of time that may have to be computed.
#[derive(Debug, Clone)]
pub(crate) enum Length {
    Fixed(Duration),
    Computed(Expr),
}

impl Length {
    pub(crate) fn evaluate(&self, view: &View<'_>) -> Result<Duration, StepError> {
        let expression = match self {
            Self::Fixed(duration) => return Ok(*duration),
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
                    "`{}` gave {value}, which is no length of time: a number of seconds or a text such as `30s` would be",
                    expression.source()
                );
                Err(StepError::validation("invalid_duration", message))
            }
        }
    }
}

impl Node {
    /// The input of its activity, where that holds no reference.
    pub(crate) fn fixed_input(&self) -> Option<&Value> {
        self.body.activity()?.params.fixed()
    }

    /// The activity that it calls, where no setting and no interceptor concerns the call.
    pub(crate) fn bare_activity(&self) -> Option<&ActivityPlan> {
        let is_bare = matches!(self.recovery, Recovery::Fail)
            && self.slice.is_empty()
            && self.outputs.is_none()
            && self.undo.is_none();
        self.body.activity().filter(|_| is_bare)
    }

    /// Whether it makes a choice of its own about running at all.
    pub(crate) fn has_entry(&self) -> bool {
        self.condition.is_some() || !self.step.dependencies.is_empty()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, self.step.kind.as_str())
    }
}
