//! Ownership of runs, and how it is released.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use llmspell_workflows_advanced::{
    DurableEnd, Executor, ExecutorError, MemoryHome, Message, Parking, RewindOptions, RunHandle, StartOptions,
};
use llmspell_workflows_basic::{
    Engine, RunStatus, StepError, WorkflowInput,
    activity::{Activities, Activity, ActivityContext, ActivityOutput, Leftovers, function},
    model::*,
};
use llmspell_workflows_testing::crash::SimClock;
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::lab::{Lab, finished, start};

fn wait(id: &str, event: &str) -> Step {
    Step::new(id, StepKind::WaitForEvent(WaitForEvent { event: event.into(), ..Default::default() }))
}

fn waits() -> Definition {
    let after = Step::function("after", "echo", json!("{{ gate.data }}"));
    Definition::sequence("waits", [Step::function("before", "echo", json!(1)), wait("gate", "open"), after])
}

/// The maximum time that a test waits.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

async fn within_timeout<T>(future: impl Future<Output = T>) -> T {
    timeout(TIMEOUT_MAX, future).await.expect("timed out")
}

async fn until_parked(executor: &Executor, count: usize) {
    within_timeout(async {
        while executor.parked() != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn ends_with(handle: RunHandle, expected: serde_json::Value) {
    match within_timeout(handle.wait()).await.unwrap() {
        DurableEnd::Finished(end) => assert_eq!((end.error, &*end.output), (None, &expected)),
        other => panic!("the run did not finish: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_run_can_be_resumed_by_the_same_executor() {
    let lab = Lab::new();
    let executor = lab.executor();
    for round in 0..3 {
        let run = start(&executor, waits()).await;
        let id = run.id();
        assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)), "round {round}");
        let open = Message::Signal { name: "open".into(), payload: json!(round) };
        lab.home().post(&lab.known(id).await, &open).await.unwrap();
        let run = executor.resume(&lab.known(id).await).await.unwrap();
        assert_eq!(*finished(&executor, run).await.output, json!(round));
    }
    assert_eq!(lab.performed.counts()["/main/before#1"], 3, "completed steps do not run again");
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_run_can_be_signalled_cancelled_paused_and_taken_over() {
    let lab = Lab::new();
    let executor = lab.executor();
    let mut handles = Vec::new();
    for _ in 0..5 {
        handles.push(executor.spawn(start(&executor, waits()).await));
    }
    until_parked(&executor, 5).await;
    assert_eq!(executor.in_memory(), 0);
    let mut handles = handles.into_iter();

    let signalled = handles.next().unwrap();
    signalled.signal("open", json!("yes")).await.unwrap();
    ends_with(signalled, json!("yes")).await;

    let cancelled = handles.next().unwrap();
    assert_eq!(cancelled.status().await.unwrap(), RunStatus::Waiting);
    cancelled.cancel().await.unwrap();
    let DurableEnd::Finished(end) = within_timeout(cancelled.wait()).await.unwrap() else {
        panic!("the run did not finish")
    };
    assert_eq!(end.status, RunStatus::Cancelled);

    let paused = handles.next().unwrap();
    paused.pause().await.unwrap();
    assert!(matches!(within_timeout(paused.wait()).await.unwrap(), DurableEnd::Paused));

    let taken = handles.next().unwrap();
    let run = executor.resume(&lab.known(taken.id()).await).await.unwrap();
    assert!(matches!(within_timeout(taken.wait()).await.unwrap(), DurableEnd::Released));
    let error = executor.resume(&lab.known(run.id()).await).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Driven { .. }), "{error}");
    drop(run);

    // Dropping the handle does not affect the run.
    let dropped = handles.next().unwrap();
    let id = dropped.id();
    drop(dropped);
    let open = Message::Signal { name: "open".into(), payload: json!(1) };
    lab.home().post(&lab.known(id).await, &open).await.unwrap();
    within_timeout(async {
        while lab.known(id).await.status() != RunStatus::Completed {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_drive_future_releases_the_run() {
    let lab = Lab::new();
    let executions = Arc::new(AtomicUsize::new(0));
    let mut activities = Activities::new();
    let count = executions.clone();
    activities.register(
        "function",
        "hangs_once",
        function(move |context: ActivityContext| {
            let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if is_first {
                    context.cancelled().await;
                    return Err(StepError::transient("stopped", "the step was stopped"));
                }
                Ok(json!("done"))
            }
        }),
    );
    let executor = Executor::new(lab.home(), Engine::builder().activities(activities));
    let hangs = Definition::sequence("hangs", [Step::function("a", "hangs_once", json!(null))]);
    let run = start(&executor, hangs).await;
    let id = run.id();
    {
        let mut driven = std::pin::pin!(executor.drive(run));
        within_timeout(async {
            while executions.load(Ordering::SeqCst) == 0 {
                tokio::select! {
                    biased;
                    _ = &mut driven => panic!("the step should hang"),
                    () = tokio::task::yield_now() => {}
                }
            }
        })
        .await;
        let error = executor.resume(&lab.known(id).await).await.unwrap_err();
        assert!(matches!(error, ExecutorError::Driven { .. }), "{error}");
    }
    let run = executor.resume(&lab.known(id).await).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!("done"));
    assert_eq!(executions.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_run_before_it_is_driven_releases_it() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, waits()).await;
    let id = run.id();
    let error = executor.resume(&lab.known(id).await).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Driven { .. }), "{error}");
    drop(run);
    drop(executor.resume(&lab.known(id).await).await.unwrap());
}

#[tokio::test]
async fn shutdown_releases_parked_runs_without_waking_them() {
    let lab = Lab::new();
    let executor = lab.executor();
    let handle = executor.spawn(start(&executor, waits()).await);
    until_parked(&executor, 1).await;
    let known = lab.known(handle.id()).await;
    within_timeout(executor.shut_down(Duration::ZERO)).await;
    assert!(matches!(within_timeout(handle.wait()).await.unwrap(), DurableEnd::Released));
    assert_eq!((executor.parked(), executor.in_memory()), (0, 0));
    let open = Message::Signal { name: "open".into(), payload: json!(2) };
    lab.home().post(&known, &open).await.unwrap();
    assert_eq!((executor.parked(), executor.in_memory()), (0, 0));
    let definition = Definition::sequence("late", [Step::set("a", serde_json::Map::new())]);
    let late = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await;
    assert!(matches!(late, Err(ExecutorError::ShutDown)));
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_run_can_be_checkpointed_redefined_and_forked() {
    let lab = Lab::new();
    let executor = lab.executor();
    let handle = executor.spawn(start(&executor, waits()).await);
    until_parked(&executor, 1).await;
    let id = handle.id();
    executor.checkpoint(id, "at the gate").await.unwrap();
    handle.signal("open", json!("first")).await.unwrap();
    ends_with(handle, json!("first")).await;

    let handle = executor.spawn(start(&executor, waits()).await);
    until_parked(&executor, 1).await;
    let known = lab.known(handle.id()).await;
    let run = executor.resume_with(&known, Arc::new(waits())).await.unwrap();
    assert!(matches!(within_timeout(handle.wait()).await.unwrap(), DurableEnd::Released));
    drop(run);
    let fork = RewindOptions { from: Some("before".to_owned()), step_input: None, ..Default::default() };
    let handle = executor.spawn(executor.fork(&known, &fork).await.unwrap());
    handle.signal("open", json!("forked")).await.unwrap();
    ends_with(handle, json!("forked")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_runs_wake_in_the_order_of_their_wake_times() {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let executor = Executor::new(MemoryHome::new(), Engine::builder().clock(clock.clone()))
        .parking(Parking::After(Duration::ZERO));
    let mut handles = Vec::new();
    for hours in [3, 1, 2] {
        let nap = Step::new("nap", StepKind::Sleep(Duration::from_secs(hours * 3600).into()));
        let run = executor
            .start(Definition::sequence("naps", [nap]), WorkflowInput::default(), StartOptions::default())
            .await
            .unwrap();
        handles.push((hours, executor.spawn(run)));
    }
    until_parked(&executor, 3).await;
    handles.sort_by_key(|(hours, _)| *hours);
    for (left, (_, handle)) in (0..3).rev().zip(handles) {
        clock.advance(Duration::from_secs(3600));
        assert!(matches!(within_timeout(handle.wait()).await.unwrap(), DurableEnd::Finished(_)));
        assert_eq!(executor.parked(), left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_executor_releases_parked_runs() {
    let lab = Lab::new();
    let executor = lab.executor();
    let handle = executor.spawn(start(&executor, waits()).await);
    until_parked(&executor, 1).await;
    let known = lab.known(handle.id()).await;
    drop(executor);
    assert!(matches!(within_timeout(handle.wait()).await.unwrap(), DurableEnd::Released));
    let other = lab.executor();
    let run = other.resume(&known).await.unwrap();
    let open = Message::Signal { name: "open".into(), payload: json!(2) };
    lab.home().post(&lab.known(run.id()).await, &open).await.unwrap();
    assert_eq!(*finished(&other, run).await.output, json!(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_can_be_resumed_after_shutdown() {
    let lab = Lab::new();
    let executor = Executor::new(lab.home(), lab.engine().activities(hanging()));
    let hangs = Definition::sequence("hangs", [Step::function("a", "hangs", json!(null))]);
    let handle = executor.spawn(start(&executor, hangs).await);
    let id = handle.id();
    within_timeout(executor.shut_down(Duration::ZERO)).await;
    assert!(matches!(within_timeout(handle.wait()).await.unwrap(), DurableEnd::Paused));
    assert!(matches!(executor.resume(&lab.known(id).await).await, Err(ExecutorError::ShutDown)));
    drop(executor);
    let other = Executor::new(lab.home(), lab.engine().activities(hanging()));
    // The run's task keeps the journal for a moment after reporting the end.
    let resumed = async {
        loop {
            match other.resume(&lab.known(id).await).await {
                Err(ExecutorError::Held { .. }) => tokio::task::yield_now().await,
                resumed => return resumed,
            }
        }
    };
    drop(within_timeout(resumed).await.unwrap());
}

/// An activity whose first execution hangs.
struct HangsOnce {
    executions: Arc<AtomicUsize>,
    may_leave_leftovers: bool,
}

#[async_trait]
impl Activity for HangsOnce {
    async fn perform(&self, context: ActivityContext) -> Result<ActivityOutput, StepError> {
        if self.executions.fetch_add(1, Ordering::SeqCst) < 2 {
            context.cancelled().await;
            return Err(StepError::transient("stopped", "the step was stopped"));
        }
        Ok(json!(null).into())
    }

    fn may_leave_leftovers(&self) -> bool {
        self.may_leave_leftovers
    }
}

/// Notes for which steps it is asked to end leftovers.
struct Noted(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Leftovers for Noted {
    async fn end(&self, _: Uuid, paths: &[String]) -> Vec<String> {
        self.0.lock().unwrap().extend_from_slice(paths);
        Vec::new()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_are_looked_for_only_if_an_interrupted_step_may_have_left_some() {
    let lab = Lab::new();
    let (executions, asked) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let mut activities = Activities::new();
    for (name, may_leave_leftovers) in [("process", true), ("pure", false)] {
        let executions = executions.clone();
        activities.register("function", name, HangsOnce { executions, may_leave_leftovers });
    }
    activities.end_leftovers_with(Noted(Arc::clone(&asked)));
    let executor = Executor::new(lab.home(), Engine::builder().activities(activities));
    let steps = [Step::function("a", "process", json!(null)), Step::function("b", "pure", json!(null))];
    let both = Definition::sequence("both", [Parallel::new(steps).into_step("branches")]);
    let run = start(&executor, both).await;
    let id = run.id();
    let begun = async {
        while executions.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = executor.drive(run) => panic!("the steps should hang"),
        () = within_timeout(begun) => {}
    }
    let run = executor.resume(&lab.known(id).await).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
    assert_eq!(*asked.lock().unwrap(), ["/main/branches/a"]);
}

/// Returns activities with a function that never returns.
fn hanging() -> Activities {
    let mut activities = Activities::new();
    activities.register(
        "function",
        "hangs",
        function(|context: ActivityContext| async move {
            context.cancelled().await;
            Err::<serde_json::Value, _>(StepError::transient("stopped", "the step was stopped"))
        }),
    );
    activities
}
