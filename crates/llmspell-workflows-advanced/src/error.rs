use std::path::PathBuf;

use llmspell_workflows_basic::{Invalid, StepError};
use llmspell_workflows_state::JournalError;
use uuid::Uuid;

/// Why a durable run could not be started, resumed or brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The definition cannot run.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The input does not fit.
    #[error(transparent)]
    Refused(#[from] StepError),
    /// The journal cannot be read or written; nothing that was acknowledged is lost, and the run can be resumed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file of the home cannot be read or written.
    #[error("{}: {message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// No run has this id.
    #[error("no run is called `{0}`")]
    UnknownRun(String),
    /// More than one run could be meant.
    #[error("`{given}` could be any of {}", candidates.join(", "))]
    AmbiguousRun {
        /// What was given.
        given: String,
        /// The ids of the runs.
        candidates: Vec<String>,
    },
    /// Another process has the run.
    #[error("the run {run} belongs to a process that is alive, {holder}")]
    Held {
        /// Which run.
        run: Uuid,
        /// Who has it.
        holder: String,
    },
    /// It has ended, so there is nothing to go on with.
    #[error("the run {run} has ended")]
    Ended {
        /// Which run.
        run: Uuid,
    },
}

impl ExecutorError {
    pub(crate) fn file(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Self::File { path: path.into(), message: error.to_string() }
    }
}
