//! A hook that fails, panics, hangs or blocks is reported and costs at most its timeout.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use llmspell_workflows_basic::{
    Engine, RunStatus, WorkflowInput,
    engine::Position,
    model::{Conditional, Definition, Delay, Loop, OnError as OnErrorPolicy, Step, StepKind},
};
use llmspell_workflows_hooks::{
    BreakerSettings, Combine, HookContext, HookDispatcher, HookError, HookLayer, HostPoint, Point, Priority,
    Registration,
    answer::{Before, Observe, OnError, Permit},
    hook_fn,
    point::*,
};
use serde_json::json;

use crate::support::{Lab, LabRun, code, echo, fail, fixed, output, seconds};

fn failing_hook() -> Registration {
    let hook = hook_fn(|_: HookContext| async { Err(HookError::new("no luck")) });
    Registration::new("bad").at(BeforeStep, hook)
}

fn panicking_hook() -> Registration {
    let hook = hook_fn(|_: HookContext| async { panic!("oh no") });
    Registration::new("bad").at(BeforeStep, hook)
}

fn hanging_hook() -> Registration {
    let hook = hook_fn(|_: HookContext| std::future::pending());
    Registration::new("bad").at(BeforeStep, hook).timeout(Duration::from_secs(3))
}

/// Runs two steps, calling the hook `bad` and then a good hook before each.
async fn run(bad: Registration, combine: Combine) -> LabRun {
    let good = fixed(BeforeStep, Before::ModifyInput(json!("good"))).priority(Priority::LOW);
    let hooks = HookDispatcher::builder().register(bad).register(good).combine(BeforeStep, combine);
    Lab::new().run(Definition::sequence("test", [echo("a", json!(1)), echo("b", json!("{{ a }}"))]), hooks).await
}

