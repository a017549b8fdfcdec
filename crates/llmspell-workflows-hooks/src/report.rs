use std::{fmt, sync::Arc, time::Duration};

use llmspell_workflows_basic::StepError;

use crate::HookPoint;

/// What went wrong with a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The registration's name.
    pub hook: Arc<str>,
    /// The point at which it was called.
    pub point: HookPoint,
    /// What went wrong.
    pub trouble: Trouble,
    /// Whether its breaker cuts it off from now on.
    pub cut_off: bool,
    /// Whether what it stood at does not happen without it.
    pub required: bool,
}

/// How a hook failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// It gave an error.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// It did not answer in time.
    TimedOut(Duration),
    /// It did not answer in time and blocks its thread, so that it still runs.
    Blocked(Duration),
    /// It is cut off, since it kept failing.
    CutOff,
    /// Its answer does not fit the step.
    Unfit(String),
}

impl Trouble {
    /// A stable code with a page.
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the hook `{}` at {} ", self.hook, self.point)?;
        match &self.trouble {
            Trouble::Failed(message) => write!(f, "failed: {message}")?,
            Trouble::Panicked(message) => write!(f, "panicked: {message}")?,
            Trouble::TimedOut(timeout) => write!(f, "did not answer within {timeout:?}")?,
            Trouble::Blocked(timeout) => {
                write!(f, "did not answer within {timeout:?}, blocks its thread and still runs")?;
            }
            Trouble::CutOff => write!(f, "is cut off for now, since it kept failing")?,
            Trouble::Unfit(message) => write!(f, "gave an answer that does not fit: {message}")?,
        }
        if self.cut_off { write!(f, "; it is cut off for now, since it keeps failing") } else { Ok(()) }
    }
}

impl Report {
    /// The error of what does not happen without the hook.
    pub(crate) fn to_error(&self) -> StepError {
        StepError::configuration(self.trouble.code(), self.to_string())
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}
