use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{List, Plan};
use crate::{
    StepError, StepId,
    activity::Activity,
    engine::{Slice, View},
    expr::{Expr, Template},
    model::{ActivityName, Delay, Loop, OnTimeout, Parallel, Step, ValidateMode},
    workflow::BasicWorkflow,
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

/// What a step does, ready to run.
pub(crate) enum Body {
    Activity(ActivityPlan),
    List(Arc<List>),
    Choice(ChoicePlan),
    Route(RoutePlan),
    Loop(LoopPlan),
    Parallel(ParallelPlan),
    Set(Vec<(String, Template)>),
    Sleep(Length),
    WaitForEvent(WaitPlan),
    SubWorkflow(SubPlan),
    Validate(ValidatePlan),
    Code(Arc<dyn BasicWorkflow>),
}

/// What a step's failure does.
pub(crate) enum Recovery {
    Fail,
    Continue,
    Steps(Arc<Node>),
}

#[derive(Clone)]
pub(crate) struct ActivityPlan {
    pub(crate) name: ActivityName,
    pub(crate) activity: Option<Arc<dyn Activity>>,
    pub(crate) params: Template,
}

/// A conditional or a switch: the first case that holds, else the default.
pub(crate) struct ChoicePlan {
    pub(crate) cases: Vec<(Expr, Arc<Node>)>,
    pub(crate) default: Option<Arc<Node>>,
}

pub(crate) struct RoutePlan {
    pub(crate) list: Arc<List>,
    pub(crate) start: usize,
    /// The ways on from each step: a condition, and the number of the next step or the end.
    pub(crate) ways: Vec<Vec<(Option<Expr>, Option<usize>)>>,
    pub(crate) transitions_max: Option<u32>,
}

pub(crate) struct LoopPlan {
    pub(crate) over: Iterations,
    pub(crate) body: Arc<Node>,
    pub(crate) until: Option<Expr>,
    pub(crate) settings: Loop,
}

pub(crate) enum Iterations {
    Items(Template),
    Range { start: Template, end: Template, step: Template },
    While(Expr),
}

pub(crate) struct ParallelPlan {
    pub(crate) branches: Vec<Arc<Node>>,
    pub(crate) required: Vec<bool>,
    pub(crate) settings: Parallel,
}

pub(crate) struct SubPlan {
    pub(crate) name: String,
    pub(crate) plan: Arc<Plan>,
    pub(crate) input: Template,
}

pub(crate) struct WaitPlan {
    pub(crate) event: Template,
    pub(crate) filter: Option<Expr>,
    pub(crate) on_timeout: OnTimeout,
}

pub(crate) struct ValidatePlan {
    pub(crate) data: Template,
    pub(crate) schema: Option<Value>,
    pub(crate) validator: Option<ActivityPlan>,
    pub(crate) assertions: Vec<Expr>,
    pub(crate) mode: ValidateMode,
    pub(crate) transform: Option<Template>,
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
    pub(crate) fn is_leaf(&self) -> bool {
        matches!(
            self.body,
            Body::Activity(_)
                | Body::Set(_)
                | Body::Sleep(_)
                | Body::WaitForEvent(_)
                | Body::SubWorkflow(_)
                | Body::Validate(_)
        )
    }

    /// The input of its activity, where that holds no reference.
    pub(crate) fn fixed_input(&self) -> Option<&Value> {
        match &self.body {
            Body::Activity(plan) => plan.params.fixed(),
            _ => None,
        }
    }

    /// Whether it is a call of an activity that no setting and no interceptor concerns.
    pub(crate) fn is_bare_activity(&self) -> bool {
        matches!((&self.body, &self.recovery), (Body::Activity(_), Recovery::Fail))
            && self.slice.is_empty()
            && self.outputs.is_none()
            && self.undo.is_none()
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
