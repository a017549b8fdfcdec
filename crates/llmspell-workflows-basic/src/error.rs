//! The error of a step, as data that can be recorded, displayed and handled.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The class of a failure, which decides how to handle it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorClass {
    /// Something external failed temporarily: retry with backoff.
    Transient,
    /// The workflow or its environment is configured wrongly: fail immediately.
    Configuration,
    /// A quota, a limit or an open breaker: wait or use an alternative.
    Resource,
    /// An agent failed at its task: another with the same capabilities may succeed.
    Agent,
    /// The time limit was exceeded.
    Timeout,
    /// The step was cancelled.
    Cancelled,
    /// The data is invalid: a retry would fail again.
    Validation,
    /// The step crashed too often: a retry is considered harmful.
    Poison,
}

impl ErrorClass {
    /// Returns whether errors of this class are retryable by default.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Transient | Self::Resource | Self::Agent | Self::Timeout)
    }

    /// Returns the serialized name, which `retry_on` uses too.
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

/// The error of a step.
///
/// It is data that serializes and compares, and `runs show` prints it. `message` is a fragment that fits after "failed
/// to run the step: ". The engine sets `path` and `attempt`; code that creates an error leaves them out.
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
    /// The attempt that failed, from 1; 0 if none had started.
    #[serde(default)]
    pub attempt: u32,
    /// Whether another attempt may succeed.
    pub retryable: bool,
    /// The error that led to this one.
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

    /// Creates an error for a wrong configuration.
    pub fn configuration(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Configuration, code, message)
    }

    /// Converts a panic in user code, which fails its step and not the process.
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

    /// Adds the error that led to this one.
    #[must_use]
    pub fn with_cause(mut self, cause: StepError) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Adds `cause` at the end of the chain of causes, so that none is lost.
    #[must_use]
    pub(crate) fn with_first_cause(mut self, cause: StepError) -> Self {
        let mut last = &mut self.cause;
        while let Some(error) = last {
            last = &mut error.cause;
        }
        *last = Some(Box::new(cause));
        self
    }

    /// Sets the path, unless one is set already, so that the innermost path is kept.
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
