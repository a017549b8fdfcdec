//! Connects this crate to the engine: steps that call tools or start processes, schema checks, and expressions.

mod expressions;
mod paths;
mod schemas;
mod shell;
mod tools;
mod urls;

use std::sync::Arc;

use llmspell_workflows_basic::activity::Activities;

use crate::{Extensions, Policy, Registry, ToolError, register_all_with};

pub use expressions::Expressions;
pub use schemas::JsonSchemas;
pub use shell::Shell;
pub use tools::Tools;

/// Creates a registry with every tool of this crate; its `rule_engine` evaluates the project's own expressions.
///
/// # Errors
/// Fails if a root of `policy` cannot be opened.
pub fn registry(policy: Arc<Policy>) -> Result<Registry, ToolError> {
    let mut registry = Registry::new().with_output_bytes_max(policy.output_bytes_max);
    register_all_with(&mut registry, policy, Extensions::new().with_expressions(Arc::new(Expressions)))?;
    Ok(registry)
}

/// Returns the activities of this crate: `tool` steps call `tools`, and `shell` steps start processes.
///
/// Steps of both types are checked before a run. The error for an unknown tool suggests the nearest name, and
/// parameters are checked against the tool's schema.
///
/// ```
/// use std::sync::Arc;
/// use llmspell_workflows_basic::{Engine, WorkflowInput, model::{Definition, Step}};
/// use llmspell_workflows_tools::{JsonSchemas, Policy, Tools, activities, registry};
/// use serde_json::json;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let policy = Arc::new(Policy::default());
/// let tools = Tools::new(Arc::new(registry(policy.clone())?));
/// let activities = activities(tools, policy)?;
/// let engine = Engine::builder().activities(activities).schemas(JsonSchemas::new()).build();
///
/// let definition = Definition::sequence("mood", [
///     Step::tool("mood", "sentiment-analyzer", json!({"input": "{{ text }}", "operations": ["sentiment"]})),
/// ]);
/// let finished = engine.run(definition, WorkflowInput::new(json!({"text": "Not bad at all!"}))).await?;
/// assert_eq!(finished.output["sentiment"]["label"], "positive");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Errors
/// Fails if a root of `policy` cannot be opened.
pub fn activities(tools: Tools, policy: Arc<Policy>) -> Result<Activities, ToolError> {
    let mut activities = Activities::new();
    activities.provide("tool", tools);
    activities.register("shell", "", Shell::new(policy)?);
    activities.end_leftovers_with(shell::Processes);
    Ok(activities)
}
