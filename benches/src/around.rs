//! What surrounds steps beside the engine: hooks, events, checkpoints.

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

use crate::figures::{Report, rounds, turns};

/// How many steps a run has, and how many runs a round.
const STEPS: u32 = 1_000;
const REPEAT: u32 = 20;

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
    runtime.block_on(async { tokio::spawn(task).await.expect("no panic") });
}

pub(crate) fn measure(report: &mut Report) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("two threads");
    nothing_switched_on(report, &runtime);
    hooks(report, &runtime);
    events(report);
    checkpoints(report, &runtime);
}

fn nothing_switched_on(report: &mut Report, runtime: &Runtime) {
    let basic = engine();
    let advanced = EnhancedExecutionContext::in_memory().with_engine(basic.clone()).engine();
    let (basic_plan, advanced_plan) = (prepared(&basic), prepared(&advanced));
    report.ratio(
        "a step of 1,000, advanced with nothing switched on, against basic",
        STEPS * REPEAT,
        "≤ 1.05 ×",
        turns(|| run(runtime, &advanced, &advanced_plan, REPEAT), || run(runtime, &basic, &basic_plan, REPEAT)),
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
    report.time("a step with ten hooks that do nothing", STEPS, "≤ 5 µs", &rounds(|| run(runtime, &hooked, &plan, 1)));
}

fn events(report: &mut Report) {
    const EVENTS: u32 = 100_000;
    let tell = |bus: &EventBus| {
        for _ in 0..EVENTS {
            let bus = std::hint::black_box(bus);
            bus.publish_unrecorded(EventKind::RunResumed, Uuid::nil(), jiff::Timestamp::UNIX_EPOCH, || EventData::None);
        }
    };
    let bus = EventBus::new();
    report.time("an event that nobody wants", EVENTS, "≤ 100 ns", &rounds(|| tell(&bus)));
    let subscription = bus.subscribe(Filter::all());
    report.time("an event with one subscriber", EVENTS, "≤ 1 µs", &rounds(|| tell(&bus)));
    drop(subscription);
}

fn checkpoints(report: &mut Report, runtime: &Runtime) {
    const CHECKPOINTS: u32 = 100;
    let context = EnhancedExecutionContext::in_memory().with_engine(engine());
    let executor = context.executor();
    let id = runtime.block_on(async {
        let run = executor.start(steps(10), WorkflowInput::default(), StartOptions::default()).await;
        let run = run.expect("it is valid");
        let id = run.id();
        executor.finish(run).await.expect("it is kept in memory");
        id
    });
    let make = || {
        runtime.block_on(async {
            for _ in 0..CHECKPOINTS {
                executor.checkpoint(id, "here").await.expect("it is kept in memory");
            }
        });
    };
    report.time("a checkpoint of a run of 10 steps, beyond its sync", CHECKPOINTS, "≤ 50 µs", &rounds(make));
}
