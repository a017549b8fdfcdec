use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    CallContext, Cancel, CancelReason, Cancelled, Choice, Decision, DecisionKey, DecisionPoint, NextDecision,
    NextRecall, Outcome, Run, Scope, SkipReason, View, Wait,
};
use crate::{
    PathLink, StepError,
    model::Step,
    patterns::UntilTest,
    plan::{ActivityPlan, Node, NodeRef},
    state::WorkflowState,
};

/// The execution of one step. A call owns all its data, so it can move to another task.
///
/// A call is cheap: it shares its context with its siblings, and its path is created only when it is read.
#[derive(Clone)]
pub struct Call {
    pub(crate) context: Arc<CallContext>,
    node: NodeRef,
    /// Values that only a few calls need.
    extra: Option<Box<Extra>>,
    path: OnceLock<PathLink>,
    iteration: Option<u32>,
    generation: u32,
    attempt: u32,
    record: u32,
    /// Whether the call already runs in the separate task that its step needs.
    is_in_task: bool,
}

#[derive(Clone, Default)]
struct Extra {
    gate: Option<SkipReason>,
    input: Option<Arc<Value>>,
    deadline: Option<Timestamp>,
    started_at: Option<Timestamp>,
    activity: Option<Arc<ActivityPlan>>,
    until: Option<Arc<UntilTest>>,
}

impl Call {
    /// Creates the call of `node` in `context`.
    pub(crate) fn new(context: Arc<CallContext>, node: &Arc<Node>) -> Self {
        Self {
            context,
            node: node.into(),
            extra: None,
            path: OnceLock::new(),
            iteration: None,
            generation: 1,
            attempt: 1,
            record: u32::MAX,
            is_in_task: false,
        }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        self.node.in_plan(&self.context.run.plan)
    }

    /// Returns the number of the step in the plan; `None` for a step called by code.
    pub(super) fn node_number(&self) -> Option<usize> {
        match self.node {
            NodeRef::Planned(number) => Some(number as usize),
            NodeRef::Own(_) => None,
        }
    }

    pub(super) fn node_ref(&self) -> NodeRef {
        self.node.clone()
    }

    /// Returns the step.
    #[must_use]
    pub fn step(&self) -> &Step {
        &self.node().step
    }

    /// Returns the run of the step.
    #[must_use]
    pub fn run(&self) -> &Arc<Run> {
        &self.context.run
    }

    /// Returns the path of the step.
    #[must_use]
    pub fn path(&self) -> &PathLink {
        self.path.get_or_init(|| {
            let parent = self.context.parent.clone();
            PathLink::new(parent, self.node().id.clone(), self.iteration, self.generation)
        })
    }

    /// Returns the number of the attempt, counted from 1, including attempts interrupted because
    /// their process ended.
    #[must_use]
    #[inline]
    pub fn attempt_with_cuts(&self) -> u32 {
        let cuts = &self.run().cuts;
        if cuts.is_empty() {
            return self.attempt;
        }
        self.attempt + cuts.get(&self.path().to_string()).copied().unwrap_or(0)
    }

    /// Returns the number of the attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the state that the step sees.
    #[must_use]
    pub fn state(&self) -> &WorkflowState {
        &self.context.state
    }

    /// Returns the request to stop that applies to the call.
    #[must_use]
    pub fn cancel(&self) -> &Cancel {
        &self.context.cancel
    }

    /// Sets an input for the activity, in place of the step's parameters.
    #[must_use]
    pub fn with_input(mut self, input: impl Into<Arc<Value>>) -> Self {
        self.extra().input = Some(input.into());
        self
    }

    /// Makes a decision; interceptors may replay a recorded decision or change the new one.
    ///
    /// # Errors
    /// Fails if an interceptor rejects the decision, or returns a different decision.
    pub async fn decide<C: Choice>(&self, choice: C, value: C::Value) -> Result<C::Value, StepError> {
        if self.node().slice.is_empty() {
            return Ok(value);
        }
        let key = choice.key();
        let point = DecisionPoint { call: self, key: &key };
        let answer = NextDecision::new(&self.node().slice).run(point, choice.into_decision(value)).await;
        self.answered::<C>(&key, answer.map_err(|error| error.at(self.path()))?)
    }

    /// Returns a recorded decision, if an interceptor has one.
    ///
    /// # Errors
    /// Fails if an interceptor cannot read its records, or returns a different decision.
    pub async fn recall<C: Choice>(&self, choice: C) -> Result<Option<C::Value>, StepError> {
        if self.node().slice.is_empty() {
            return Ok(None);
        }
        let key = choice.key();
        let point = DecisionPoint { call: self, key: &key };
        let known = NextRecall::new(&self.node().slice).run(point).await.map_err(|error| error.at(self.path()))?;
        known.map(|answer| self.answered::<C>(&key, answer)).transpose()
    }

    fn answered<C: Choice>(&self, key: &DecisionKey, answer: Decision) -> Result<C::Value, StepError> {
        let other = answer.key();
        let value = if other == *key { C::value(answer) } else { None };
        value.ok_or_else(|| {
            let message = format!("an interceptor must return the decision `{key}`, got `{other}`");
            StepError::configuration("wrong_decision", message).at(self.path())
        })
    }

    fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Returns the number of the iteration or of the switch case, counted from 0.
    #[must_use]
    pub fn iteration(&self) -> Option<u32> {
        self.iteration
    }

