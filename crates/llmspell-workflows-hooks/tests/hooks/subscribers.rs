//! Tests which subscribers receive which events, and what happens if a subscriber is too slow.

use std::sync::{Arc, Mutex};

use llmspell_workflows_basic::{
    WorkflowInput,
    engine::Position,
    model::{Definition, Loop, Parallel},
};
use llmspell_workflows_hooks::{
    EventBus,
    event::{EventKind, EventLayer, Filter, Received, Subscription},
};
use serde_json::json;

use crate::support::{Lab, echo};

fn definition() -> Definition {
    let each = Loop::items(json!([1, 2]), [echo("i", json!(1))]).into_step("each");
    Definition::sequence("test", [each, Parallel::new([echo("x", json!(1))]).into_step("both")])
}

async fn run(bus: &EventBus) {
    let engine = Lab::new().engine().interceptor(Position::Hooks, EventLayer::new(bus.clone())).build();
    engine.run(definition(), WorkflowInput::default()).await.unwrap();
}

fn drain(subscription: &mut Subscription) -> Vec<String> {
    let received = std::iter::from_fn(|| subscription.try_next());
    received
        .map(|received| match received {
            Received::Event(event) => format!("{} {}", event.kind, event.subject()),
            Received::Lost(count) => format!("lost {count}"),
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn filters_match_kinds_and_paths_by_pattern() {
    for (filter, expected) in [
        (Filter::all().kind("run.completed"), vec!["run.completed "]),
        (Filter::all().kind("block.*"), vec!["block.joined /main/each", "block.joined /main/both"]),
        (
            Filter::all().kind("*.started").path("/main/each[*]"),
            vec!["iteration.started /main/each[0]", "iteration.started /main/each[1]"],
        ),
        (
            Filter::all().kind("step.completed").kind("run.started").path("/main/**/x"),
            vec!["step.completed /main/both/x"],
        ),
        (Filter::all().run(uuid::Uuid::nil()), vec![]),
        (Filter::all().correlation("nobody"), vec![]),
        (Filter::all().kind("nothing.*"), vec![]),
    ] {
        let bus = EventBus::new();
        let mut subscription = bus.subscribe(filter.clone());
        run(&bus).await;
        assert_eq!(drain(&mut subscription), expected, "{filter:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn event_kinds_are_wanted_only_while_they_have_subscribers() {
    let bus = EventBus::new();
    assert!(!bus.is_wanted());
    let one = bus.subscribe(Filter::all().kind("step.*"));
    let two = bus.subscribe(Filter::all().kind("run.completed"));
    assert!(bus.wants(EventKind::StepFailed) && bus.wants(EventKind::RunCompleted));
    assert!(!bus.wants(EventKind::RunStarted));
    drop(one);
    assert!(!bus.wants(EventKind::StepFailed) && bus.wants(EventKind::RunCompleted));
    drop(two);
    assert!(!bus.is_wanted());
}

#[tokio::test(start_paused = true)]
async fn slow_subscribers_lose_the_oldest_events_and_receive_the_number_lost() {
    let bus = EventBus::new();
    let mut stuck = bus.subscribe_with(Filter::all().kind("step.*"), 3);
    let mut quick = bus.subscribe(Filter::all().kind("step.*"));
    // The run ends even though the slow subscriber has received nothing.
    run(&bus).await;
    let all = drain(&mut quick);
    assert_eq!(all.len(), 10);
    let mut expected = vec![format!("lost {}", all.len() - 3)];
    expected.extend(all[all.len() - 3..].iter().cloned());
    assert_eq!(drain(&mut stuck), expected);
    assert_eq!(drain(&mut stuck), Vec::<String>::new(), "the loss is reported once");
}

#[tokio::test(start_paused = true)]
async fn subscriptions_wait_for_events_and_end_with_the_bus() {
    let bus = EventBus::new();
    let mut subscription = bus.subscribe(Filter::all().kind("custom"));
    let waiting = tokio::spawn(async move {
        let mut seen = 0;
        while let Some(Received::Event(_)) = subscription.next().await {
            seen += 1;
        }
        seen
    });
    for _ in 0..3 {
        tokio::task::yield_now().await;
        bus.publish_custom(uuid::Uuid::nil(), json!(1));
    }
    drop(bus);
    assert_eq!(waiting.await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_can_be_converted_into_streams() {
    use futures_util::StreamExt;
    let bus = EventBus::new();
    let stream = bus.subscribe(Filter::all().kind("run.*")).into_stream();
    run(&bus).await;
    drop(bus);
    assert_eq!(stream.collect::<Vec<_>>().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn panicking_handlers_still_handle_the_next_event() {
    let bus = EventBus::new();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let first = Arc::new(Mutex::new(true));
    let handler_task = bus.handle(Filter::all().kind("run.*"), move |received| {
        let (sender, first) = (sender.clone(), first.clone());
        async move {
            let Received::Event(event) = received else { panic!("nothing is lost") };
            let is_first = std::mem::replace(&mut *first.lock().unwrap(), false);
            assert!(!is_first, "boom");
            sender.send(event.kind).unwrap();
        }
    });
    run(&bus).await;
    assert_eq!(receiver.recv().await, Some(EventKind::RunCompleted));
    drop(handler_task);
    assert_eq!(receiver.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn only_if_wanted_checks_for_subscribers_when_a_definition_is_prepared() {
    let bus = EventBus::new();
    let layer = EventLayer::only_if_wanted(bus.clone());
    let engine = Lab::new().engine().interceptor(Position::Hooks, layer).build();
    let without_events = engine.prepare(definition()).unwrap();
    let mut subscription = bus.subscribe(Filter::all().kind("step.*"));
    engine.run_plan(&without_events, WorkflowInput::default()).await.unwrap();
    assert_eq!(drain(&mut subscription), Vec::<String>::new());
    engine.run(definition(), WorkflowInput::default()).await.unwrap();
    assert_eq!(drain(&mut subscription).len(), 10);
}
