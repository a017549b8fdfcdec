//! Benchmarks of hooks, events and checkpoints.

use std::sync::Arc;

use llmspell_workflows_advanced::{EnhancedExecutionContext, StartOptions};
use llmspell_workflows_basic::{
    Engine, Plan, WorkflowInput,
    activity::{Activities, function},
    model::{Definition, Step},
};
use llmspell_workflows_hooks::{
    EventBus, Registration,
    answer::Before,
    event::{EventData, EventKind, Filter},
    hook_fn,
    point::BeforeStep,
};
use serde_json::json;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::figures::{Report, alternate, rounds};

/// The number of steps in a run.
const STEPS: u32 = 1_000;

/// The number of runs in a round.
const RUNS: u32 = 20;

fn engine() -> Engine {
    let mut activities = Activities::new();
    activities.register("function", "noop", function(|_| async { Ok(json!({"ok": true, "n": 1})) }));
    Engine::builder().activities(activities).build()
}

fn steps(count: u32) -> Definition {
    Definition::sequence("steps", (0..count).map(|n| Step::function(format!("s{n}"), "noop", json!({}))))
}

fn prepared(engine: &Engine) -> Arc<Plan> {
    engine.prepare(steps(STEPS)).unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn run(runtime: &Runtime, engine: &Engine, plan: &Arc<Plan>, times: u32) {
    let (engine, plan) = (engine.clone(), plan.clone());
    let task = async move {
        for _ in 0..times {
            let finished = engine.run_plan(&plan, WorkflowInput::new(json!({}))).await.expect("the plan is valid");
            assert!(finished.error.is_none(), "{:?}", finished.error);
        }
    };
    runtime.block_on(async { tokio::spawn(task).await.expect("the task does not panic") });
}

pub(crate) fn measure(report: &mut Report) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("the runtime starts");
    advanced_overhead(report, &runtime);
    hooks(report, &runtime);
    events(report);
    checkpoints(report, &runtime);
}

fn advanced_overhead(report: &mut Report, runtime: &Runtime) {
    let basic = engine();
    let advanced = EnhancedExecutionContext::in_memory().with_engine(basic.clone()).engine();
    let (basic_plan, advanced_plan) = (prepared(&basic), prepared(&advanced));
    report.ratio(
        "one of 1,000 steps, advanced without any features, vs. basic",
        STEPS * RUNS,
        "≤ 1.05 ×",
        alternate(|| run(runtime, &advanced, &advanced_plan, RUNS), || run(runtime, &basic, &basic_plan, RUNS)),
    );
}

fn hooks(report: &mut Report, runtime: &Runtime) {
    let basic = engine();
    let hooked = EnhancedExecutionContext::in_memory().with_engine(basic.clone()).with_hooks(|hooks| {
        (0..10).fold(hooks, |hooks, n| {
            let noop = hook_fn(|_| async { Ok(Before::Continue) });
            hooks.register(Registration::new(format!("noop{n}")).at(BeforeStep, noop))
        })
    });
    let hooked = hooked.engine();
    let plan = prepared(&hooked);
    report.time("a step with ten no-op hooks", STEPS, "≤ 5 µs", &rounds(|| run(runtime, &hooked, &plan, 1)));
}

fn events(report: &mut Report) {
    const EVENTS: u32 = 100_000;
    let publish = |bus: &EventBus| {
        for _ in 0..EVENTS {
            let bus = std::hint::black_box(bus);
            bus.publish_unrecorded(EventKind::RunResumed, Uuid::nil(), jiff::Timestamp::UNIX_EPOCH, || EventData::None);
        }
    };
    let bus = EventBus::new();
    report.time("an event without a subscriber", EVENTS, "≤ 100 ns", &rounds(|| publish(&bus)));
    let subscription = bus.subscribe(Filter::all());
    report.time("an event with one subscriber", EVENTS, "≤ 1 µs", &rounds(|| publish(&bus)));
    drop(subscription);
}

fn checkpoints(report: &mut Report, runtime: &Runtime) {
    const CHECKPOINTS: u32 = 100;
    let context = EnhancedExecutionContext::in_memory().with_engine(engine());
    let executor = context.executor();
    let id = runtime.block_on(async {
        let run = executor.start(steps(10), WorkflowInput::default(), StartOptions::default()).await;
        let run = run.expect("the definition is valid");
        let id = run.id();
        executor.finish(run).await.expect("storage in memory does not fail");
        id
    });
    let checkpoint = || {
        runtime.block_on(async {
            for _ in 0..CHECKPOINTS {
                executor.checkpoint(id, "here").await.expect("storage in memory does not fail");
            }
        });
    };
    report.time("a checkpoint of a run of 10 steps, excluding its sync", CHECKPOINTS, "≤ 50 µs", &rounds(checkpoint));
}
