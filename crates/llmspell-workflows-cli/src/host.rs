//! The engine and the tools as the configuration says.

use std::sync::Arc;

use llmspell_workflows_basic::{EngineBuilder, Engine};
use llmspell_workflows_tools::{JsonSchemas, Policy, Registry};

use crate::{Failure, config::Settings};

/// The tools, under the policy of `settings`.
///
/// # Errors
/// A folder that tools may use cannot be opened.
pub(crate) fn tools(settings: &Settings) -> Result<Arc<Registry>, Failure> {
    Ok(Arc::new(llmspell_workflows_tools::registry(Arc::new(settings.policy.clone()))?))
}

/// An engine with every activity that this program has; the caller adds what is special about it.
///
/// # Errors
/// A folder that tools may use cannot be opened.
pub(crate) fn engine(settings: &Settings) -> Result<EngineBuilder, Failure> {
    let policy: Arc<Policy> = Arc::new(settings.policy.clone());
    let activities = llmspell_workflows_tools::activities(Arc::new(llmspell_workflows_tools::registry(policy.clone())?), policy)?;
    // Definitions list the variables that they read; the rest is never looked at.
    let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Engine::builder().activities(activities).schemas(JsonSchemas::new()).env(env))
}

/// The runtime of a run, made when there is something to run.
///
/// # Errors
/// The system gives no threads.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().map_err(|error| {
        Failure::new(crate::Exit::Failed, "no_runtime", format!("could not start the runtime: {error}"))
    })
}
