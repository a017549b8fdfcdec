use crate::{
    StepError,
    engine::{StuckStep, Wait},
    plan::Invalid,
};

/// Why a workflow has no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// The definition is invalid.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// A step failed, or the run could not be started.
    #[error(transparent)]
    Failed(#[from] StepError),
    /// The run was cancelled.
    #[error("the run was cancelled: {0}")]
    Cancelled(String),
    /// The run waits for a time or a message, and only an executor can wake it.
    #[error("the run is waiting, and nothing in this process can wake it")]
    Parked(Wait),
    /// These steps must be resolved manually, because their outcomes are unknown or because they cannot be undone.
    #[error("a step's outcome is unknown; resolve it manually: {}", paths(.0))]
    Stuck(Vec<StuckStep>),
}

fn paths(steps: &[StuckStep]) -> String {
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl WorkflowError {
    /// Returns the stable code; a code of this project is documented under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Invalid(error) => error.code(),
            Self::Failed(error) => &error.code,
            Self::Cancelled(_) => "cancelled",
            Self::Parked(_) => "waiting",
            Self::Stuck(_) => "stuck",
        }
    }

    /// Returns whether running the workflow again may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.step_error().is_some_and(|error| error.retryable)
    }

    /// Returns the error of the failed step, if a step failed.
    #[must_use]
    pub fn step_error(&self) -> Option<&StepError> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}
