use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{
    Call, CallContext, Failure, Next, Outcome, Run, Scope, SkipReason, Tasks,
    activity::{self, UnfinishedCall},
    call::decide,
    child, choice, undo,
};
use crate::{
    patterns,
    plan::{ActivityPlan, Body, Node, Recovery, Work},
};

/// The number of steps after which a run yields its thread, so that a run that never waits can still be stopped.
const STEPS_AT_A_TIME: usize = 512;

/// Executes a step. This is the only code path that executes steps.
///
/// Decides whether the step runs, runs its interceptors and the step itself, and handles its failure.
pub(crate) async fn execute(call: Call) -> Outcome {
    let context = call.context.clone();
    match begin(call, &context) {
        Begun::Ended(outcome) => outcome,
        Begun::Rest(rest) => rest.finish(&context).await,
    }
}

/// A step that has begun.
pub(crate) enum Begun<'a> {
    Ended(Outcome),
    Rest(Rest<'a>),
}

/// The remaining work of a step that has begun.
pub(crate) enum Rest<'a> {
    /// The step runs in its own task.
    InTask(Call),
    /// The activity of a step without settings has not ended. The number
    /// identifies the step's record.
    Activity(usize, UnfinishedCall<'a>),
    /// The step has a record; nothing else has happened.
    All(Call, Result<(), Outcome>),
}

/// Begins a step and, if possible, ends it immediately: a step without settings whose activity ends
/// immediately needs no future.
pub(crate) fn begin(mut call: Call, context: &CallContext) -> Begun<'_> {
    if call.needs_task() {
        return Begun::Rest(Rest::InTask(call));
    }
    if !(context.run.reentered.is_empty() && context.run.inputs.is_empty()) {
        call = with_overrides(call, &context.run);
    }
    let begins_at = context.begins_at();
    let number = context.run.records().begin(&call, begins_at);
    call.set_record(number);
    let may_begin = may_begin(&call, number);
    match bare_activity(&call, context) {
        Some(plan) if may_begin.is_ok() && !yields_after(number) => match activity::start(call, context, plan) {
            Ok(outcome) => {
                record_end(context, number, &outcome);
                Begun::Ended(outcome)
            }
            Err(rest) => Begun::Rest(Rest::Activity(number, rest)),
        },
        _ => Begun::Rest(Rest::All(call, may_begin)),
    }
}

/// Returns the step's activity, if nothing else affects the step.
fn bare_activity<'a>(call: &Call, context: &'a CallContext) -> Option<&'a ActivityPlan> {
    let node = &context.run.plan.nodes[call.node_number()?];
    let is_bare = node.is_plain && call.gate().is_none() && context.run.masker.is_empty();
    node.bare_activity().filter(|_| is_bare)
}

fn yields_after(number: usize) -> bool {
    number % STEPS_AT_A_TIME == STEPS_AT_A_TIME - 1
}

fn record_end(context: &CallContext, number: usize, outcome: &Outcome) {
    let ended_at = context.run.now();
    context.run.records().end(number, outcome, ended_at);
    if context.in_order {
        context.record_end(ended_at);
    }
}

impl Rest<'_> {
    // Boxed to keep the futures of the enclosing steps small.
    pub(crate) fn finish<'a>(self, context: &'a CallContext) -> BoxFuture<'a, Outcome>
    where
        Self: 'a,
    {
        Box::pin(self.ended(context))
    }

    async fn ended(self, context: &CallContext) -> Outcome {
        let (number, outcome) = match self {
            Self::InTask(call) => return Tasks::run(call, in_task).await,
            Self::Activity(number, rest) => (number, rest.finish().await),
            Self::All(call, may_begin) => (call.record(), run(call, may_begin).await),
        };
        record_end(context, number, &outcome);
        outcome
    }
}

/// Runs a step that has a record.
async fn run(mut call: Call, may_begin: Result<(), Outcome>) -> Outcome {
    let entered = match may_begin {
        Ok(()) if call.node().is_plain && call.gate().is_none() => Ok(()),
        Ok(()) => Box::pin(enter(&mut call)).await,
        refused => refused,
    };
    if yields_after(call.record()) {
        tokio::task::yield_now().await;
    }
    match entered {
        Err(outcome) => outcome,
        Ok(()) if call.node().undo.is_some() => Box::pin(undo::execute_undoable(call)).await,
        Ok(()) if matches!(call.node().recovery, Recovery::Fail) => Box::pin(through_stack(call)).await,
        Ok(()) => Box::pin(with_recovery(call)).await,
    }
}

/// Applies the generation and input from [`Resume`](super::Resume) that override those of the call.
fn with_overrides(mut call: Call, run: &Run) -> Call {
    if let Some(generation) = run.reentered.get(&call.path().to_string()) {
        call = call.with_generation(*generation);
        run.record_entry(call.path());
    }
    match run.inputs.get(&call.path().to_string()) {
        Some(input) => call.with_input(input.clone()),
        None => call,
    }
}

fn in_task(mut call: Call) -> BoxFuture<'static, Outcome> {
    call.set_in_task();
    Box::pin(execute(call))
}

/// Checks that the run is not cancelled, parking or over its step limit.
fn may_begin(call: &Call, number: usize) -> Result<(), Outcome> {
    if call.cancel().is_cancelled() && (call.run().is_shut_down() || !call.run().enters_stopped(call.path())) {
        return Err(call.cancelled());
    }
    if call.run().is_parking() && call.step().kind.is_leaf() {
        return Err(call.parked());
    }
    call.run().too_many_steps(number + 1).map_or(Ok(()), |error| Err(call.failed(error)))
}