    /// Returns the generation of the step, counted from 1.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) fn record(&self) -> usize {
        self.record as usize
    }

    pub(super) fn set_record(&mut self, number: usize) {
        self.record = u32::try_from(number).unwrap_or(u32::MAX);
    }

    /// Returns whether the call must run in its own task but does not yet.
    pub(super) fn needs_task(&self) -> bool {
        self.node().in_task && !self.is_in_task
    }

    pub(super) fn set_in_task(&mut self) {
        self.is_in_task = true;
    }

    /// Returns the input that replaces the step's parameters, if one was set.
    pub(crate) fn input(&self) -> Option<&Arc<Value>> {
        self.extra.as_ref()?.input.as_ref()
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.extra.as_ref().and_then(|extra| extra.deadline).or(self.context.deadline)
    }

    /// Returns the recorded start time of the step; `None` if none of its expressions reads it.
    pub(crate) fn started_at(&self) -> Option<Timestamp> {
        self.extra.as_ref()?.started_at
    }

    /// Returns the activity that replaces the step's own activity, if one was set.
    pub(super) fn other_activity(&self) -> Option<&Arc<ActivityPlan>> {
        self.extra.as_ref()?.activity.as_ref()
    }

    pub(super) fn set_activity(&mut self, activity: ActivityPlan) {
        self.extra().activity = Some(Arc::new(activity));
    }

    /// Returns the enclosing list's reason to skip the step, if any.
    pub(super) fn gate(&self) -> Option<&SkipReason> {
        self.extra.as_ref()?.gate.as_ref()
    }

    pub(crate) fn with_gate(mut self, reason: SkipReason) -> Self {
        self.extra().gate = Some(reason);
        self
    }

    /// Returns the test to perform after the iteration, if the call is an iteration of a loop with
    /// an `until`.
    pub(crate) fn until(&self) -> Option<&Arc<UntilTest>> {
        self.extra.as_ref()?.until.as_ref()
    }

    pub(crate) fn with_until(mut self, until: Arc<UntilTest>) -> Self {
        self.extra().until = Some(until);
        self
    }

    pub(crate) fn with_deadline(mut self, deadline: Timestamp) -> Self {
        self.extra().deadline = Some(deadline);
        self
    }

    pub(super) fn set_started_at(&mut self, started_at: Timestamp) {
        self.extra().started_at = Some(started_at);
    }

    pub(crate) fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets the generation.
    pub(crate) fn with_generation(mut self, generation: u32) -> Self {
        self.generation = generation;
        self.path = OnceLock::new();
        self
    }

    /// Sets the number of the iteration.
    pub(crate) fn with_iteration(mut self, iteration: usize) -> Self {
        self.iteration = Some(u32::try_from(iteration).unwrap_or(u32::MAX));
        self.path = OnceLock::new();
        self
    }

    /// Returns the same call with a different scope and state for evaluating expressions.
    pub(crate) fn seeing(&self, scope: Option<Arc<Scope>>, state: Arc<WorkflowState>) -> Self {
        let context = CallContext { scope, state, ..(*self.context).clone() };
        Self { context: Arc::new(context), ..self.clone() }
    }

    /// Sets the request to stop that applies to the call.
    pub(super) fn with_cancel(mut self, cancel: &Cancel) -> Self {
        let context = CallContext { cancel: cancel.clone(), ..(*self.context).clone() };
        self.context = Arc::new(context);
        self
    }

    /// Returns the context of the children of the step.
    pub(crate) fn inside(&self, scope: Option<Arc<Scope>>, state: Arc<WorkflowState>) -> CallContext {
        let parent = Some(self.path().clone());
        let new = CallContext::new(self.run().clone(), parent, scope, state, self.cancel().clone());
        CallContext { deadline: self.deadline(), ..new }
    }

    /// Creates the call of `node`, a child of the step; the child sees the same scope and state.
    pub(crate) fn child(&self, node: &Arc<Node>) -> Self {
        let context = self.inside(self.context.scope.clone(), self.context.state.clone());
        Self::new(Arc::new(context), node)
    }

    /// Returns a view that resolves names as this step sees them.
    pub(crate) fn view(&self) -> View<'_> {
        View::new(self)
    }

    /// Returns the outcome of a step asked to stop.
    pub(crate) fn cancelled(&self) -> Outcome {
        Outcome::cancelled(Cancelled::new(self.cancel().reason().unwrap_or(CancelReason::Requested)))
    }

    /// Returns the outcome of a step that does not begin because the run is parking. The step
    /// begins when the run is driven again.
    pub(crate) fn parked(&self) -> Outcome {
        Outcome::Parked(Wait { wake_at: Some(self.run().now()), inbox_after: None })
    }

    /// Returns the outcome of a step that failed with `error`; sets the error's path if missing.
    pub(crate) fn failed(&self, mut error: StepError) -> Outcome {
        if error.path.is_none() {
            error.attempt = self.attempt;
        }
        Outcome::failed(self.run().masker().masked_error(error.at(self.path())))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempt {}", self.path(), self.attempt)
    }
}

/// Makes a decision and returns its value, or fails the step.
macro_rules! decide {
    ($call:expr, $choice:expr, $value:expr) => {
        match $call.decide($choice, $value).await {
            Ok(value) => value,
            Err(error) => return $call.failed(error).into(),
        }
    };
}
pub(crate) use decide;

/// Returns the value of a recorded decision, if it exists, or fails the step.
macro_rules! recall {
    ($call:expr, $choice:expr) => {
        match $call.recall($choice).await {
            Ok(known) => known,
            Err(error) => return $call.failed(error).into(),
        }
    };
}
pub(crate) use recall;
