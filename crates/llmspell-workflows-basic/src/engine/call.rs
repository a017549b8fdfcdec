use std::{fmt, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;

use super::{Cancel, Decision, DecisionPoint, NextDecision, Outcome, Run, Scope, SkipReason, View};
use crate::{PathLink, StepError, model::Step, plan::Node, state::WorkflowState};

/// The execution of one step: it owns what it needs, so it can move to another task.
#[derive(Clone)]
pub struct Call {
    pub(crate) run: Arc<Run>,
    pub(crate) node: Arc<Node>,
    pub(crate) path: PathLink,
    /// The lists, loops and names around it.
    pub(crate) scope: Option<Arc<Scope>>,
    /// The state as it sees it.
    pub(crate) state: Arc<WorkflowState>,
    pub(crate) cancel: Cancel,
    /// Why its list thinks that it should not run.
    pub(crate) gate: Option<Box<SkipReason>>,
    /// An input given from outside instead of its parameters.
    pub(crate) input: Option<Arc<Value>>,
    pub(crate) deadline: Option<Timestamp>,
    /// When it began, as recorded; only where an expression of it asks.
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) attempt: u32,
    pub(crate) record: usize,
}

impl Call {
    /// The step.
    #[must_use]
    pub fn step(&self) -> &Step {
        &self.node.step
    }

    /// The run it belongs to.
    #[must_use]
    pub fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// Where it stands.
    #[must_use]
    pub fn path(&self) -> &PathLink {
        &self.path
    }

    /// Which attempt of it, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The state as it sees it.
    #[must_use]
    pub fn state(&self) -> &WorkflowState {
        &self.state
    }

    /// The request to stop that reaches it.
    #[must_use]
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The same call with this input instead of the step's parameters.
    #[must_use]
    pub fn with_input(mut self, input: impl Into<Arc<Value>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Makes choice number `index` of its kind: the interceptors may know a former answer, or change it.
    ///
    /// # Errors
    /// An interceptor refuses the choice, or answers with another kind of choice.
    pub async fn decide(&self, index: u64, decision: Decision) -> Result<Decision, StepError> {
        if self.node.slice.is_empty() {
            return Ok(decision);
        }
        let kind = decision.kind();
        let point = DecisionPoint { call: self, index };
        let answer = NextDecision::new(&self.node.slice).run(point, decision).await.map_err(|e| e.at(&self.path))?;
        if answer.kind() == kind {
            return Ok(answer);
        }
        let message = format!("an interceptor answered the choice `{kind}` with one of `{}`", answer.kind());
        Err(StepError::configuration("wrong_decision", message).at(&self.path))
    }

    /// The same call as if entered for the `generation`th time.
    pub(crate) fn with_generation(mut self, generation: u32) -> Self {
        self.path = self.path.with_generation(generation);
        self
    }

    /// The call of `node`, a child of this call's step.
    pub(crate) fn child(&self, node: &Arc<Node>, scope: Option<Arc<Scope>>, state: Arc<WorkflowState>) -> Self {
        let path = self.path.child(node.id.clone());
        self.inner(node, path, scope, state)
    }

    /// The call of `node` at `path`.
    pub(crate) fn inner(
        &self,
        node: &Arc<Node>,
        path: PathLink,
        scope: Option<Arc<Scope>>,
        state: Arc<WorkflowState>,
    ) -> Self {
        Self {
            run: self.run.clone(),
            node: node.clone(),
            path,
            scope,
            state,
            cancel: self.cancel.clone(),
            gate: None,
            input: None,
            deadline: self.deadline,
            started_at: None,
            attempt: 1,
            record: usize::MAX,
        }
    }

    /// What names mean to this step.
    pub(crate) fn view(&self) -> View<'_> {
        View::new(self)
    }

    /// Ended because it was asked to stop.
    pub(crate) fn cancelled(&self) -> Outcome {
        let reason = self.cancel.reason().unwrap_or(super::CancelReason::Requested);
        Outcome::Cancelled(super::Cancelled::new(reason))
    }

    /// Failed with `error`, here unless it says where.
    pub(crate) fn failed(&self, mut error: StepError) -> Outcome {
        if error.path.is_none() {
            error.attempt = self.attempt;
        }
        Outcome::failed(error.at(&self.path))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempt {}", self.path, self.attempt)
    }
}

/// Makes a choice of one kind and gives what was chosen, or fails the step.
macro_rules! decide {
    ($call:expr, $index:expr, $kind:ident($value:expr)) => {
        match $call.decide($index, $crate::engine::Decision::$kind($value)).await {
            Ok($crate::engine::Decision::$kind(value)) => value,
            Ok(_) => unreachable!("`Call::decide` lets only the same kind through"),
            Err(error) => return $call.failed(error).into(),
        }
    };
}
pub(crate) use decide;
