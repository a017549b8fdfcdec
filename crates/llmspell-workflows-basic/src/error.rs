//! Why a step failed, as data that can be recorded, shown and acted on.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What kind of failure it was, which decides what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorClass {
    /// Something outside failed for now: try again with backoff.
    Transient,
    /// The workflow or its surroundings are set up wrongly: fail at once.
    Configuration,
    /// A quota, a limit or an open breaker: wait, or use something else.
    Resource,
    /// An agent could not do its task: another of the same capabilities may.
    Agent,
    /// It took longer than it may.
    Timeout,
    /// It was asked to stop.
    Cancelled,
    /// The data is wrong; trying again gives the same answer.
    Validation,
    /// It was cut down so often that trying again is judged harmful.
    Poison,
}

impl ErrorClass {
    /// Whether an error of this class is worth another try unless it says otherwise.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Transient | Self::Resource | Self::Agent | Self::Timeout)
    }

    /// The class as programs read it, and as `retry_on` names it.
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

/// Why a step failed.
///
/// It is data: it serializes, compares, and is what `runs show` prints. `message` is a fragment that fits after
/// "failed to run the step: ". The engine fills in `path` and `attempt`; whoever makes the error leaves them out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepError {
    /// The kind of failure.
    pub class: ErrorClass,
    /// A stable snake_case code; those of this project have a page each under `docs/errors/`.
    pub code: Cow<'static, str>,
    /// What went wrong, and what would be right.
    pub message: String,
    /// The path of the step in which it happened, for example `/main/review[3]/security`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The attempt in which it happened, counted from 1; 0 when none had begun.
    #[serde(default)]
    pub attempt: u32,
    /// Whether another attempt may help.
    pub retryable: bool,
    /// The error that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<StepError>>,
    /// Facts for programs, for example `{"status": 503}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl StepError {
    /// An error of `class` with a stable `code`; whether it is retryable follows from the class.
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

    /// A failure outside that may pass.
    pub fn transient(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Transient, code, message)
    }

    /// A failure that lies in the data.
    pub fn validation(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Validation, code, message)
    }

    /// A failure that lies in how things are set up.
    pub fn configuration(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Configuration, code, message)
    }

    /// What a panic in user code becomes: it fails its step, not the process.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self::new(ErrorClass::Agent, "panic", format!("it panicked: {}", text.unwrap_or("without a message")))
            .retryable(false)
    }

    /// Overrides whether another attempt may help.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Adds facts for programs.
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

    /// Adds `cause` below everything that led to this error already, so that nothing of it is lost.
    #[must_use]
    pub(crate) fn with_first_cause(mut self, cause: StepError) -> Self {
        let mut last = &mut self.cause;
        while let Some(error) = last {
            last = &mut error.cause;
        }
        *last = Some(Box::new(cause));
        self
    }

    /// Says where it happened, unless that is known already: the innermost place stands.
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
