//! The activities of this crate in a running engine.
#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

mod shell;
mod tools;

use std::sync::Arc;

use llmspell_workflows_basic::{
    Engine, Finished, Problem, StepError, WorkflowInput,
    model::{Definition, Step},
};
use llmspell_workflows_tools::{JsonSchemas, Policy, Tools, activities, registry};
use serde_json::{Value, json};

/// A policy for `folder` that lets any program start.
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
        Tools::when_needed(move || registry(policy).map(Arc::new))
    };
    Engine::builder().activities(activities(registry, policy).unwrap()).schemas(JsonSchemas::new()).build()
}

/// Runs one step in an empty folder.
async fn run(step: Step) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    run_in(policy(&folder), step).await
}

async fn run_in(policy: Policy, step: Step) -> Finished {
    engine(policy).run(Definition::sequence("test", [step]), WorkflowInput::new(Value::Null)).await.unwrap()
}

fn error(finished: &Finished) -> &StepError {
    finished.error.as_ref().unwrap_or_else(|| panic!("it completed with {}", finished.output))
}

/// What is wrong with a definition of one step, under the policy of an empty folder.
fn problems(step: Step) -> Vec<Problem> {
    let folder = tempfile::tempdir().unwrap();
    engine(policy(&folder)).validate(Definition::sequence("test", [step]))
}
