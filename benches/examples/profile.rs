//! Repeatedly runs a thousand steps, a thousand branches or concurrent durable runs, for a
//! profiler:
//! `cargo run --profile dist -p llmspell-workflows-benches --example profile -- branches 100`, or
//! `… -- durable TIMES RUNS STEPS`, where RUNS defaults to 1,000 and STEPS to 100.

use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_advanced::{Executor, FolderHome, StartOptions};
use llmspell_workflows_basic::{
    Engine, StepError, WorkflowInput,
    activity::{Activities, Activity, ActivityContext, ActivityOutput},
    model::{Definition, Parallel, Step},
};
use mimalloc::MiMalloc;
use serde_json::json;

// The same allocator as in the benchmarks and in `spellflow`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct NoOp;

#[async_trait]
impl Activity for NoOp {
    async fn perform(&self, _context: ActivityContext) -> Result<ActivityOutput, StepError> {
        Ok(json!({"ok": true, "n": 1}).into())
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let shape = arguments.next().unwrap_or_else(|| "steps".to_owned());
    let times: usize = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(100);
    let mut activities = Activities::new();
    activities.register("function", "noop", NoOp);
    let engine = Engine::builder().activities(activities).build();
    let steps = || (0..1_000).map(|n| Step::function(format!("s{n}"), "noop", json!({})));
    if shape == "durable" {
        let mut number = |default| arguments.next().and_then(|count| count.parse().ok()).unwrap_or(default);
        return durable(times, number(1_000), number(100));
    }
    let (definition, mut runtime) = match shape.as_str() {
        "steps" => (Definition::sequence("steps", steps()), tokio::runtime::Builder::new_current_thread()),
        "branches" => {
            let block = Parallel { max_parallelism: Some(1_000), ..Parallel::new(steps()) };
            (Definition::sequence("branches", [block.into_step("block")]), tokio::runtime::Builder::new_multi_thread())
        }
        other => panic!("expected `steps`, `branches` or `durable`, got `{other}`"),
    };
    let plan = engine.prepare(definition).expect("the definition is valid");
    let runtime = runtime.enable_all().build().expect("the runtime starts");
    let run = async move {
        for _ in 0..times {
            engine.run_plan(&plan, WorkflowInput::new(json!({}))).await.expect("the definition is valid");
        }
    };
    runtime.block_on(async { tokio::spawn(run).await.expect("the task does not panic") });
}

/// Drives `runs` concurrent durable runs of `steps` steps each, and prints the time per step.
fn durable(times: usize, runs: usize, steps: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let mut activities = Activities::new();
    activities.register("function", "noop", NoOp);
    let executor = Executor::new(FolderHome::new(folder.path()), Engine::builder().activities(activities));
    let list = (0..steps).map(|n| Step::function(format!("s{n}"), "noop", json!({})));
    let definition = Arc::new(Definition::sequence("steps", list));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the runtime starts").block_on(async {
        let begin = std::time::Instant::now();
        for _ in 0..times {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..runs {
                let (executor, definition) = (executor.clone(), definition.clone());
                tasks.spawn(async move {
                    let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await;
                    executor.drive(run.expect("the definition is valid")).await.expect("the journal can be written");
                });
            }
            while tasks.join_next().await.is_some() {}
        }
        println!("{:?} per step", begin.elapsed() / u32::try_from(times * runs * steps).unwrap_or(u32::MAX));
    });
}
