//! The events that runs publish.

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

use crate::support::{
    context, echo, elsewhere, finished, newest_run, post, put, sequence, start, wait_for, within_timeout,
};

/// Returns the events received so far, as `KIND PATH`.
fn received(subscription: &mut Subscription) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(received) = subscription.try_next() {
        let Received::Event(event) = received else { panic!("events were lost") };
        events.push(format!("{} {}", event.kind, event.subject()).trim_end().to_owned());
    }
    events
}

fn subscribed(context: &EnhancedExecutionContext, kinds: &[&str]) -> Subscription {
    context.event_bus.subscribe(kinds.iter().fold(Filter::all(), |filter, kind| filter.kind(*kind)))
}

#[tokio::test]
async fn completed_run_publishes_run_and_step_events_in_order() {
    let context = context();
    let mut events = subscribed(&context, &["run.*", "step.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    finished(&executor, run).await;
    assert_eq!(
        received(&mut events),
        ["run.started", "step.started /main/a", "step.completed /main/a", "run.completed"]
    );
}

#[tokio::test]
async fn retry_publishes_run_events_in_order() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([Step::function("a", "flaky", json!(1))])).await;
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    let run = executor.retry(&newest_run(&context).await, &Default::default()).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
    assert_eq!(received(&mut events), ["run.started", "run.failed", "run.rewound", "run.retried", "run.completed"]);
}

#[tokio::test]
async fn pausing_and_resuming_publish_run_events_in_order() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    run.control().pause();
    within_timeout(executor.drive(run)).await.unwrap();
    let run = executor.resume(&newest_run(&context).await).await.unwrap();
    finished(&executor, run).await;
    assert_eq!(received(&mut events), ["run.started", "run.asked", "run.paused", "run.resumed", "run.completed"]);
}

#[tokio::test]
async fn shutdown_publishes_run_paused() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    run.run().shut_down();
    within_timeout(executor.drive(run)).await.unwrap();
    assert_eq!(received(&mut events), ["run.started", "run.paused"]);
}

#[tokio::test]
async fn parking_and_waking_publish_run_events_in_order() {
    let context = context().with_parking(Parking::ForSignals);
    let mut events = subscribed(&context, &["run.*", "signal.*", "step.waiting"]);
    let mut waits = subscribed(&context, &["run.waiting"]);
    let executor = context.executor();
    let run = start(&executor, sequence([wait_for("wait", "go")])).await;
    let running = tokio::spawn(async move { finished(&executor, run).await });
    within_timeout(waits.next()).await;
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
    assert_eq!(received(&mut events), expected);
}

