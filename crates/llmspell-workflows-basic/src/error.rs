//! Step errors as data that can be recorded, displayed and handled.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The class of a failure, which determines how the failure is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorClass {
    /// Something external failed temporarily: retry with backoff.
    Transient,
    /// The workflow or its environment is misconfigured: fail immediately.
    Configuration,
    /// A quota or a limit is exhausted, or a circuit breaker is open: wait or use an alternative.
    Resource,
    /// An agent failed at its task: another agent with the same capabilities may succeed.
    Agent,
    /// The time limit was exceeded.
    Timeout,
    /// The step was cancelled.
    Cancelled,
    /// The data is invalid: a retry would fail again.
    Validation,
    /// The process crashed too often during the step: a retry would probably crash it again.
    Poison,
}

impl ErrorClass {
    /// Returns whether errors of this class are retryable by default.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Transient | Self::Resource | Self::Agent | Self::Timeout)
    }

    /// Returns the serialized name, which `retry_on` also uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Configuration => "configuration",
            Self::Resource => "resource",
            Self::Agent => "agent",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Validation => "validation",
            Self::Poison => "poison",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error of a failed step.
///
/// An error is plain data: it can be serialized and compared, and `runs show` prints it. `message` is a fragment that
/// fits after "failed to run the step: ". The engine sets `path` and `attempt`; code that creates an error omits them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepError {
    /// The class of the failure.
    pub class: ErrorClass,
    /// A stable code in snake case; the codes of this project are documented under `docs/errors`.
    pub code: Cow<'static, str>,
    /// What went wrong and how to fix it.
    pub message: String,
    /// The path of the step that failed, for example `/main/review[3]/security`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The number of the attempt that failed, counted from 1; 0 if no attempt had started.
    #[serde(default)]
    pub attempt: u32,
    /// Whether another attempt may succeed.
    pub retryable: bool,
    /// The error that caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<StepError>>,
    /// Structured details, for example `{"status": 503}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl StepError {
    /// Creates an error; its class decides whether it is retryable.
    pub fn new(class: ErrorClass, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            class,
            code: code.into(),
            message: message.into(),
            path: None,
            attempt: 0,
            retryable: class.is_retryable(),
            cause: None,
            details: None,
        }
    }

    /// Creates an error for a temporary external failure.
    pub fn transient(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Transient, code, message)
    }

    /// Creates an error for invalid data.
    pub fn validation(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Validation, code, message)
    }

    /// Creates an error for an invalid configuration.
    pub fn configuration(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Configuration, code, message)
    }

    /// Converts a panic in user code to an error, so that the panic fails its step instead of the process.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::new(ErrorClass::Agent, "panic", format!("panicked: {}", text.unwrap_or("without a message")))
            .retryable(false)
    }

    /// Overrides whether the error is retryable.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Adds structured details.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_cause(mut self, cause: StepError) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Appends `cause` to the chain of causes, so that no cause is lost.
    #[must_use]
    pub(crate) fn with_first_cause(mut self, cause: StepError) -> Self {
        let mut last = &mut self.cause;
        while let Some(error) = last {
            last = &mut error.cause;
        }
        *last = Some(Box::new(cause));
        self
    }

    /// Sets the path unless it is already set, so that the innermost path is kept.
    #[must_use]
    pub fn at(mut self, path: impl fmt::Display) -> Self {
        if self.path.is_none() {
            self.path = Some(path.to_string());
        }
        self
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path}: {} [{}]", self.message, self.code),
            None => write!(f, "{} [{}]", self.message, self.code),
        }
    }
}

impl std::error::Error for StepError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
