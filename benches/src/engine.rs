//! Benchmarks of steps, branches and loops in in-memory runs.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Engine, Plan, StepError, WorkflowInput, WorkflowState,
    activity::{Activities, Activity, ActivityContext, ActivityOutput, function},
    engine::{Interceptor, Position},
    model::{Definition, Loop, LoopSource, Parallel, Step},
};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::{
    figures::{Report, alternate, median, rounds},
    limits,
};

struct NoOp;

#[async_trait]
impl Activity for NoOp {
    async fn perform(&self, _context: ActivityContext) -> Result<ActivityOutput, StepError> {
        Ok(json!({"ok": true, "n": 1}).into())
    }
}

/// An interceptor that does not apply to any step.
struct NeverApplies;

impl Interceptor for NeverApplies {
    fn applies(&self, _step: &Step) -> bool {
        false
    }
}

fn activities() -> Activities {
    let mut activities = Activities::new();
    activities.register("function", "noop", NoOp);
    activities.register(
        "function",
        "sleep",
        function(|_| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(Value::Null)
        }),
    );
    activities.register("function", "burn", function(|_| async { Ok(json!(limits::burn(BURN_ROUNDS))) }));
    activities
}

/// The number of rounds of work in a CPU-bound branch.
const BURN_ROUNDS: u64 = 20_000_000;

fn engine(interceptors: usize) -> Engine {
    let builder = Engine::builder().activities(activities());
    (0..interceptors).fold(builder, |builder, _| builder.interceptor(Position::Hooks, NeverApplies)).build()
}

fn steps(count: usize, name: &str) -> Vec<Step> {
    (0..count).map(|n| Step::function(format!("s{n}"), name, json!({}))).collect()
}

/// Runs `plan` `times` times in a spawned task, as a service would.
fn run_repeatedly(runtime: &Runtime, engine: &Engine, plan: &Arc<Plan>, times: usize) {
    let (engine, plan) = (engine.clone(), plan.clone());
    let task = async move {
        for _ in 0..times {
            let finished = engine.run_plan(&plan, WorkflowInput::new(json!({}))).await.expect("the plan is valid");
            assert!(finished.error.is_none(), "{:?}", finished.error);
        }
    };
    runtime.block_on(async { tokio::spawn(task).await.expect("the task does not panic") });
}

fn run(runtime: &Runtime, engine: &Engine, plan: &Arc<Plan>) {
    run_repeatedly(runtime, engine, plan, 1);
}

fn prepared(engine: &Engine, definition: Definition) -> Arc<Plan> {
    engine.prepare(definition).unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn parallel(count: usize, name: &str, at_once: u32) -> Definition {
    let block = Parallel { max_parallelism: Some(at_once), ..Parallel::new(steps(count, name)) };
    Definition::sequence("parallel", [block.into_step("block")])
}

fn looped(iterations: i64, body: usize) -> Definition {
    let over = LoopSource::Range { start: json!(0), end: json!(iterations), step: json!(1) };
    Definition::sequence(
        "looped",
        [Loop { max_iterations: Some(1_000_000), ..Loop::new(over, steps(body, "noop")) }.into_step("each")],
    )
}

pub(crate) fn measure(report: &mut Report) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("the runtime starts");
    let engine = engine(0);
    sequential(report, &runtime, &engine);
    branches(report, &runtime, &engine);
    growth(report, &runtime, &engine);
    lists(report, &runtime, &engine);
    state(report);
}

fn sequential(report: &mut Report, runtime: &Runtime, engine: &Engine) {
    const RUNS: usize = 20;
    let plan = prepared(engine, Definition::sequence("steps", steps(1_000, "noop")));
    let ours = || run_repeatedly(runtime, engine, &plan, RUNS);
    let limit = || {
        runtime
            .block_on(async { tokio::spawn(limits::boxed_calls(1_000 * RUNS)).await.expect("the task does not panic") })
    };
    report.ratio("one of 1,000 steps in memory vs. a boxed call", 1_000 * RUNS as u32, "≤ 4 ×", alternate(ours, limit));

    let with_ten = self::engine(10);
    let plan_of_ten = prepared(&with_ten, Definition::sequence("steps", steps(1_000, "noop")));
    let ten = || run_repeatedly(runtime, &with_ten, &plan_of_ten, RUNS);
    let ours = || run_repeatedly(runtime, engine, &plan, RUNS);
    report.ratio(
        "the same with ten interceptors that do not apply vs. none",
        1_000 * RUNS as u32,
        "≤ 1.05 ×",
        alternate(ten, ours),
    );

    let definition = Arc::new(Definition::sequence("steps", steps(100, "noop")));
    report.time(
        "100 steps built and validated",
        1,
        "≤ 1 ms",
        &rounds(|| {
            let definition = Definition::sequence("steps", steps(100, "noop"));
            std::hint::black_box(engine.prepare(definition).expect("the definition is valid"));
        }),
    );
    drop(definition);
}

