use std::fmt;

use serde_json::Value;

/// The kind of failure of a tool call; it determines whether a retry can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolErrorClass {
    /// The parameters or the data are wrong; a retry gives the same result.
    Validation,
    /// The tool is not configured for the call: a provider has no endpoint, or a path is outside the allowed roots.
    Configuration,
    /// Something outside the process failed temporarily, such as a connection, a server (5xx) or a busy file.
    Transient,
    /// A quota or the available space is exhausted; a later retry may succeed.
    Resource,
    /// A limit on size or work was reached; a retry gives the same result.
    Limit,
    /// The call exceeded its time limit.
    Timeout,
    /// The call was cancelled.
    Cancelled,
}

/// An error from a tool call.
///
/// `message` is a fragment that fits after "failed to call the tool: ". `help` suggests a fix, and
/// `details` contains machine-readable facts, such as a status code or a list of violations.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolError {
    /// The kind of failure.
    pub class: ToolErrorClass,
    /// A stable snake_case code such as `path_outside_roots`.
    pub code: &'static str,
    /// What went wrong, including the rejected value.
    pub message: String,
    /// A suggested fix, if one is known.
    pub help: Option<String>,
    /// Machine-readable facts, for example `{"status": 503}`.
    pub details: Option<Value>,
}

impl ToolError {
    /// Creates an error of `class` with a stable `code`.
    pub fn new(class: ToolErrorClass, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into(), help: None, details: None }
    }

    /// Creates the error for a cancelled call.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(ToolErrorClass::Cancelled, "cancelled", "the call was cancelled")
    }

    /// Adds a suggested fix.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds machine-readable details.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ToolError {}
