use std::fmt;

use serde_json::Value;

/// What kind of failure a tool had, which decides whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolErrorClass {
    /// The parameters or the data are wrong; trying again gives the same answer.
    Validation,
    /// The tool is not set up: a provider without an endpoint, a path outside the allowed roots.
    Configuration,
    /// Something outside failed for now: a connection, a server's 5xx, a busy file.
    Transient,
    /// A quota is used up, or there is no room, for now.
    Resource,
    /// A limit of size or of work was reached; trying again gives the same answer.
    Limit,
    /// The call took longer than it may.
    Timeout,
    /// The call was cancelled.
    Cancelled,
}

/// Why a tool call failed.
///
/// `message` is a fragment that fits after "failed to call the tool: ", `help` says what would be right, `details` is
/// for programs (a status code, a list of violations).
#[derive(Debug, Clone, PartialEq)]
pub struct ToolError {
    /// The kind of failure.
    pub class: ToolErrorClass,
    /// A stable snake_case code such as `path_outside_roots`.
    pub code: &'static str,
    /// What went wrong, with the value that was refused.
    pub message: String,
    /// What would be right, where that can be said.
    pub help: Option<String>,
    /// Facts for programs, for example `{"status": 503}`.
    pub details: Option<Value>,
}

impl ToolError {
    /// An error of `class` with a stable `code`.
    pub fn new(class: ToolErrorClass, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into(), help: None, details: None }
    }

    /// The call was cancelled.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(ToolErrorClass::Cancelled, "cancelled", "the call was cancelled")
    }

    /// Adds what would be right.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds facts for programs.
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
