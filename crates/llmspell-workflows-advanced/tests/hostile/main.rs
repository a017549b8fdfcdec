//! Malicious export documents are refused, or read within limits and without a panic.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod fuzz;
mod refused;

use std::sync::Arc;

use llmspell_workflows_advanced::{Executor, Home, MemoryHome, StartOptions};
use llmspell_workflows_basic::{
    Engine, WorkflowInput,
    activity::{Activities, ActivityContext, function},
    model::{Definition, Step, StepKind, WaitForEvent},
};
use llmspell_workflows_testing::patterns;
use serde_json::{Map, Value, json};

fn home() -> Arc<dyn Home> {
    Arc::new(MemoryHome::new())
}

fn executor(home: &Arc<dyn Home>) -> Executor {
    let mut activities = Activities::new();
    for name in patterns::FUNCTIONS {
        let perform = function(move |context: ActivityContext| patterns::perform(name, context));
        activities.register("function", name, perform);
    }
    Executor::new(home.clone(), Engine::builder().activities(activities))
}

/// Runs `definition` until it ends or waits, and returns its export.
async fn export(definition: Definition) -> Value {
    let home = home();
    let executor = executor(&home);
    let input = WorkflowInput::new(patterns::input());
    let run = executor.start(definition, input, StartOptions::default()).await.unwrap();
    let id = run.id();
    executor.drive(run).await.unwrap();
    let known = home.find(&id.to_string()).await.unwrap();
    home.export(&known).await.unwrap()
}

/// Returns a workflow that completes two steps and then waits.
fn waiting() -> Definition {
    let wait = WaitForEvent { event: "go".into(), ..WaitForEvent::default() };
    let wait = Step::new("w", StepKind::WaitForEvent(wait));
    let set = Step::set("a", Map::from_iter([("n".to_owned(), json!([1, {"text": "x".repeat(100)}]))]));
    Definition::sequence("waiting", [set, Step::function("b", "echo", json!("hi")), wait])
}
