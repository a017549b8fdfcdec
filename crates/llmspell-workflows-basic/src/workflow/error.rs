use crate::{
    StepError,
    engine::{StuckStep, Wait},
    plan::Invalid,
};

/// Why a workflow gave no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkflowError {
    /// Its definition is wrong.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// A step of it failed for good, or it could not be started.
    #[error(transparent)]
    Failed(#[from] StepError),
    /// It was stopped.
    #[error("the run was stopped: {0}")]
    Cancelled(String),
    /// It waits for a time or a message, and must be driven by something that can wake it.
    #[error("the run waits, and nothing here can wake it")]
    Parked(Wait),
    /// Somebody has to say what became of a step.
    #[error("a step's outcome is unknown and has to be resolved by hand: {}", paths(.0))]
    Stuck(Vec<StuckStep>),
}

fn paths(steps: &[StuckStep]) -> String {
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl WorkflowError {
    /// The stable code, which has a page unless it is that of a step's own error.
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

    /// Whether running the workflow again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.step_error().is_some_and(|error| error.retryable)
    }

    /// The error of the step, if a step failed.
    #[must_use]
    pub fn step_error(&self) -> Option<&StepError> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}
