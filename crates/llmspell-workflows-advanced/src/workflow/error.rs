use llmspell_workflows_basic::{StepError, WorkflowError, engine::Wait};
use uuid::Uuid;

use crate::{ExecutorError, sessions::SessionError, vectors::VectorError};

/// Why a workflow did not return an output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdvancedError {
    /// The run could not be started or resumed, or its journal could not be read or written.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The run ended without completing.
    #[error("the run {run} did not complete: {error}")]
    Ended {
        /// The id of the run.
        run: Uuid,
        /// The error with which the run ended.
        error: Box<WorkflowError>,
    },
    /// The run was paused, or its process is shutting down; it can be resumed.
    #[error("the run {run} was paused")]
    Paused {
        /// The id of the run.
        run: Uuid,
    },
    /// A step's outcome is unknown; resolve it with [`Executor::resolve`](crate::Executor::resolve).
    #[error("the run {run} is stuck at {}", steps.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>().join(", "))]
    Stuck {
        /// The id of the run.
        run: Uuid,
        /// The paths of the stuck steps, with their errors.
        steps: Vec<(String, StepError)>,
    },
    /// The run is waiting; it can be resumed once the wait is over.
    #[error("the run {run} is waiting")]
    Waiting {
        /// The id of the run.
        run: Uuid,
        /// The wait that stopped the run.
        wait: Wait,
    },
    /// The workflow is invalid, or one of its methods failed.
    #[error(transparent)]
    Workflow(Box<WorkflowError>),
    /// The session cannot be used.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The embeddings of past runs cannot be searched or stored.
    #[error(transparent)]
    Vector(#[from] VectorError),
}

impl From<WorkflowError> for AdvancedError {
    fn from(error: WorkflowError) -> Self {
        Self::Workflow(Box::new(error))
    }
}
