use std::{fmt, sync::Arc, time::Duration};

use llmspell_workflows_basic::StepError;

use crate::HookPoint;

/// A report on a failed hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookReport {
    /// The name of the registration.
    pub hook: Arc<str>,
    /// The point at which the hook was called.
    pub point: HookPoint,
    /// How the hook failed.
    pub failure: HookFailure,
    /// Whether the hook's breaker has disabled it.
    pub cut_off: bool,
    /// Whether the hook is required; if so, its failure also fails the step.
    pub required: bool,
}

/// How a hook failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookFailure {
    /// The hook returned an error.
    Failed(String),
    /// The hook panicked.
    Panicked(String),
    /// The hook did not answer in time.
    TimedOut(Duration),
    /// The hook did not answer in time and blocks its thread, so it is still running.
    Blocked(Duration),
    /// The hook is disabled because it kept failing.
    CutOff,
    /// The hook's answer does not fit the step.
    Unfit(String),
}

impl HookFailure {
    /// Returns the stable error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed(_) => "hook_failed",
            Self::Panicked(_) => "hook_panicked",
            Self::TimedOut(_) => "hook_timed_out",
            Self::Blocked(_) => "hook_blocked",
            Self::CutOff => "hook_cut_off",
            Self::Unfit(_) => "hook_answer_unfit",
        }
    }
}

impl fmt::Display for HookReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hook `{}` at {} ", self.hook, self.point)?;
        match &self.failure {
            HookFailure::Failed(message) => write!(f, "failed: {message}")?,
            HookFailure::Panicked(message) => write!(f, "panicked: {message}")?,
            HookFailure::TimedOut(timeout) => write!(f, "did not answer within {timeout:?}")?,
            HookFailure::Blocked(timeout) => {
                write!(f, "did not answer within {timeout:?}; it blocks its thread and is still running")?;
            }
            HookFailure::CutOff => write!(f, "is disabled for now because it kept failing")?,
            HookFailure::Unfit(message) => write!(f, "returned an invalid answer: {message}")?,
        }
        if self.cut_off { write!(f, "; it is disabled for now because it keeps failing") } else { Ok(()) }
    }
}

impl HookReport {
    /// Returns the error of a step that fails because of this hook.
    pub(crate) fn to_error(&self) -> StepError {
        StepError::configuration(self.failure.code(), self.to_string())
    }
}

/// Returns the message of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
