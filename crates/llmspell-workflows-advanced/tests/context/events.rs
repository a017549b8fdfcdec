//! What happens to runs is told, each thing as what it is.

use llmspell_workflows_advanced::{EnhancedExecutionContext, Message, Parking};
use llmspell_workflows_basic::{
    RunStatus,
    model::{Conditional, Loop, OnConflict, Parallel, Retry, Route, Step},
};
use llmspell_workflows_hooks::{
    Registration,
    answer::{Before, HookRetry, OnError},
    event::{EventKind, Filter, Received, Subscription},
    hook_fn,
    point::{BeforeStep, StepError},
};
use serde_json::json;

use crate::support::{context, echo, elsewhere, finished, post, put, sequence, soon, start, the_run, wait_for};

/// What was told so far, as `KIND PATH`.
fn told(subscription: &mut Subscription) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(received) = subscription.try_next() {
        let Received::Event(event) = received else { panic!("some were lost") };
        told.push(format!("{} {}", event.kind, event.subject()).trim_end().to_owned());
    }
    told
}

fn subscribed(context: &EnhancedExecutionContext, kinds: &[&str]) -> Subscription {
    context.event_bus.subscribe(kinds.iter().fold(Filter::all(), |filter, kind| filter.kind(*kind)))
}

#[tokio::test]
async fn a_run_is_started_and_completes() {
    let context = context();
    let mut events = subscribed(&context, &["run.*", "step.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    finished(&executor, run).await;
    assert_eq!(told(&mut events), ["run.started", "step.started /main/a", "step.completed /main/a", "run.completed"]);
}

#[tokio::test]
async fn a_run_fails_and_is_retried() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([Step::function("a", "flaky", json!(1))])).await;
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    let run = executor.retry(&the_run(&context).await, &Default::default()).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
    assert_eq!(told(&mut events), ["run.started", "run.failed", "run.rewound", "run.retried", "run.completed"]);
}

#[tokio::test]
async fn a_run_is_paused_and_resumed() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    run.control().pause();
    soon(executor.drive(run)).await.unwrap();
    let run = executor.resume(&the_run(&context).await).await.unwrap();
    finished(&executor, run).await;
    assert_eq!(told(&mut events), ["run.started", "run.asked", "run.paused", "run.resumed", "run.completed"]);
}

#[tokio::test]
async fn a_run_that_is_shut_down_is_paused() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    run.run().shut_down();
    soon(executor.drive(run)).await.unwrap();
    assert_eq!(told(&mut events), ["run.started", "run.paused"]);
}

#[tokio::test]
async fn a_run_is_parked_and_woken_by_a_signal() {
    let context = context().with_parking(Parking::ForSignals);
    let mut events = subscribed(&context, &["run.*", "signal.*", "step.waiting"]);
    let mut waits = subscribed(&context, &["run.waiting"]);
    let executor = context.executor();
    let run = start(&executor, sequence([wait_for("wait", "go")])).await;
    let running = tokio::spawn(async move { finished(&executor, run).await });
    soon(waits.next()).await;
    post(&context, Message::Signal { name: "go".into(), payload: json!(1) }).await;
    assert_eq!(running.await.unwrap().status, RunStatus::Completed);
    let expected = [
        "run.started",
        "signal.awaited /main/wait",
        "run.waiting",
        "run.woken",
        "signal.received /main/wait",
        "run.completed",
    ];
    assert_eq!(told(&mut events), expected);
}

