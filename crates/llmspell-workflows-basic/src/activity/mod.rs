//! The work of leaves with effects: [`Activity`], its [`ActivityContext`], and the registry [`Activities`].

mod context;
mod function;
mod leftovers;
mod output;
mod persona;
mod registry;

use std::ops::Range;

use async_trait::async_trait;
use serde_json::Value;

pub use context::ActivityContext;
pub(crate) use context::Input;
pub use function::function;
pub use leftovers::Leftovers;
pub(crate) use output::OpenLogs;
pub use output::{OUTPUT_LINE_BYTES_MAX, OutputLine, OutputLog, OutputSink, OutputSource, OutputStream, OutputWriter};
pub use persona::Persona;
pub use registry::{Activities, Provider};

pub use crate::shape::Shape;
use crate::{StepError, state::Change};

/// The work of a leaf with effects: a tool, an agent, or a function.
///
/// An activity may be performed more than once for one step: when it is retried, and after a crash
/// between its effect and its record. All these calls share one
/// [idempotency key](ActivityContext::idempotency_key). An activity should stop soon after it is
/// [cancelled](ActivityContext::cancelled); if it does not, the run's error names it. Blocking work
/// belongs in [`tokio::task::spawn_blocking`].
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
///             StepError::validation("name_missing", "`name` must be a string")
///         })?;
///         Ok(json!({"greeting": format!("Hello, {name}")}).into())
///     }
/// }
/// ```
#[async_trait]
pub trait Activity: Send + Sync {
    /// Performs one attempt of the work.
    async fn perform(&self, context: ActivityContext) -> Result<ActivityOutput, StepError>;

    /// Returns the problems in `params` that can be found before a run.
    ///
    /// `dynamic` takes a JSON pointer and returns whether that part is a string with references,
    /// whose value is not known yet.
    fn check(&self, params: &Value, dynamic: &dyn Fn(&str) -> bool) -> Vec<ParamProblem> {
        let _ = (params, dynamic);
        Vec::new()
    }

    /// Returns the shape of the outputs, as far as it is known before a run. A reference to a part
    /// that an output cannot have is an error.
    fn output(&self) -> Shape {
        Shape::Any
    }

    /// Returns whether the work may leave something behind if its process dies, such as another
    /// process. Only then are the [`Leftovers`] of an interrupted step looked for.
    fn may_leave_leftovers(&self) -> bool {
        true
    }
}

/// The result of an activity.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActivityOutput {
    /// The output that later steps see.
    pub output: Value,
    /// The changes to the run's state.
    pub state_changes: Vec<Change>,
}

impl From<Value> for ActivityOutput {
    fn from(output: Value) -> Self {
        Self { output, state_changes: Vec::new() }
    }
}

impl ActivityOutput {
    /// Adds a change that sets a top-level key of the run's state.
    #[must_use]
    pub fn with_state(mut self, key: impl Into<String>, value: Value) -> Self {
        self.state_changes.push(Change::key(key, value));
        self
    }
}

/// A problem in an activity's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParamProblem {
    /// A stable code, documented under `docs/errors`.
    pub code: &'static str,
    /// A JSON pointer to the invalid part; empty for the parameters as a whole.
    pub pointer: String,
    /// The byte range in the text at `pointer`, if only a part of it is invalid.
    pub span: Option<Range<usize>>,
    /// A description of the problem.
    pub message: String,
    /// How to fix the problem.
    pub help: Option<String>,
    /// Whether the step may run despite the problem.
    pub is_warning: bool,
}

impl ParamProblem {
    /// Creates a problem with the code `wrong_parameters`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::coded("wrong_parameters", pointer, message)
    }

    /// Creates a problem with the given code.
    pub fn coded(code: &'static str, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, pointer: pointer.into(), span: None, message: message.into(), help: None, is_warning: false }
    }

    /// Makes the problem a warning.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.is_warning = true;
        self
    }

    /// Moves the problem to the part at `pointer`.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = pointer.into();
        self
    }

    /// Narrows the problem to a part of the text.
    #[must_use]
    pub fn with_span(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    /// Adds a hint on how to fix the problem.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
