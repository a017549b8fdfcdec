//! Command failures. Every error is converted to one type and reported in one place.

mod executor;

use std::{fmt, io, path::Path};

use llmspell_workflows_basic::{Invalid, StepError};
use llmspell_workflows_definition::Diagnostics;
use llmspell_workflows_tools::ToolError;
use serde_json::{Value, json};

pub(crate) use executor::durable_failure;

use crate::Exit;

/// The reason why a command failed; reported in one place, as text or JSON.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// A stable snake_case code.
    pub(crate) code: String,
    /// A fragment that fits after "error: ".
    pub(crate) message: String,
    /// How to fix the problem.
    pub(crate) help: Option<String>,
    pub(crate) retryable: bool,
    /// The problems of an invalid file, with their locations.
    pub(crate) diagnostics: Option<Box<Diagnostics>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { exit, code, message, help: None, retryable: false, diagnostics: None }
    }

    /// Creates a failure for invalid arguments.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// Creates a failure for a file that could not be read or written; `action` is the verb, such as `read`.
    pub(crate) fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        let (exit, code) = match error.kind() {
            io::ErrorKind::NotFound => (Exit::NotFound, "file_not_found"),
            _ => (Exit::Failed, "file_failed"),
        };
        Self::new(exit, code, format!("could not {action} `{}`: {error}", path.display()))
    }

    /// Creates a failure for an invalid definition.
    pub(crate) fn invalid(diagnostics: Diagnostics) -> Self {
        let errors = diagnostics.list().len() + diagnostics.omitted();
        let noun = if errors == 1 { "problem" } else { "problems" };
        let message = format!("`{}` is not a valid workflow: {errors} {noun}", diagnostics.file());
        let code = diagnostics.code();
        Self { diagnostics: Some(Box::new(diagnostics)), ..Self::new(Exit::Invalid, code, message) }
    }

    #[must_use]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Returns `{"error": {code, message, help, retryable}}`, with the diagnostics of an invalid file.
    pub(crate) fn to_json(&self) -> Value {
        let help = self.help.as_deref().map(crate::report::with_options);
        let mut error = json!({
            "code": self.code, "message": self.message, "help": help, "retryable": self.retryable,
        });
        if let Some(diagnostics) = &self.diagnostics {
            error["files"] = json!([diagnostics]);
        }
        json!({ "error": error })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Invalid> for Failure {
    /// Converts a problem found in a definition after its file was read.
    fn from(error: Invalid) -> Self {
        Self::new(Exit::Invalid, error.code(), error.to_string())
    }
}

impl From<StepError> for Failure {
    /// Converts the error of a run that could not be started because its input or variables are
    /// invalid.
    fn from(error: StepError) -> Self {
        Self { retryable: error.retryable, ..Self::new(Exit::Usage, error.code, error.message) }
    }
}

impl From<ToolError> for Failure {
    /// Converts an error that occurred while the configured tools were set up.
    fn from(error: ToolError) -> Self {
        Self { help: error.help, ..Self::new(Exit::Usage, error.code, error.message) }
    }
}