#[tokio::test]
async fn a_run_is_cancelled_and_warned_of() {
    let cancel = hook_fn(|_| async { Ok(Before::Cancel("no".into())) });
    let context = context().with_hooks(|hooks| hooks.register(Registration::new("no").at(BeforeStep, cancel)));
    let mut events = subscribed(&context, &["run.*", "hook.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    finished(&executor, run).await;
    assert_eq!(told(&mut events), ["run.started", "hook.answered /main/a", "run.warned", "run.asked", "run.cancelled"]);
}

#[tokio::test]
async fn a_run_whose_trigger_is_false_is_skipped() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let mut definition = sequence([echo("a", json!(1))]);
    definition.trigger = Some("1 > 2".into());
    let run = start(&context.executor(), definition).await;
    finished(&context.executor(), run).await;
    assert_eq!(told(&mut events), ["run.started", "run.skipped"]);
}

#[tokio::test]
async fn what_is_undone_and_what_cannot_be_is_told() {
    for (undo, expected) in
        [("echo", ["run.started", "run.compensated"].as_slice()), ("fail", &["run.started", "run.stuck"])]
    {
        let context = context();
        let mut events = subscribed(&context, &["run.*"]);
        let paid = echo("a", json!(1)).with_compensation(Step::function("undo", undo, json!(1)));
        let executor = context.executor();
        let run = start(&executor, sequence([paid, Step::function("b", "fail", json!(1))])).await;
        soon(executor.drive(run)).await.unwrap();
        assert_eq!(told(&mut events), expected);
        let kept = context.state_manager.home().events(&the_run(&context).await).await.unwrap();
        assert!(kept.iter().any(|event| event.kind.as_str() == *expected.last().unwrap()), "{kept:?}");
    }
}

#[tokio::test]
async fn another_definition_is_told() {
    let context = context();
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    run.control().pause();
    soon(executor.drive(run)).await.unwrap();
    let mut events = subscribed(&context, &["run.*"]);
    let other = std::sync::Arc::new(sequence([echo("a", json!(2))]));
    let run = executor.resume_with(&the_run(&context).await, other).await.unwrap();
    finished(&executor, run).await;
    assert_eq!(told(&mut events), ["run.redefined", "run.resumed", "run.completed"]);
    let kept = context.state_manager.home().events(&the_run(&context).await).await.unwrap();
    assert!(kept.iter().any(|event| event.kind == EventKind::RunRedefined));
}

#[tokio::test]
async fn checkpoints_and_the_way_back_are_told() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([Step::function("a", "flaky", json!(1))])).await;
    executor.checkpoint(run.id(), "start").await.unwrap();
    finished(&executor, run).await;
    let run = executor.rollback(&the_run(&context).await, "start").await.unwrap();
    finished(&executor, run).await;
    let expected = [
        "run.started",
        "run.checkpointed",
        "run.failed",
        "run.rewound",
        "run.rolled_back",
        "run.resumed",
        "run.completed",
    ];
    assert_eq!(told(&mut events), expected);
}

#[tokio::test]
async fn what_is_known_from_before_is_not_told_again() {
    let context = context().with_parking(Parking::ForSignals);
    let executor = context.executor();
    let run = start(&executor, sequence([put("a", 1), wait_for("wait", "go"), echo("b", json!(1))])).await;
    soon(executor.drive(run)).await.unwrap();
    drop(executor);
    let context = elsewhere(context);
    let mut events = subscribed(&context, &["*"]);
    let executor = context.executor();
    let run = executor.resume(&the_run(&context).await).await.unwrap();
    run.run().signal("go", json!(1));
    finished(&executor, run).await;
    let told = told(&mut events);
    assert_eq!(told[0], "run.resumed");
    assert!(told.iter().all(|event| !event.ends_with("/main/a")), "{told:?}");
    assert!(told.contains(&"step.completed /main/b".to_owned()), "{told:?}");
}

/// Everything else that is told of steps, in one run that does all of it.
#[tokio::test]
async fn each_kind_of_event_of_steps_is_told() {
    let again = hook_fn(|_| async { Ok(OnError::Retry(HookRetry::once())) });
    let trouble = hook_fn(|_| async { Err::<Before, _>(llmspell_workflows_hooks::HookError::new("no answer")) });
    let registration = Registration::new("again").at(StepError, again).at(BeforeStep, trouble);
    let context = context().with_hooks(|hooks| hooks.register(registration));
    let mut events = subscribed(&context, &["*"]);
    let branch = |id: &str, k| Step::sequence(id, [put("set", k)]);
    let steps = [
        echo("never", json!(1)).when("false"),
        Step::function("retried", "flaky", json!(1)).with_retry(Retry::attempts(2)),
        Step::function("fails", "fail", json!(1)).with_on_error(llmspell_workflows_basic::model::OnError::Continue),
        Conditional::new("true", [echo("t", json!(1))], []).into_step("if"),
        Route::new("r", [echo("r", json!(1)).then("s"), echo("s", json!(1))]).into_step("route"),
        Loop::items(json!([1]), [echo("i", json!(1))]).into_step("each"),
        Parallel::new([branch("x", 1), branch("y", 2)]).with_on_conflict(OnConflict::Last).into_step("both"),
        wait_for("wait", "go"),
    ];
    let executor = context.executor();
    let run = start(&executor, sequence(steps)).await;
    run.run().signal("go", json!(1));
    finished(&executor, run).await;
    context.event_bus.publish_custom(uuid::Uuid::nil(), json!("of a host"));
    let told: Vec<_> = told(&mut events);
    let is_told = |kind: EventKind| told.iter().any(|event| event.split(' ').next() == Some(kind.as_str()));
    // Told by tests of their own, or only where a run does not complete.
    let elsewhere = [
        "run.failed",
        "run.cancelled",
        "run.compensated",
        "run.stuck",
        "run.asked",
        "run.forked",
        "run.rewound",
        "run.redefined",
        "run.skipped",
        "run.waiting",
        "run.resumed",
        "run.woken",
        "run.retried",
        "run.paused",
        "run.checkpointed",
        "run.rolled_back",
        "step.cancelled",
        "step.stuck",
        "step.waiting",
        "iteration.failed",
    ];
    let missing: Vec<_> =
        EventKind::ALL.iter().filter(|kind| !elsewhere.contains(&kind.as_str()) && !is_told(**kind)).collect();
    assert!(missing.is_empty(), "{missing:?} of {told:?}");
}

