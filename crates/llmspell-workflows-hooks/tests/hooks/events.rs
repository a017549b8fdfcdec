//! Tests for the events that runs publish.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{RunOptions, WorkflowInput, engine::Position, model::*};
use llmspell_workflows_hooks::{
    Correlations, EventBus, HookContext, HookDispatcher, HookError, HookLayer, Registration,
    answer::Before,
    event::{Event, EventData, EventKind, EventLayer, Filter, JoinSummary, Received, Subscription, TimelineSettings},
    hook_fn,
    point::BeforeStep,
};
use llmspell_workflows_testing::crash::CrashTest;
use serde_json::json;

use crate::support::{Lab, RecordedRun, echo, fail, fixed, put, slow};

/// Returns all received events; panics if any are lost.
fn drain(subscription: &mut Subscription) -> Vec<Arc<Event>> {
    let received = std::iter::from_fn(|| subscription.try_next());
    received
        .map(|received| match received {
            Received::Event(event) => event,
            Received::Lost(count) => panic!("{count} events were lost"),
        })
        .collect()
}

/// Formats each event as its kind and path.
fn lines(events: &[Arc<Event>]) -> Vec<String> {
    events.iter().map(|event| format!("{} {}", event.kind, event.subject()).trim_end().to_owned()).collect()
}

/// Runs `definition` and returns the run's events whose kinds match `pattern`.
async fn events_of(definition: Definition, pattern: &str) -> Vec<Arc<Event>> {
    let bus = EventBus::new();
    let mut subscription = bus.subscribe(Filter::all().kind(pattern));
    let engine = Lab::new().engine().interceptor(Position::Hooks, EventLayer::new(bus)).build();
    engine.run(definition, WorkflowInput::default()).await.unwrap();
    drain(&mut subscription)
}

async fn events(steps: impl IntoIterator<Item = Step>, pattern: &str) -> Vec<Arc<Event>> {
    events_of(Definition::sequence("test", steps), pattern).await
}

#[tokio::test(start_paused = true)]
async fn events_of_a_run_and_its_steps_are_numbered() {
    let all = events([echo("a", json!(1)), put("b", "k", json!(1)), echo("c", json!(1)).when("false")], "*").await;
    let expected = [
        "run.started",
        "step.started /main/a",
        "step.completed /main/a",
        "step.started /main/b",
        "state.changed /main/b",
        "step.completed /main/b",
        "step.skipped /main/c",
        "run.completed",
    ];
    assert_eq!(lines(&all), expected);
    assert!(all.iter().map(|event| event.sequence).eq((0..8).map(Some)), "events are numbered from 0 without gaps");
    assert_eq!(
        all[0].data,
        EventData::Workflow { name: "test".into(), version: Definition::sequence("x", []).version.to_string() }
    );
    assert_eq!(all[4].data, EventData::Changed(vec!["k".into()]));
    let EventData::Skipped(reason) = &all[6].data else { panic!("{:?}", all[6]) };
    assert_eq!(reason.code, "condition_false");
    let text = serde_json::to_value(&*all[2]).unwrap();
    assert_eq!(
        (&text["type"], &text["path"], &text["schema_version"]),
        (&json!("step.completed"), &json!("/main/a"), &json!(2))
    );
    assert_eq!(text["id"], format!("{}#2", all[2].run_id));
}

