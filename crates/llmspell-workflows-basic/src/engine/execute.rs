use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Call, Failure, Next, Outcome, Scope, SkipReason, Tasks, call::decide, leaf};
use crate::{
    patterns,
    plan::{Body, Node, Recovery},
};

/// Executes a step: the one way through.
///
/// Whether it runs at all is decided first; then come its interceptors, the step itself, and what its failure does.
pub(crate) async fn execute(call: Call) -> Outcome {
    if call.node.in_task {
        return Tasks::run(call, |call| Box::pin(here(call))).await;
    }
    here(call).await
}

async fn here(mut call: Call) -> Outcome {
    let run = call.run.clone();
    let number = run.records().begin(call.path.clone(), call.node.clone(), run.clock().now());
    call.record = number;
    let outcome = match enter(&mut call).await {
        Ok(()) => enclosed(call).await,
        Err(outcome) => outcome,
    };
    run.records().end(number, &outcome, run.clock().now());
    outcome
}

/// Whether it runs at all: its list's reason against it, its condition, the run's limits.
async fn enter(call: &mut Call) -> Result<(), Outcome> {
    // Steps that never wait still leave room for others, and for a request to stop.
    tokio::task::coop::consume_budget().await;
    if call.cancel.is_cancelled() {
        return Err(call.cancelled());
    }
    call.run.count_step().map_err(|error| call.failed(error))?;
    if call.node.reads_start {
        let now = call.run.clock().now();
        call.started_at = Some(decide_now(call, now).await?);
    }
    if call.gate.is_some() || call.node.has_entry() {
        let reason = call.gate.take().map(|reason| *reason).or_else(|| condition(call));
        if let Some(reason) = decide_enter(call, reason).await? {
            return Err(Outcome::Skipped(reason));
        }
    }
    if let Some(name) = &call.node.name {
        let name = name.render(&call.view()).map_err(|error| call.failed(error.into()))?;
        let name = call.run.masked_text(name.as_str().unwrap_or_default().to_owned());
        call.run.records().name(call.record, &name);
    }
    Ok(())
}

async fn decide_now(call: &Call, now: jiff::Timestamp) -> Result<jiff::Timestamp, Outcome> {
    async fn inner(call: &Call, now: jiff::Timestamp) -> Choice<jiff::Timestamp> {
        Choice::Made(decide!(call, 0, Now(now)))
    }
    inner(call, now).await.into()
}

async fn decide_enter(call: &Call, reason: Option<SkipReason>) -> Result<Option<SkipReason>, Outcome> {
    async fn inner(call: &Call, reason: Option<SkipReason>) -> Choice<Option<SkipReason>> {
        Choice::Made(decide!(call, 0, Enter(reason)))
    }
    inner(call, reason).await.into()
}

/// What was chosen, or how the step ended over it.
enum Choice<T> {
    Made(T),
    Ended(Outcome),
}

impl<T> From<Outcome> for Choice<T> {
    fn from(outcome: Outcome) -> Self {
        Self::Ended(outcome)
    }
}

impl<T> From<Choice<T>> for Result<T, Outcome> {
    fn from(choice: Choice<T>) -> Self {
        match choice {
            Choice::Made(value) => Ok(value),
            Choice::Ended(outcome) => Err(outcome),
        }
    }
}

/// Why its condition keeps the step from running, if it does.
fn condition(call: &Call) -> Option<SkipReason> {
    let condition = call.node.condition.as_ref()?;
    match condition.test(&call.view()) {
        Ok(true) => None,
        Ok(false) => {
            Some(SkipReason::new("condition_false", format!("the condition `{}` is false", condition.source())))
        }
        Err(error) => {
            let message =
                format!("the condition `{}` cannot be evaluated and counts as false: {error}", condition.source());
            call.run.warn("condition_unevaluable", &call.path, message.clone());
            Some(SkipReason::new("condition_unevaluable", call.run.masked_text(message)))
        }
    }
}

/// The step with its interceptors around it, and what its failure does.
async fn enclosed(call: Call) -> Outcome {
    if matches!(call.node.recovery, Recovery::Fail) {
        return through(call).await;
    }
    let after = call.clone();
    match through(call).await {
        Outcome::Failed(failure) => recover(after, failure).await,
        outcome => outcome,
    }
}

async fn through(call: Call) -> Outcome {
    if call.node.slice.is_empty() {
        return perform(call).await;
    }
    Next::new(call.node.slice.clone()).run(call).await
}

/// What the failure of a step does to the steps around it.
fn recover(call: Call, failure: Failure) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        match &call.node.recovery {
            Recovery::Fail => Outcome::Failed(failure),
            Recovery::Continue => Outcome::Failed(Failure { handled: true, ..failure }),
            Recovery::Steps(handler) => handle(&call, failure, handler).await,
        }
    })
}

async fn handle(call: &Call, failure: Failure, handler: &Arc<Node>) -> Outcome {
    call.run.records().recovering(call.record, &failure.error);
    let around = if call.node.is_root { call.run.root_scope() } else { call.scope.clone() };
    let error: Arc<serde_json::Value> = Arc::new(json!(*failure.error));
    let scope = Scope::names(around, vec![("error", error)]);
    match Box::pin(execute(call.child(handler, Some(scope), call.state.clone()))).await {
        Outcome::Failed(second) => {
            let error = second.error.with_first_cause(*failure.error);
            Outcome::Failed(Failure { error: Box::new(error), handled: false })
        }
        outcome => outcome,
    }
}

/// Does what the step is for: the only place that looks at its kind.
pub(super) async fn perform(call: Call) -> Outcome {
    let node = call.node.clone();
    if call.run.secrets.is_empty() {
        return performed(call, &node).await;
    }
    let run = call.run.clone();
    // Blocks are made of what is masked already.
    let reads_secrets = node.is_root || matches!(node.body, Body::Set(_) | Body::Validate(_));
    run.masked_outcome(performed(call, &node).await, reads_secrets)
}

async fn performed(call: Call, node: &Node) -> Outcome {
    // Blocks that gather what their steps give make the outputs of that themselves.
    let gathers = matches!(node.body, Body::List(_) | Body::Route(_) | Body::Loop(_) | Body::Parallel(_));
    if node.outputs.is_some() && !gathers {
        let root = call.clone();
        return patterns::with_outputs(&root, by_kind(call, node).await);
    }
    by_kind(call, node).await
}

async fn by_kind(call: Call, node: &Node) -> Outcome {
    match &node.body {
        Body::Activity(plan) => leaf::activity(call, plan).await,
        Body::Set(values) => leaf::set(&call, values),
        Body::Sleep(length) => leaf::sleep(call, length).await,
        Body::Validate(plan) => leaf::validate(call, plan).await,
        Body::List(list) => patterns::list(call, list.clone()).await,
        Body::Choice(_) => patterns::choice(call).await,
        Body::Route(_) => patterns::route(call).await,
        Body::Loop(_) => patterns::loop_over(call).await,
        Body::Parallel(_) => patterns::parallel(call).await,
        Body::Code(workflow) => crate::workflow::code(call, workflow.clone()).await,
    }
}