#[tokio::test]
async fn a_failed_iteration_and_a_stopped_step_are_told() {
    let context = context().with_parking(Parking::Never);
    let mut events = subscribed(&context, &["iteration.failed", "step.cancelled"]);
    let mut waits = subscribed(&context, &["signal.awaited"]);
    let executor = context.executor();
    let fails = Loop::items(json!([1]), [Step::function("i", "fail", json!(1))]).into_step("each");
    let run = start(&executor, sequence([fails])).await;
    finished(&executor, run).await;
    let run = start(&executor, sequence([wait_for("wait", "go")])).await;
    let running = run.run().clone();
    let finished = tokio::spawn(async move { finished(&executor, run).await });
    soon(waits.next()).await;
    running.cancel();
    assert_eq!(finished.await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(told(&mut events), ["iteration.failed /main/each[0]", "step.cancelled /main/wait"]);
}

/// What is told live of records: the number, the part, the kind and the path.
fn numbered(subscription: &mut Subscription) -> Vec<(u64, u32, String)> {
    let mut all = Vec::new();
    while let Some(Received::Event(event)) = subscription.try_next() {
        if let Some(sequence) = event.sequence {
            all.push((sequence, event.part, format!("{} {}", event.kind, event.subject())));
        }
    }
    all
}

#[tokio::test]
async fn live_events_have_the_numbers_and_the_content_of_the_journal_also_after_a_restart() {
    let context = context().with_parking(Parking::ForSignals);
    let executor = context.executor();
    let mut first = subscribed(&context, &["*"]);
    let block = Parallel::new([put("x", 1), echo("y", json!(1))]).into_step("both");
    let run = start(&executor, sequence([put("a", 1), block, wait_for("wait", "go"), echo("b", json!(1))])).await;
    soon(executor.drive(run)).await.unwrap();
    let mut told = numbered(&mut first);
    drop(executor);
    let context = elsewhere(context);
    let mut second = subscribed(&context, &["*"]);
    let executor = context.executor();
    let run = executor.resume(&the_run(&context).await).await.unwrap();
    run.run().signal("go", json!(1));
    finished(&executor, run).await;
    told.extend(numbered(&mut second));
    let kept = context.state_manager.home().events(&the_run(&context).await).await.unwrap();
    let kept: Vec<_> =
        kept.iter().map(|event| (event.sequence, event.part, format!("{} {}", event.kind, event.path))).collect();
    assert_eq!(told, kept);
    assert!(kept.iter().any(|(_, part, _)| *part > 0), "a record of which several events stem: {kept:?}");
    // A late client asks for what came after the last number that it has seen.
    let last = first_of(&told, "run.waiting ");
    assert_eq!(kept.iter().find(|(sequence, ..)| *sequence > last).unwrap().2, "run.resumed ");
}

fn first_of(told: &[(u64, u32, String)], what: &str) -> u64 {
    told.iter().find(|(.., event)| event == what).unwrap().0
}

#[tokio::test]
async fn who_asked_for_what_is_on_record() {
    let context = context().with_parking(Parking::Never);
    let executor = context.executor();
    let mut waits = subscribed(&context, &["signal.awaited"]);
    let run = start(&executor, sequence([wait_for("wait", "go")])).await;
    let running = tokio::spawn(async move { finished(&executor, run).await });
    soon(waits.next()).await;
    post(&context, Message::Cancel).await;
    assert_eq!(running.await.unwrap().status, RunStatus::Cancelled);
    let kept = context.state_manager.home().events(&the_run(&context).await).await.unwrap();
    let asked = kept.iter().find(|event| event.kind == EventKind::RunAsked).unwrap();
    assert_eq!(json!(asked.data), json!({"asked": {"request": "cancel", "by": {"who": "user"}}}));
}