#[tokio::test(start_paused = true)]
async fn failure_and_retry_events_contain_the_error_and_the_duration() {
    let retry = Retry { initial_delay: Duration::from_secs(5), jitter: 0.0, ..Retry::attempts(2) };
    let all = events([slow("s", 3_000), fail("a").with_retry(retry)], "*").await;
    let expected = [
        "run.started",
        "step.started /main/s",
        "step.completed /main/s",
        "step.started /main/a",
        "step.retrying /main/a",
        "step.failed /main/a",
        "run.failed",
    ];
    assert_eq!(lines(&all), expected);
    assert_eq!(all[2].data, EventData::Ended { duration: Duration::from_secs(3) });
    let failed = |event: &Event| match &event.data {
        EventData::Failed { error, duration } => (error.code.to_string(), duration.as_secs()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        [failed(&all[4]), failed(&all[5]), failed(&all[6])],
        [("boom".into(), 5), ("boom".into(), 5), ("boom".into(), 8)]
    );
    let second: jiff::Timestamp = "2026-01-01T00:00:03Z".parse().unwrap();
    assert_eq!(all[4].timestamp, second);
}

#[tokio::test(start_paused = true)]
async fn block_joined_event_counts_branches_by_outcome() {
    let ok = |id: &str| echo(id, json!(1));
    let block = Parallel::new([ok("x"), fail("y"), ok("z").when("false")]).with_error_mode(ErrorMode::BestEffort);
    let each = Loop {
        on_error: IterationErrors::Continue,
        ..Loop::items(json!([1, 2, 3]), [ok("i"), fail("f").when("loop.index == 1")])
    };
    let all = events([block.into_step("both"), each.into_step("each")], "*").await;
    let joins: Vec<_> = all.iter().filter(|event| event.kind == EventKind::BlockJoined).collect();
    let joined = |event: &Event| match &event.data {
        EventData::Joined(joined) => *joined,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        joined(joins[0]),
        JoinSummary { begun: 3, completed: 1, failed: 1, skipped: 1, ..JoinSummary::default() }
    );
    assert_eq!(joined(joins[1]), JoinSummary { begun: 3, completed: 2, failed: 1, ..JoinSummary::default() });
    let iterations: Vec<_> = lines(&all).into_iter().filter(|line| line.starts_with("iteration")).collect();
    let expected = [
        "iteration.started /main/each[0]",
        "iteration.completed /main/each[0]",
        "iteration.started /main/each[1]",
        "iteration.failed /main/each[1]",
        "iteration.started /main/each[2]",
        "iteration.completed /main/each[2]",
    ];
    assert_eq!(iterations, expected);
}

#[tokio::test(start_paused = true)]
async fn decisions_publish_events() {
    let branch = Conditional::new("true", [echo("t", json!(1))], []).into_step("if");
    let route = Route::new("s", [echo("s", json!(1)).then("t"), echo("t", json!(1))]).into_step("route");
    let each = Loop::items(json!([7]), [echo("i", json!(1))]).into_step("each");
    let both = Parallel::new([put("x", "k", json!(1)), put("y", "k", json!(2))]).with_on_conflict(OnConflict::Last);
    let all = events([branch, route, each, both.into_step("both")], "*").await;
    let decisions: Vec<_> = all.iter().filter(|event| matches!(event.data, EventData::Chosen(_))).cloned().collect();
    let expected = [
        "branch.chosen /main/if",
        "route.moved /main/route",
        "route.moved /main/route",
        "loop.items /main/each",
        "state.conflict /main/both",
    ];
    assert_eq!(lines(&decisions), expected);
    assert!(lines(&all).contains(&"run.warned".to_owned()), "the conflict also publishes a warning");
}

#[tokio::test(start_paused = true)]
async fn cancelling_waiting_and_skipping_publish_events() {
    let race = Parallel::new([slow("x", 10), Step::function("y", "hang", json!(null))]);
    let all = events([race.with_aggregation(Aggregation::First).into_step("race")], "*.cancelled").await;
    assert_eq!(lines(&all), ["step.cancelled /main/race/y"]);

    let mut definition = Definition::sequence("test", [echo("a", json!(1))]);
    definition.trigger = Some("false".into());
    assert_eq!(lines(&events_of(definition, "*").await), ["run.started", "run.skipped"]);

    struct Park;
    #[async_trait::async_trait]
    impl llmspell_workflows_basic::engine::Timers for Park {
        async fn until(
            &self,
            _: &llmspell_workflows_basic::engine::Call,
            _: jiff::Timestamp,
        ) -> llmspell_workflows_basic::engine::Wake {
            llmspell_workflows_basic::engine::Wake::Park
        }
    }
    let bus = EventBus::new();
    let mut subscription = bus.subscribe(Filter::all().kind("*.waiting"));
    let engine = Lab::new().engine().timers(Park).interceptor(Position::Hooks, EventLayer::new(bus)).build();
    let sleep = Step::new("nap", StepKind::Sleep(Delay::Fixed(Duration::from_secs(1))));
    let plan = engine.prepare(Definition::sequence("test", [sleep])).unwrap();
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    engine.drive(&run).await;
    assert_eq!(lines(&drain(&mut subscription)), ["step.waiting /main/nap", "run.waiting"]);

    let bus = EventBus::new();
    let mut subscription = bus.subscribe(Filter::all().kind("run.*"));
    let engine = Lab::new().engine().interceptor(Position::Hooks, EventLayer::new(bus)).build();
    let plan = engine.prepare(Definition::sequence("test", [echo("a", json!(1))])).unwrap();
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    run.cancel();
    engine.drive(&run).await;
    assert_eq!(lines(&drain(&mut subscription)), ["run.asked", "run.started", "run.cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn hook_answers_and_hook_failures_publish_events() {
    let bus = EventBus::new();
    let mut subscription = bus.subscribe(Filter::all().path("/main/a"));
    let bad = hook_fn(|_: HookContext| async { Err(HookError::new("no luck")) });
    let hooks = HookDispatcher::builder()
        .register(Registration::new("bad").at(BeforeStep, bad))
        .register(fixed(BeforeStep, Before::Skip("not today".into())))
        .events(bus.clone())
        .build();
    let engine = Lab::new()
        .engine()
        .interceptor(Position::Hooks, EventLayer::new(bus))
        .interceptor(Position::Hooks, HookLayer::new(Arc::new(hooks)))
        .build();
    engine.run(Definition::sequence("test", [echo("a", json!(1))]), WorkflowInput::default()).await.unwrap();
    let all = drain(&mut subscription);
    let expected = ["step.started /main/a", "hook.troubled /main/a", "hook.answered /main/a", "step.skipped /main/a"];
    assert_eq!(lines(&all), expected);
    let hook = EventData::Hook { hook: "bad".into(), point: "before_step".into(), code: "hook_failed".into() };
    assert_eq!(all[1].data, hook);
}

#[test]
fn resumed_runs_do_not_publish_earlier_events_again() {
    let block = Parallel { max_parallelism: Some(1), ..Parallel::new([echo("x", json!(1)), echo("y", json!(1))]) };
    let definition = Definition::sequence("test", [echo("a", json!(1)), block.into_step("both")]);
    let drive = |recorded: &RecordedRun, crash_at: Option<u64>| {
        let bus = EventBus::new();
        let mut subscription = bus.subscribe(Filter::all());
        let test = CrashTest::new(definition.clone(), json!({}))
            .activity("function", "echo", |context| async move { Ok(context.input().clone().into()) })
            .engine(move |engine| engine.interceptor(Position::Hooks, EventLayer::new(bus.clone())));
        recorded.process(&test, crash_at);
        drain(&mut subscription)
    };
    // Find the first crash point at which the first branch has been recorded.
    let crashed = (0..100).find_map(|crash_at| {
        let recorded = RecordedRun::default();
        let before = drive(&recorded, Some(crash_at));
        recorded.ended().contains(&"/main/both/x".to_owned()).then_some((recorded, before))
    });
    let (recorded, before) = crashed.unwrap();
    assert!(lines(&before).contains(&"step.completed /main/both/x".to_owned()));
    let after = drive(&recorded, None);
    let expected = [
        "run.started",
        "step.started /main/both",
        "step.started /main/both/y",
        "step.completed /main/both/y",
        "block.joined /main/both",
        "step.completed /main/both",
        "run.completed",
    ];
    assert_eq!(lines(&after), expected);
    let EventData::Joined(joined) = &after[4].data else { panic!("{:?}", after[4]) };
    assert_eq!((joined.begun, joined.completed), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn timeline_events_can_be_read_by_run_and_by_correlation_id() {
    let correlations = Correlations::default();
    let bus = EventBus::with(correlations.clone(), Some(TimelineSettings { runs_max: 2, events_max: 3 }));
    let engine = Lab::new().engine().interceptor(Position::Hooks, EventLayer::new(bus.clone())).build();
    let plan = engine.prepare(Definition::sequence("test", [echo("a", json!(1))])).unwrap();
    let mut runs = Vec::new();
    for _ in 0..3 {
        let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
        correlations.set(run.id(), "order-17");
        engine.drive(&run).await;
        runs.push(run.id());
    }
    assert!(bus.timeline(runs[0]).is_none(), "the first run was dropped");
    let timeline = bus.timeline(runs[2]).unwrap();
    let expected = ["step.started /main/a", "step.completed /main/a", "run.completed"];
    assert_eq!((lines(&timeline.events), timeline.lost), (expected.map(str::to_owned).to_vec(), 1));
    let all = bus.correlated("order-17");
    assert_eq!((all.events.len(), all.lost), (6, 2));
    assert!(all.events.iter().all(|event| event.correlation_id.as_deref() == Some("order-17")));
    assert!(bus.correlated("order-18").events.is_empty());
    correlations.forget(runs[2]);
    assert_eq!(*correlations.of(runs[2]), *runs[2].to_string());
}

#[tokio::test(start_paused = true)]
async fn host_can_publish_custom_events() {
    let bus = EventBus::new();
    let mut subscription = bus.subscribe(Filter::all().kind("custom"));
    bus.publish_custom(uuid::Uuid::nil(), json!({"order": 17}));
    assert_eq!(drain(&mut subscription)[0].data, EventData::Custom(json!({"order": 17})));
}
