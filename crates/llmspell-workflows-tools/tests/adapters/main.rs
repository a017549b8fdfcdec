//! Tests that run steps with this crate's activities.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod shell;
mod tools;

use std::sync::Arc;

use llmspell_workflows_basic::{
    Engine, Finished, Problem, StepError, WorkflowInput,
    model::{Definition, Step},
};
use llmspell_workflows_tools::{JsonSchemas, Policy, Tools, activities, registry};
use serde_json::{Value, json};

/// Returns a policy for `folder` that allows every program.
fn policy(folder: &tempfile::TempDir) -> Policy {
    let roots = json!([folder.path()]);
    let fields =
        json!({"working_directory": folder.path(), "read_roots": roots, "write_roots": roots, "programs": ["*"]});
    serde_json::from_value(fields).unwrap()
}

fn engine(policy: Policy) -> Engine {
    let policy = Arc::new(policy);
    let registry = {
        let policy = policy.clone();
        Tools::lazy(move || registry(policy).map(Arc::new))
    };
    Engine::builder().activities(activities(registry, policy).unwrap()).schemas(JsonSchemas::new()).build()
}

/// Runs a workflow with a single step in an empty directory.
async fn run(step: Step) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    run_in(policy(&folder), step).await
}

async fn run_in(policy: Policy, step: Step) -> Finished {
    engine(policy).run(Definition::sequence("test", [step]), WorkflowInput::new(Value::Null)).await.unwrap()
}

fn error(finished: &Finished) -> &StepError {
    finished.error.as_ref().unwrap_or_else(|| panic!("the run completed with {}", finished.output))
}

/// Validates a definition with a single step, under a policy whose only root is an empty directory.
fn problems(step: Step) -> Vec<Problem> {
    let folder = tempfile::tempdir().unwrap();
    engine(policy(&folder)).validate(Definition::sequence("test", [step]))
}
