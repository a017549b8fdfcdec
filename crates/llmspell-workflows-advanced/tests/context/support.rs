use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use llmspell_workflows_advanced::{
    DurableEnd, DurableRun, EnhancedExecutionContext, Executor, KnownRun, Message, Parking, RunQuery, StartOptions,
};
use llmspell_workflows_basic::{
    Engine, EngineBuilder, Finished, StepError, WorkflowInput,
    activity::{Activities, ActivityContext, ActivityOutput, function},
    engine::{Call, Timers, Wake},
    model::{Definition, Step, StepKind, WaitForEvent},
};
use llmspell_workflows_testing::crash::SimClock;
use serde_json::{Value, json};

/// The executed attempts, as `PATH#ATTEMPT`.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// Timers that end each wait at once.
struct ImmediateTimers;

#[async_trait]
impl Timers for ImmediateTimers {
    async fn until(&self, _call: &Call, _wake_at: jiff::Timestamp) -> Wake {
        Wake::Due
    }
}

pub(crate) fn clock() -> SimClock {
    SimClock::new("2026-01-01T00:00:00Z".parse().unwrap())
}

/// Returns an engine builder with test activities, each available as a function, a tool and an
/// agent.
pub(crate) fn builder(log: &Log, clock: &SimClock) -> EngineBuilder {
    let mut activities = Activities::new();
    for name in ["echo", "fail", "put", "flaky", "work", "generation", "recovers"] {
        let (log, clock) = (log.clone(), clock.clone());
        let perform = move |context: ActivityContext| {
            log.lock().unwrap().push(format!("{}#{}", context.path(), context.attempt()));
            if matches!(name, "work" | "recovers") {
                let now = context.now() + Duration::from_millis(100);
                clock.set(now);
            }
            async move { perform(name, &context) }
        };
        activities.register("function", name, function(perform.clone()));
        activities.register("tool", name, function(perform.clone()));
        activities.register("agent", name, function(perform));
    }
    Engine::builder().activities(activities).clock(clock.clone()).timers(ImmediateTimers)
}

fn perform(name: &str, context: &ActivityContext) -> Result<ActivityOutput, StepError> {
    let input = context.input().clone();
    match name {
        "fail" => Err(StepError::transient("boom", "the step failed")),
        "recovers" if context.attempt() == 1 => Err(StepError::transient("boom", "the step failed")),
        "flaky" if context.path().generation() == 1 && context.attempt() == 1 => {
            Err(StepError::transient("boom", "the step failed"))
        }
        "put" => Ok(ActivityOutput::from(input.clone()).with_state("k", input["k"].clone())),
        "generation" => Ok(json!(context.path().generation()).into()),
        _ => Ok(input.into()),
    }
}

pub(crate) fn engine() -> Engine {
    builder(&Log::default(), &clock()).build()
}

pub(crate) fn context() -> EnhancedExecutionContext {
    EnhancedExecutionContext::in_memory().with_engine(engine())
}

pub(crate) fn echo(id: &str, value: Value) -> Step {
    Step::function(id, "echo", value)
}

pub(crate) fn put(id: &str, k: i64) -> Step {
    Step::function(id, "put", json!({"k": k}))
}

pub(crate) fn wait_for(id: &str, event: &str) -> Step {
    let wait = WaitForEvent { event: event.to_owned(), ..WaitForEvent::default() };
    Step::new(id, StepKind::WaitForEvent(wait))
}

pub(crate) fn sequence(steps: impl IntoIterator<Item = Step>) -> Definition {
    Definition::sequence("test", steps)
}

pub(crate) async fn start(executor: &Executor, definition: Definition) -> DurableRun {
    executor.start(definition, WorkflowInput::new(json!({})), StartOptions::default()).await.unwrap()
}

/// Drops the context and returns a new context over the same home, as in another process.
pub(crate) fn elsewhere(context: EnhancedExecutionContext) -> EnhancedExecutionContext {
    let home = context.state_manager.home().clone();
    let engine = context.basic_context.engine().clone();
    drop(context);
    EnhancedExecutionContext::new(home).with_engine(engine).with_parking(Parking::ForSignals)
}

pub(crate) async fn newest_run(context: &EnhancedExecutionContext) -> KnownRun {
    context.state_manager.home().runs(&RunQuery::default()).await.unwrap().remove(0)
}

/// Waits until no process owns the newest run.
pub(crate) async fn until_free(context: &EnhancedExecutionContext) {
    within_timeout(async {
        while newest_run(context).await.holder.is_some() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Sends a message to the newest run, as another terminal would.
pub(crate) async fn post(context: &EnhancedExecutionContext, message: Message) {
    context.state_manager.home().post(&newest_run(context).await, &message).await.unwrap();
}

/// Awaits `future` and panics if it does not complete within the timeout.
pub(crate) async fn within_timeout<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("timed out")
}

pub(crate) async fn finished(executor: &Executor, run: DurableRun) -> Finished {
    match within_timeout(executor.finish(run)).await.unwrap() {
        DurableEnd::Finished(finished) => *finished,
        other => panic!("the run did not finish: {other:?}"),
    }
}
