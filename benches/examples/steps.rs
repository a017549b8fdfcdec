//! A thousand steps, again and again, for a profiler: `cargo run --release --example steps -- 100`.

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Engine, StepError, WorkflowInput,
    activity::{Activities, Activity, ActivityContext, ActivityOutput},
    model::{Definition, Step},
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
    let times: usize = std::env::args().nth(1).and_then(|times| times.parse().ok()).unwrap_or(100);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut activities = Activities::new();
    activities.register("function", "noop", NoOp);
    let engine = Engine::builder().activities(activities).build();
    let steps = (0..1_000).map(|n| Step::function(format!("s{n}"), "noop", json!({})));
    let plan = engine.prepare(Definition::sequence("steps", steps)).expect("it is valid");
    runtime.block_on(async {
        for _ in 0..times {
            engine.run_plan(&plan, WorkflowInput::new(json!({}))).await.expect("it is valid");
        }
    });
}
