//! Leaf work with effects: [`Activity`], what it is told ([`ActivityContext`]) and where it is found ([`Activities`]).

mod context;
mod function;
mod persona;
mod registry;

use async_trait::async_trait;
use serde_json::Value;

pub use context::ActivityContext;
pub(crate) use context::Input;
pub use function::function;
pub use persona::Persona;
pub use registry::{Activities, Provider};

use crate::{StepError, state::Change};

/// Leaf work with effects: a tool, an agent, a function.
///
/// An activity may be performed more than once for one step: by retries, and by a crash between its effect and the
/// record of it. All those calls share one [idempotency key](ActivityContext::idempotency_key). It should end soon
/// after its [cancellation](ActivityContext::cancelled) is asked for; one that does not is named in the error. Work
/// that blocks its thread belongs into [`tokio::task::spawn_blocking`].
///
/// ```
/// use async_trait::async_trait;
/// use llmspell_workflows_basic::{StepError, activity::{Activity, ActivityContext, ActivityOutput}};
/// use serde_json::json;
///
/// struct Greet;
///
/// #[async_trait]
/// impl Activity for Greet {
///     async fn perform(&self, context: ActivityContext) -> Result<ActivityOutput, StepError> {
///         let name = context.input()["name"].as_str().ok_or_else(|| {
///             StepError::validation("name_missing", "`name` must be a text")
///         })?;
///         Ok(json!({"greeting": format!("Hello, {name}")}).into())
///     }
/// }
/// ```
#[async_trait]
pub trait Activity: Send + Sync {
    /// Does the work once.
    async fn perform(&self, context: ActivityContext) -> Result<ActivityOutput, StepError>;

    /// What is wrong with `params`, as far as that can be said before a run.
    ///
    /// Parts for which `dynamic` is true, given by their JSON pointer, hold references and have no value yet.
    fn check(&self, params: &Value, dynamic: &dyn Fn(&str) -> bool) -> Vec<ParamProblem> {
        let _ = (params, dynamic);
        Vec::new()
    }
}

/// What an activity gives back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActivityOutput {
    /// What later steps see as its output.
    pub output: Value,
    /// What it changes in the run's state.
    pub state_changes: Vec<Change>,
}

impl From<Value> for ActivityOutput {
    fn from(output: Value) -> Self {
        Self { output, state_changes: Vec::new() }
    }
}

impl ActivityOutput {
    /// Sets a top-level key of the run's state.
    #[must_use]
    pub fn with_state(mut self, key: impl Into<String>, value: Value) -> Self {
        self.state_changes.push(Change::key(key, value));
        self
    }
}

/// Something wrong with an activity's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamProblem {
    /// Which part, as a JSON pointer; empty for the whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}