/// Decides from the step's condition and the list's skip reason whether the step runs.
async fn enter(call: &mut Call) -> Result<(), Outcome> {
    if call.node().reads_start {
        let now = call.run().now();
        let started_at = decide_now(call, now).await?;
        call.set_started_at(started_at);
    }
    if call.gate().is_some() || call.node().has_entry() {
        let reason = call.gate().cloned().or_else(|| condition(call));
        if let Some(reason) = decide_enter(call, reason).await? {
            return Err(Outcome::Skipped(reason));
        }
    }
    if let Some(name) = &call.node().name {
        let name = name.render(&call.view()).map_err(|error| call.failed(error.into()))?;
        let name = call.run().masker.masked(name.as_str().unwrap_or_default()).into_owned();
        call.run().records().name(call.record(), &name);
    }
    Ok(())
}

async fn decide_now(call: &Call, now: jiff::Timestamp) -> Result<jiff::Timestamp, Outcome> {
    async fn inner(call: &Call, now: jiff::Timestamp) -> DecisionResult<jiff::Timestamp> {
        DecisionResult::Value(decide!(call, choice::StartedAt, now))
    }
    inner(call, now).await.into()
}

async fn decide_enter(call: &Call, reason: Option<SkipReason>) -> Result<Option<SkipReason>, Outcome> {
    async fn inner(call: &Call, reason: Option<SkipReason>) -> DecisionResult<Option<SkipReason>> {
        DecisionResult::Value(decide!(call, choice::Enter, reason))
    }
    inner(call, reason).await.into()
}

/// The value of a decision, or the outcome of the step if the decision failed.
enum DecisionResult<T> {
    Value(T),
    Outcome(Outcome),
}

impl<T> From<Outcome> for DecisionResult<T> {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(outcome)
    }
}

impl<T> From<DecisionResult<T>> for Result<T, Outcome> {
    fn from(decided: DecisionResult<T>) -> Self {
        match decided {
            DecisionResult::Value(value) => Ok(value),
            DecisionResult::Outcome(outcome) => Err(outcome),
        }
    }
}

/// Returns the skip reason if the step's condition prevents it from running.
fn condition(call: &Call) -> Option<SkipReason> {
    let condition = call.node().condition.as_ref()?;
    match condition.test(&call.view()) {
        Ok(true) => None,
        Ok(false) => {
            Some(SkipReason::new("condition_false", format!("the condition `{}` is false", condition.source())))
        }
        Err(error) => {
            let message =
                format!("the condition `{}` cannot be evaluated and counts as false: {error}", condition.source());
            call.run().warn("condition_unevaluable", call.path(), message.clone());
            Some(SkipReason::new("condition_unevaluable", call.run().masker.masked(&message)))
        }
    }
}

/// Runs the step with its interceptors, and handles its failure.
pub(super) async fn with_recovery(call: Call) -> Outcome {
    let after = call.clone();
    match through_stack(call).await {
        Outcome::Failed(failure) => recover(after, failure).await,
        outcome => outcome,
    }
}

async fn through_stack(call: Call) -> Outcome {
    if call.node().slice.is_empty() {
        return perform(call).await;
    }
    Next::new(call.node().slice.clone()).run(call).await
}

/// Handles the failure of a step.
fn recover(call: Call, failure: Failure) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        match &call.node().recovery {
            Recovery::Fail => Outcome::Failed(failure),
            Recovery::Continue => Outcome::Failed(Failure { handled: true, ..failure }),
            Recovery::Steps(handler) => handle(&call, failure, handler).await,
        }
    })
}

async fn handle(call: &Call, failure: Failure, handler: &Arc<Node>) -> Outcome {
    call.run().records().record_recovery(call.record(), &failure.error);
    let outer = if call.node().is_root { call.run().root_scope() } else { call.context.scope.clone() };
    let error: Arc<serde_json::Value> = Arc::new(json!(*failure.error));
    let scope = Scope::names(outer, vec![("error", error)]);
    let context = Arc::new(call.inside(Some(scope), call.context.state.clone()));
    match Box::pin(execute(Call::new(context, handler))).await {
        Outcome::Failed(second) => {
            let error = second.error.with_first_cause(*failure.error);
            Outcome::failed(error)
        }
        outcome => outcome,
    }
}

/// Runs the step itself.
pub(super) async fn perform(call: Call) -> Outcome {
    if call.node().outputs.is_none() {
        return by_kind(call).await;
    }
    Box::pin(with_outputs(call)).await
}

async fn with_outputs(call: Call) -> Outcome {
    if call.node().outputs.is_some() && !call.step().kind.traits().applies_outputs {
        let root = call.clone();
        return patterns::with_outputs(&root, by_kind(call).await);
    }
    by_kind(call).await
}

async fn by_kind(call: Call) -> Outcome {
    let (context, node) = (call.context.clone(), call.node_ref());
    match &node.in_plan(&context.run.plan).body {
        Body::Activity(plan) => activity::activity(call, &context, plan).await,
        Body::SubWorkflow(plan) => Box::pin(child::sub_workflow(call, plan)).await,
        Body::Leaf(leaf) => match leaf.perform(call) {
            Work::Done(outcome) => outcome,
            Work::Pending(work) => work.await,
        },
        Body::Composite(composite) => composite.perform(call).await,
        Body::Code(workflow) => crate::workflow::code(workflow.clone(), call).await,
    }
}