#[tokio::test(start_paused = true)]
async fn failed_hooks_are_reported_and_the_next_hook_is_called() {
    type Bad = fn() -> Registration;
    let rows: [(Bad, &str, &str, i64); 3] = [
        (failing_hook, "hook_failed", "the hook `bad` at before_step failed: no luck", 0),
        (panicking_hook, "hook_panicked", "the hook `bad` at before_step panicked: oh no", 0),
        (hanging_hook, "hook_timed_out", "the hook `bad` at before_step did not answer within 3s", 3),
    ];
    for combine in [Combine::Sequence, Combine::Parallel] {
        for (bad, code, message, cost) in rows {
            let ran = run(bad(), combine).await;
            assert_eq!((output(&ran), seconds(&ran)), (json!("good"), cost * 2), "{code}");
            let warnings: Vec<_> = ran.finished.warnings.iter().map(|w| (&*w.code, &*w.path, &*w.message)).collect();
            assert_eq!(warnings, [(code, "/main/a", message), (code, "/main/b", message)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn step_fails_if_a_required_hook_fails() {
    type Bad = fn() -> Registration;
    let rows: [(Bad, &str); 3] =
        [(failing_hook, "hook_failed"), (panicking_hook, "hook_panicked"), (hanging_hook, "hook_timed_out")];
    for (bad, expected) in rows {
        let ran = run(bad().required(), Combine::Sequence).await;
        assert_eq!((code(&ran), ran.finished.status, ran.started.len()), (expected, RunStatus::Failed, 0));
        assert_eq!(ran.finished.error.as_ref().unwrap().path.as_deref(), Some("/main/a"));
    }
}

/// Runs a loop of `count` iterations, one per second, with this hook.
async fn run_loop(registration: Registration, count: usize) -> LabRun {
    let pause = Step::new("pause", StepKind::Sleep(Delay::Fixed(Duration::from_secs(1))));
    let each = Loop::items(json!(vec![0; count]), [echo("a", json!(1)), pause]).into_step("each");
    let hooks = HookDispatcher::builder().register(registration);
    Lab::new().run(Definition::sequence("test", [each]), hooks).await
}

#[tokio::test(start_paused = true)]
async fn repeatedly_failing_hooks_are_disabled_and_later_tried_again() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = calls.clone();
    let hook = hook_fn(move |_: HookContext| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Err(HookError::new("no luck")) }
    });
    let selector = llmspell_workflows_hooks::Selector::all().id("a");
    let bad = Registration::new("bad").at(BeforeStep, hook).select(selector);
    let bad = bad.breaker(BreakerSettings { threshold: 3, recovery: Duration::from_secs(10) });
    let ran = run_loop(bad, 20).await;
    // Three calls at 0, 1 and 2 s, then one trial call at 12 s.
    assert_eq!((calls.load(Ordering::SeqCst), ran.started.len()), (4, 20));
    let are_disabled: Vec<_> = ran.finished.warnings.iter().map(|w| w.message.contains("disabled")).collect();
    assert_eq!(are_disabled, [false, false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn step_fails_if_a_required_hook_is_disabled() {
    let bad = failing_hook().required().breaker(BreakerSettings { threshold: 1, recovery: Duration::from_secs(10) });
    let hooks = HookDispatcher::builder().register(bad);
    let steps = [echo("a", json!(1)).with_on_error(OnErrorPolicy::Continue), echo("b", json!(1))];
    let ran = Lab::new().run(Definition::sequence("test", steps), hooks).await;
    assert_eq!((code(&ran), ran.started.len()), ("hook_cut_off", 0));
}

#[test]
fn hooks_that_block_their_thread_are_abandoned() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let blocking = hook_fn(move |_: HookContext| {
        // Blocks until the test releases it.
        let _ = released.lock().unwrap().recv();
        async { Ok(Before::Cancel("too late to matter".into())) }
    });
    let bad = Registration::new("bad").at(BeforeStep, blocking).timeout(Duration::from_millis(20));
    let selector = llmspell_workflows_hooks::Selector::all().id("a");
    let hooks = HookDispatcher::builder()
        .register(bad.select(selector))
        .register(fixed(BeforeStep, Before::ModifyInput(json!("good"))).priority(Priority::LOW));
    let steps = [echo("a", json!(1)), echo("b", json!("{{ a }}"))];
    let run = async move { Lab::new().run(Definition::sequence("test", steps), hooks).await };
    let bounded = async { tokio::spawn(tokio::time::timeout(Duration::from_secs(60), run)).await };
    let ran = runtime.block_on(bounded).unwrap().expect("the run does not wait for the hook");
    drop(release);
    assert_eq!(output(&ran), "good");
    let warnings: Vec<_> = ran.finished.warnings.iter().map(|w| (&*w.code, &*w.path)).collect();
    assert_eq!(warnings, [("hook_blocked", "/main/a")]);
}

#[tokio::test(start_paused = true)]
async fn hanging_hooks_time_out_at_decisions_and_after_steps() {
    async fn run_at<P: Point>(point: P, steps: Vec<Step>) -> LabRun {
        let hook = hook_fn(|_: HookContext| std::future::pending());
        let hooks = HookDispatcher::builder()
            .register(Registration::new("bad").at(point, hook).timeout(Duration::from_secs(3)));
        Lab::new().run(Definition::sequence("test", steps), hooks).await
    }
    let choice = vec![Conditional::new("true", [echo("t", json!(1))], []).into_step("if")];
    let branch = run_at(BranchDecision, choice).await;
    assert_eq!((output(&branch), seconds(&branch)), (json!(1), 3));
    let failed = run_at(StepError, vec![fail("a")]).await;
    assert_eq!((code(&failed), seconds(&failed)), ("boom", 3));
    let completed = run_at(AfterWorkflowComplete, vec![echo("a", json!(1))]).await;
    assert_eq!((output(&completed), seconds(&completed)), (json!(1), 3));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_run_drops_its_hanging_hook() {
    struct SignalOnDrop(Option<tokio::sync::oneshot::Sender<()>>);
    impl Drop for SignalOnDrop {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(());
        }
    }
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let once = Mutex::new(Some((SignalOnDrop(Some(sender)), started)));
    let hook = hook_fn(move |_: HookContext| {
        let (guard, started) = once.lock().unwrap().take().unwrap();
        async move {
            let _guard = guard;
            started.send(()).unwrap();
            std::future::pending().await
        }
    });
    let bad = Registration::new("bad").at(BeforeStep, hook).timeout(Duration::from_secs(1_000_000));
    let layer = HookLayer::new(Arc::new(HookDispatcher::builder().register(bad).build()));
    let engine: Engine = Lab::new().engine().interceptor(Position::Hooks, layer).build();
    let definition = Definition::sequence("test", [echo("a", json!(1))]);
    let run = tokio::spawn(async move { engine.run(definition, WorkflowInput::default()).await });
    has_started.await.unwrap();
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    receiver.await.unwrap();
}

/// A point defined by a host.
struct BeforeOrder;

impl Point for BeforeOrder {
    type Answer = Permit;
    const POINT: llmspell_workflows_hooks::HookPoint = llmspell_workflows_hooks::HookPoint::Custom("before_order");
}

#[tokio::test(start_paused = true)]
async fn host_can_fire_custom_points_and_executor_points() {
    async fn refused_course<P: Point<Answer = Permit> + Copy>(point: P) -> String {
        let dispatcher = HookDispatcher::builder().register(fixed(point, Permit::Cancel("no".into()))).build();
        format!("{:?}", dispatcher.fire(point, HostPoint::default()).await.unwrap().course)
    }
    assert_eq!(refused_course(WorkflowCheckpoint).await, "Cancel(\"no\")");
    assert_eq!(refused_course(WorkflowRollback).await, "Cancel(\"no\")");
    assert_eq!(refused_course(WorkflowPause).await, "Cancel(\"no\")");
    assert_eq!(refused_course(WorkflowResume).await, "Cancel(\"no\")");
    assert_eq!(refused_course(SignalReceived).await, "Cancel(\"no\")");
    assert_eq!(refused_course(CompensationStart).await, "Cancel(\"no\")");

    async fn observed_point<P: Point<Answer = Observe> + Copy>(point: P) -> String {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let hook = hook_fn(move |context: HookContext| {
            sender.send(context.point().to_string()).unwrap();
            async { Ok(Observe::Continue) }
        });
        let dispatcher = HookDispatcher::builder().register(Registration::new("look").at(point, hook)).build();
        assert!(dispatcher.fire(point, HostPoint::default()).await.unwrap().is_continue());
        receiver.recv().await.unwrap()
    }
    assert_eq!(observed_point(SignalWait).await, "signal_wait");
    assert_eq!(observed_point(CompensationEnd).await, "compensation_end");

    let hook = hook_fn(|context: HookContext| async move {
        assert_eq!((context.path(), context.step().is_none()), ("/main/a".into(), true));
        match context.input()?.unwrap()["total"].as_u64() {
            Some(total) if total < 100 => Ok(Permit::Continue),
            _ => Ok(Permit::Cancel("too much".into())),
        }
    });
    let dispatcher = HookDispatcher::builder().register(Registration::new("limit").at(BeforeOrder, hook)).build();
    let order = |total: u64| HostPoint { run_id: None, path: "/main/a".into(), data: json!({"total": total}) };
    assert!(dispatcher.fire(BeforeOrder, order(5)).await.unwrap().is_continue());
    assert!(!dispatcher.fire(BeforeOrder, order(500)).await.unwrap().is_continue());

    let hook = hook_fn(|_: HookContext| async { Err(HookError::new("no luck")) });
    let dispatcher =
        HookDispatcher::builder().register(Registration::new("bad").at(BeforeOrder, hook).required()).build();
    assert_eq!(dispatcher.fire(BeforeOrder, order(5)).await.unwrap_err().code, "hook_failed");
}

#[tokio::test(start_paused = true)]
async fn late_answers_are_ignored() {
    // This hook would answer after its timeout if it were not dropped.
    let hook = hook_fn(|_: HookContext| async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok(OnError::Replace(json!("too late")))
    });
    let hooks = HookDispatcher::builder()
        .register(Registration::new("late").at(StepError, hook).timeout(Duration::from_secs(1)));
    let ran = Lab::new().run(Definition::sequence("test", [fail("a")]), hooks).await;
    assert_eq!((code(&ran), seconds(&ran)), ("boom", 1));
}