fn branches(report: &mut Report, runtime: &Runtime, engine: &Engine) {
    let plan = prepared(engine, parallel(1_000, "noop", 1_000));
    report.ratio(
        "1,000 no-op branches vs. spawned tasks",
        1,
        "≤ 1.5 ms",
        alternate(
            || run(runtime, engine, &plan),
            || runtime.block_on(async { tokio::spawn(limits::tasks(1_000)).await.expect("the task does not panic") }),
        ),
    );
    let plan = prepared(engine, parallel(1_000, "sleep", 100));
    report.ratio(
        "1,000 sleeps of 10 ms, 100 at a time, vs. plain tokio",
        1,
        "≤ 1.05 ×",
        alternate(
            || run(runtime, engine, &plan),
            || runtime.block_on(limits::sleeps(1_000, Duration::from_millis(10), 100)),
        ),
    );
    let one = prepared(engine, Definition::sequence("burn", steps(1, "burn")));
    let two = prepared(engine, parallel(2, "burn", 2));
    let (ours_two, ours_one) = alternate(|| run(runtime, engine, &two), || run(runtime, engine, &one));
    let (threads_two, threads_one) = alternate(
        || {
            let thread = std::thread::spawn(|| limits::burn(BURN_ROUNDS));
            std::hint::black_box(limits::burn(BURN_ROUNDS));
            std::hint::black_box(thread.join().expect("the thread does not panic"));
        },
        || {
            std::hint::black_box(limits::burn(BURN_ROUNDS));
        },
    );
    let gain = |one: &[Duration], two: &[Duration]| 2.0 * median(one).as_secs_f64() / median(two).as_secs_f64();
    let ratio = gain(&ours_one, &ours_two) / gain(&threads_one, &threads_two);
    report.plain("speedup from two CPU-bound branches vs. plain threads", ratio, "≥ 0.95 ×");
}

fn growth(report: &mut Report, runtime: &Runtime, engine: &Engine) {
    let (small, large) = (prepared(engine, looped(1_000, 1)), prepared(engine, looped(10_000, 1)));
    let (ten, one) = alternate(|| run(runtime, engine, &large), || run_repeatedly(runtime, engine, &small, 10));
    report.ratio("10,000 iterations vs. 10 × 1,000", 10_000, "linear", (ten, one));
    let (small, large) = (
        prepared(engine, Definition::sequence("steps", steps(100, "noop"))),
        prepared(engine, Definition::sequence("steps", steps(1_000, "noop"))),
    );
    let (ten, one) = alternate(|| run(runtime, engine, &large), || run_repeatedly(runtime, engine, &small, 10));
    report.ratio("1,000 steps vs. 10 × 100", 1_000, "linear", (ten, one));
}

/// Returns a loop in which each iteration appends a number to a list in the state.
fn collecting(iterations: i64) -> Definition {
    let set = |id: &str, value: Value| Step::set(id, Map::from_iter([("all".to_owned(), value)]));
    let over = LoopSource::Range { start: json!(0), end: json!(iterations), step: json!(1) };
    let body = [set("add", json!("{{ state.all.concat([loop.index]) }}"))];
    let each = Loop { max_iterations: Some(1_000_000), ..Loop::new(over, body) };
    Definition::sequence("collecting", [set("none", json!([])), each.into_step("each")])
}

fn lists(report: &mut Report, runtime: &Runtime, engine: &Engine) {
    let (small, large) = (prepared(engine, collecting(300)), prepared(engine, collecting(3_000)));
    let (ten, one) = alternate(|| run(runtime, engine, &large), || run_repeatedly(runtime, engine, &small, 10));
    report.ratio("a list in the state that grows to 3,000 items vs. ten that grow to 300", 3_000, "≤ 3 ×", (ten, one));
}

fn state(report: &mut Report) {
    const FORKS: u32 = 100_000;
    let state = |keys: usize| {
        let mut state = WorkflowState::new(Value::Null);
        (0..keys).for_each(|n| state.set(&format!("k{n}"), json!(n)).expect("a plain key"));
        state
    };
    let (small, large) = (state(10), state(10_000));
    let fork = |state: &WorkflowState| (0..FORKS).for_each(|_| drop(std::hint::black_box(state.clone())));
    report.ratio(
        "forking a state of 10,000 keys vs. one of 10",
        FORKS,
        "≈ 1 ×",
        alternate(|| fork(&large), || fork(&small)),
    );
}
