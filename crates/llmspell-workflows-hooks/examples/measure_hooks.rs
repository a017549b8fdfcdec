//! Measures the overhead that hooks and events add to a step:
//! `cargo run --profile dist -p llmspell-workflows-hooks --example measure_hooks`; append `-- 1` to use one thread.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use llmspell_workflows_basic::{
    Engine, EngineBuilder, WorkflowInput,
    activity::{Activities, function},
    engine::Position,
    model::{Definition, Step},
};
use llmspell_workflows_hooks::{
    EventBus, HookContext, HookDispatcher, HookLayer, Point, Registration, Selector,
    answer::Answer,
    event::{EventKind, EventLayer, Filter},
    hook_fn,
    point::{AfterStep, BeforeStep},
};
use serde_json::json;

const STEPS: u32 = 1_000;
const ROUNDS: usize = 31;
const EVENTS: u32 = 1_000_000;

fn engine() -> EngineBuilder {
    let mut activities = Activities::new();
    activities.register("function", "noop", function(|_| async { Ok(json!({"ok": true, "n": 1})) }));
    Engine::builder().activities(activities)
}

/// Creates ten registrations of a no-op hook at `point`.
fn ten_no_ops<P: Point + Copy>(point: P) -> Vec<Registration> {
    no_ops(point, 10)
}

fn no_ops<P: Point + Copy>(point: P, count: usize) -> Vec<Registration> {
    let hook = |number| {
        let nothing = hook_fn(|_: HookContext| async { Ok(<P::Answer as Answer>::CONTINUE) });
        Registration::new(format!("no-op {number}")).at(point, nothing)
    };
    (0..count).map(hook).collect()
}

fn layer(registrations: impl IntoIterator<Item = Registration>) -> HookLayer {
    let builder = HookDispatcher::builder();
    let builder = registrations.into_iter().fold(builder, |builder, each| builder.register(each));
    HookLayer::new(Arc::new(builder.build()))
}

/// Measures the median time of one step.
async fn step(engine: Engine) -> Duration {
    let steps = (0..STEPS).map(|n| Step::function(format!("s{n}"), "noop", json!({})));
    let plan = engine.prepare(Definition::sequence("steps", steps)).expect("the definition is valid");
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let finished = engine.run_plan(&plan, WorkflowInput::default()).await.expect("the definition is valid");
        times.push(start.elapsed() / STEPS);
        assert!(finished.error.is_none());
    }
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn row(what: &str, time: Duration, base: Duration) {
    let more = time.as_nanos().cast_signed() - base.as_nanos().cast_signed();
    println!("{what:<58} {:>7} ns  {more:>+7} ns", time.as_nanos());
}

/// Measures the time to publish one custom event.
fn event(bus: &EventBus) -> Duration {
    let run_id = uuid::Uuid::nil();
    let start = Instant::now();
    for _ in 0..EVENTS {
        bus.publish_custom(run_id, serde_json::Value::Null);
    }
    start.elapsed() / EVENTS
}

async fn measure() {
    let base = step(engine().build()).await;
    row("a step", base, base);
    let elsewhere = ten_no_ops(BeforeStep).into_iter().map(|each| each.select(Selector::all().id("nobody")));
    let time = step(engine().interceptor(Position::Hooks, layer(elsewhere)).build()).await;
    row("with ten hooks that do not select the step", time, base);
    let time = step(engine().interceptor(Position::Hooks, layer(no_ops(BeforeStep, 1))).build()).await;
    row("with one no-op hook before the step", time, base);
    let time = step(engine().interceptor(Position::Hooks, layer(ten_no_ops(BeforeStep))).build()).await;
    row("with ten no-op hooks before the step", time, base);
    let both = ten_no_ops(BeforeStep).into_iter().chain(ten_no_ops(AfterStep));
    let time = step(engine().interceptor(Position::Hooks, layer(both)).build()).await;
    row("with ten no-op hooks before the step and ten after", time, base);

    let bus = EventBus::new();
    let time = step(engine().interceptor(Position::Hooks, EventLayer::only_if_wanted(bus.clone())).build()).await;
    row("with `only_if_wanted` events and no subscriber", time, base);
    let time = step(engine().interceptor(Position::Hooks, EventLayer::new(bus.clone())).build()).await;
    row("with events and no subscriber (2 events)", time, base);
    let stuck = bus.subscribe(Filter::all());
    let time = step(engine().interceptor(Position::Hooks, EventLayer::new(bus.clone())).build()).await;
    row("with events and one stuck subscriber (2 events)", time, base);
    drop(stuck);

    assert!(!bus.wants(EventKind::Custom));
    row("an event without a subscriber", event(&bus), Duration::ZERO);
    let stuck = bus.subscribe(Filter::all());
    row("an event with one stuck subscriber", event(&bus), Duration::ZERO);
    drop(stuck);
}

fn main() {
    let is_single = std::env::args().nth(1).is_some_and(|threads| threads == "1");
    let mut builder = match is_single {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build().expect("the runtime starts");
    runtime.block_on(async { tokio::spawn(measure()).await.expect("the task does not panic") });
}
