//! Repeatedly runs a thousand steps, a thousand branches, or a thousand durable runs of 100 steps, for a profiler:
//! `cargo run --profile dist -p llmspell-workflows-benches --example profile -- branches 100`.

use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_advanced::{Executor, FolderHome, StartOptions};
use llmspell_workflows_basic::{
    Engine, StepError, WorkflowInput,
    activity::{Activities, Activity, ActivityContext, ActivityOutput},
    model::{Definition, Parallel, Step},
};
use serde_json::json;

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
        return durable(times);
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

/// Runs a thousand concurrent durable runs of 100 steps.
fn durable(times: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let mut activities = Activities::new();
    activities.register("function", "noop", NoOp);
    let executor = Executor::new(FolderHome::new(folder.path()), Engine::builder().activities(activities));
    let steps = (0..100).map(|n| Step::function(format!("s{n}"), "noop", json!({})));
    let definition = Arc::new(Definition::sequence("steps", steps));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the runtime starts").block_on(async {
        for _ in 0..times {
            let mut runs = tokio::task::JoinSet::new();
            for _ in 0..1_000 {
                let (executor, definition) = (executor.clone(), definition.clone());
                runs.spawn(async move {
                    let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await;
                    executor.drive(run.expect("the definition is valid")).await.expect("the journal can be written");
                });
            }
            while runs.join_next().await.is_some() {}
        }
    });
}