#[tokio::test]
async fn run_cancelled_by_a_hook_publishes_a_warning() {
    let cancel = hook_fn(|_| async { Ok(Before::Cancel("no".into())) });
    let context = context().with_hooks(|hooks| hooks.register(Registration::new("no").at(BeforeStep, cancel)));
    let mut events = subscribed(&context, &["run.*", "hook.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    finished(&executor, run).await;
    assert_eq!(
        received(&mut events),
        ["run.started", "hook.answered /main/a", "run.warned", "run.asked", "run.cancelled"]
    );
}

#[tokio::test]
async fn run_whose_trigger_is_false_publishes_run_skipped() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let mut definition = sequence([echo("a", json!(1))]);
    definition.trigger = Some("1 > 2".into());
    let run = start(&context.executor(), definition).await;
    finished(&context.executor(), run).await;
    assert_eq!(received(&mut events), ["run.started", "run.skipped"]);
}

#[tokio::test]
async fn compensated_and_stuck_runs_publish_how_they_stopped() {
    for (undo, expected) in
        [("echo", ["run.started", "run.compensated"].as_slice()), ("fail", &["run.started", "run.stuck"])]
    {
        let context = context();
        let mut events = subscribed(&context, &["run.*"]);
        let paid = echo("a", json!(1)).with_compensation(Step::function("undo", undo, json!(1)));
        let executor = context.executor();
        let run = start(&executor, sequence([paid, Step::function("b", "fail", json!(1))])).await;
        within_timeout(executor.drive(run)).await.unwrap();
        assert_eq!(received(&mut events), expected);
        let kept = context.state_manager.home().events(&newest_run(&context).await).await.unwrap();
        assert!(kept.iter().any(|event| event.kind.as_str() == *expected.last().unwrap()), "{kept:?}");
    }
}

#[tokio::test]
async fn redefining_a_run_publishes_run_redefined() {
    let context = context();
    let executor = context.executor();
    let run = start(&executor, sequence([echo("a", json!(1))])).await;
    run.control().pause();
    within_timeout(executor.drive(run)).await.unwrap();
    let mut events = subscribed(&context, &["run.*"]);
    let other = std::sync::Arc::new(sequence([echo("a", json!(2))]));
    let run = executor.resume_with(&newest_run(&context).await, other).await.unwrap();
    finished(&executor, run).await;
    assert_eq!(received(&mut events), ["run.redefined", "run.resumed", "run.completed"]);
    let kept = context.state_manager.home().events(&newest_run(&context).await).await.unwrap();
    assert!(kept.iter().any(|event| event.kind == EventKind::RunRedefined));
}

#[tokio::test]
async fn checkpoint_and_rollback_publish_events() {
    let context = context();
    let mut events = subscribed(&context, &["run.*"]);
    let executor = context.executor();
    let run = start(&executor, sequence([Step::function("a", "flaky", json!(1))])).await;
    executor.checkpoint(run.id(), "start").await.unwrap();
    finished(&executor, run).await;
    let run = executor.rollback(&newest_run(&context).await, "start").await.unwrap();
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
    assert_eq!(received(&mut events), expected);
}

#[tokio::test]
async fn resumed_run_does_not_publish_recorded_steps_again() {
    let context = context().with_parking(Parking::ForSignals);
    let executor = context.executor();
    let run = start(&executor, sequence([put("a", 1), wait_for("wait", "go"), echo("b", json!(1))])).await;
    within_timeout(executor.drive(run)).await.unwrap();
    drop(executor);
    let context = elsewhere(context);
    let mut events = subscribed(&context, &["*"]);
    let executor = context.executor();
    let run = executor.resume(&newest_run(&context).await).await.unwrap();
    run.run().signal("go", json!(1));
    finished(&executor, run).await;
    let published = received(&mut events);
    assert_eq!(published[0], "run.resumed");
    assert!(published.iter().all(|event| !event.ends_with("/main/a")), "{published:?}");
    assert!(published.contains(&"step.completed /main/b".to_owned()), "{published:?}");
}

/// Runs a workflow that publishes every kind of step event.
#[tokio::test]
async fn run_publishes_every_kind_of_step_event() {
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
    let published: Vec<_> = received(&mut events);
    let is_published = |kind: EventKind| published.iter().any(|event| event.split(' ').next() == Some(kind.as_str()));
    // These kinds are covered by other tests, or published only by runs that do not complete.
    let covered_elsewhere = [
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
    let missing: Vec<_> = EventKind::ALL
        .iter()
        .filter(|kind| !covered_elsewhere.contains(&kind.as_str()) && !is_published(**kind))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {published:?}");
}

#[tokio::test]
async fn failed_iteration_and_cancelled_step_publish_events() {
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
    within_timeout(waits.next()).await;
    running.cancel();
    assert_eq!(finished.await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(received(&mut events), ["iteration.failed /main/each[0]", "step.cancelled /main/wait"]);
}

/// Returns the received events that come from records, each as its record number, part, and kind
/// with path.
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
async fn live_events_match_the_journal_across_a_restart() {
    let context = context().with_parking(Parking::ForSignals);
    let executor = context.executor();
    let mut first = subscribed(&context, &["*"]);
    let block = Parallel::new([put("x", 1), echo("y", json!(1))]).into_step("both");
    let run = start(&executor, sequence([put("a", 1), block, wait_for("wait", "go"), echo("b", json!(1))])).await;
    within_timeout(executor.drive(run)).await.unwrap();
    let mut published = numbered(&mut first);
    drop(executor);
    let context = elsewhere(context);
    let mut second = subscribed(&context, &["*"]);
    let executor = context.executor();
    let run = executor.resume(&newest_run(&context).await).await.unwrap();
    run.run().signal("go", json!(1));
    finished(&executor, run).await;
    published.extend(numbered(&mut second));
    let kept = context.state_manager.home().events(&newest_run(&context).await).await.unwrap();
    let kept: Vec<_> =
        kept.iter().map(|event| (event.sequence, event.part, format!("{} {}", event.kind, event.path))).collect();
    assert_eq!(published, kept);
    assert!(kept.iter().any(|(_, part, _)| *part > 0), "at least one record has several events: {kept:?}");
    // A reconnecting client asks for the events after the last number it has seen.
    let last = first_of(&published, "run.waiting ");
    assert_eq!(kept.iter().find(|(sequence, ..)| *sequence > last).unwrap().2, "run.resumed ");
}

fn first_of(published: &[(u64, u32, String)], what: &str) -> u64 {
    published.iter().find(|(.., event)| event == what).unwrap().0
}

#[tokio::test]
async fn requests_are_recorded_with_their_requester() {
    let context = context().with_parking(Parking::Never);
    let executor = context.executor();
    let mut waits = subscribed(&context, &["signal.awaited"]);
    let run = start(&executor, sequence([wait_for("wait", "go")])).await;
    let running = tokio::spawn(async move { finished(&executor, run).await });
    within_timeout(waits.next()).await;
    post(&context, Message::Cancel).await;
    assert_eq!(running.await.unwrap().status, RunStatus::Cancelled);
    let kept = context.state_manager.home().events(&newest_run(&context).await).await.unwrap();
    let asked = kept.iter().find(|event| event.kind == EventKind::RunAsked).unwrap();
    assert_eq!(json!(asked.data), json!({"asked": {"request": "cancel", "by": {"who": "user", "message": 1}}}));
}
