use llmspell_workflows_basic::{StepError, WorkflowError, engine::Wait};
use uuid::Uuid;

use crate::{ExecutorError, sessions::SessionError, vectors::VectorError};

/// Why a workflow gave no output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdvancedError {
    /// It could not be started or gone on with, or its journal could not be used.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The run has ended, and not as it should.
    #[error("the run {run} gave nothing: {error}")]
    Ended {
        /// Which run.
        run: Uuid,
        /// How it ended.
        error: Box<WorkflowError>,
    },
    /// The run was paused, or its process goes down; it can be gone on with.
    #[error("the run {run} was paused")]
    Paused {
        /// Which run.
        run: Uuid,
    },
    /// Somebody has to say what became of a step; see [`crate::Executor::resolve`].
    #[error("the run {run} is stuck at {}", steps.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>().join(", "))]
    Stuck {
        /// Which run.
        run: Uuid,
        /// Where, and why.
        steps: Vec<(String, StepError)>,
    },
    /// The run waits; it can be gone on with when that has come.
    #[error("the run {run} waits")]
    Waiting {
        /// Which run.
        run: Uuid,
        /// For what.
        wait: Wait,
    },
    /// The workflow itself is wrong, or a method of its own failed.
    #[error(transparent)]
    Workflow(Box<WorkflowError>),
    /// Its session cannot be used.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Past runs cannot be searched or kept.
    #[error(transparent)]
    Vector(#[from] VectorError),
}

impl From<WorkflowError> for AdvancedError {
    fn from(error: WorkflowError) -> Self {
        Self::Workflow(Box::new(error))
    }
}
