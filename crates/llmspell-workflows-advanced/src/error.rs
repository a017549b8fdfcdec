use std::path::PathBuf;

use llmspell_workflows_basic::{Invalid, RunStatus, StepError};
use llmspell_workflows_hooks::HookPoint;
use llmspell_workflows_state::{JournalError, RewindError, store::StoreError};
use uuid::Uuid;

use crate::{AdvancedError, Difference, JournalId, JournalKind, sessions::SessionError, vectors::VectorError};

/// Why a durable run could not be started, resumed or brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The definition cannot run.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The input does not fit, or the state cannot be migrated.
    #[error(transparent)]
    Refused(#[from] StepError),
    /// The journal cannot be read or written; nothing that was acknowledged is lost, and the run can be resumed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What is kept beside the journals cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run cannot go on from where it was asked to.
    #[error(transparent)]
    Rewind(#[from] RewindError),
    /// Messages to runs could not be heard.
    #[error("no socket on the loopback, where messages to runs are heard: {0}")]
    NoLoopback(String),
    /// A file of the home cannot be read or written.
    #[error("{}: {message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// A definition cannot be read or written.
    #[error("the definition {hash}: {message}")]
    Definition {
        /// Its hash.
        hash: String,
        /// What is wrong.
        message: String,
    },
    /// The home has no such journal.
    #[error("there is no journal {journal}")]
    UnknownJournal {
        /// Which one.
        journal: JournalId,
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
    /// This process is at work on it.
    #[error("the run {run} is at work in this process")]
    Driven {
        /// Which run.
        run: Uuid,
    },
    /// It goes on with the run around it.
    #[error("the run {run} is a step of the run {parent}, and goes on with it")]
    IsChild {
        /// Which run.
        run: Uuid,
        /// The run around it.
        parent: Uuid,
    },
    /// Nobody has to say anything of this step.
    #[error("no step of the run {run} is stuck at `{path}`, or more than one is")]
    NotStuck {
        /// Which run.
        run: Uuid,
        /// The path that was given.
        path: String,
    },
    /// It has not ended.
    #[error("the run {run} has not ended; it is {status}")]
    NotEnded {
        /// Which run.
        run: Uuid,
        /// How far it has come.
        status: RunStatus,
    },
    /// It has not failed.
    #[error("the run {run} has not failed; it is {status}")]
    NotFailed {
        /// Which run.
        run: Uuid,
        /// How far it has come.
        status: RunStatus,
    },
    /// The run is pinned to another definition.
    #[error("the run {run} was started with another definition:\n{difference}")]
    Changed {
        /// Which run.
        run: Uuid,
        /// What differs.
        difference: Difference,
    },
    /// The run cannot go on under the other definition.
    #[error("the run {run} cannot go on with this definition, which has no step at {}", paths.join(", "))]
    MissingSteps {
        /// Which run.
        run: Uuid,
        /// Recorded steps that it has not.
        paths: Vec<String>,
    },
    /// A hook forbids it.
    #[error("a hook at {point} forbids this of the run {run}: {reason}")]
    Forbidden {
        /// Which run.
        run: Uuid,
        /// Where the hook stands.
        point: HookPoint,
        /// Its reason.
        reason: String,
    },
    /// No checkpoint of the run has this name.
    #[error(
        "the run {run} has no checkpoint `{name}`; it has {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    UnknownCheckpoint {
        /// Which run.
        run: Uuid,
        /// The name.
        name: String,
        /// The checkpoints that it has.
        known: Vec<String>,
    },
    /// There is nothing to go back over.
    #[error("nothing of the run {run} has happened since its checkpoint `{name}`")]
    NothingSince {
        /// Which run.
        run: Uuid,
        /// The checkpoint.
        name: String,
    },
    /// Another process has the journal, which is for one at a time.
    #[error("{} is in use by {holder}, and a journal on {kind} is for one process at a time", path.display())]
    InUse {
        /// Where the journal is.
        path: PathBuf,
        /// What it is.
        kind: JournalKind,
        /// Who has it.
        holder: String,
    },
    /// The runs of the home are in another kind of journal.
    #[error("the runs in {} are in a journal of the kind `{found}`, not `{asked}`", path.display())]
    OtherJournal {
        /// Which home.
        path: PathBuf,
        /// Where its runs are.
        found: JournalKind,
        /// Where they were looked for.
        asked: JournalKind,
    },
    /// This program has no such journal.
    #[error("this program was built without journals on {kind}")]
    JournalNotBuilt {
        /// What was asked for.
        kind: JournalKind,
    },
    /// What should be imported is no run that was exported, or has been changed.
    #[error("no run that was exported: {message}")]
    Import {
        /// What is wrong.
        message: String,
    },
    /// A later version of this program exported it.
    #[error("the export has format {found}, and this program knows formats up to {known}")]
    NewerExport {
        /// The format that it has.
        found: u64,
        /// The latest format that this program knows.
        known: u64,
    },
    /// A run that should be imported is here already.
    #[error("the run {run} is here already")]
    Exists {
        /// Which run.
        run: Uuid,
    },
    /// It has ended, so there is nothing to go on with.
    #[error("the run {run} has ended")]
    Ended {
        /// Which run.
        run: Uuid,
    },
}

impl ExecutorError {
    /// The stable code, which has a page unless it is that of a step's own error.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Invalid(error) => error.code(),
            Self::Refused(error) => &error.code,
            Self::Journal(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Rewind(error) => error.code(),
            Self::NoLoopback(_) => "no_loopback",
            Self::File { .. } => "file_failed",
            Self::Definition { .. } | Self::UnknownJournal { .. } => "store_failed",
            Self::UnknownRun(_) => "run_not_found",
            Self::AmbiguousRun { .. } => "ambiguous_run",
            Self::Held { .. } | Self::Driven { .. } => "run_held",
            Self::IsChild { .. } => "run_is_child",
            Self::NotStuck { .. } => "not_stuck",
            Self::NotEnded { .. } => "run_not_ended",
            Self::NotFailed { .. } => "run_not_failed",
            Self::Changed { .. } | Self::MissingSteps { .. } => "definition_changed",
            Self::Forbidden { .. } => "forbidden_by_hook",
            Self::UnknownCheckpoint { .. } => "checkpoint_not_found",
            Self::NothingSince { .. } => "nothing_since_checkpoint",
            Self::InUse { .. } => "store_in_use",
            Self::OtherJournal { .. } => "other_journal",
            Self::JournalNotBuilt { .. } => "journal_not_built",
            Self::Import { .. } => "invalid_export",
            Self::NewerExport { .. } => "newer_export",
            Self::Exists { .. } => "run_exists",
            Self::Ended { .. } => "run_ended",
        }
    }

    /// Whether the same call may succeed later without a change: another owner may let go.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Held { .. } | Self::Driven { .. } | Self::InUse { .. } => true,
            Self::Refused(error) => error.retryable,
            Self::Journal(error) => error.is_retryable(),
            Self::Store(error) => error.is_retryable(),
            _ => false,
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Self::File { path: path.into(), message: error.to_string() }
    }
}

impl AdvancedError {
    /// The stable code, which has a page unless it is that of a step's own error.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Executor(error) => error.code(),
            Self::Ended { error, .. } => error.code(),
            Self::Paused { .. } => "paused",
            Self::Stuck { .. } => "stuck",
            Self::Waiting { .. } => "waiting",
            Self::Workflow(error) => error.code(),
            Self::Session(error) => error.code(),
            Self::Vector(error) => error.code(),
        }
    }
}

impl SessionError {
    /// The stable code, which has a page.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "session_not_found",
            Self::Status { .. } => "session_status",
            Self::NotActive { .. } => "session_not_active",
            Self::Storage(_) => "store_failed",
        }
    }
}

impl VectorError {
    /// The stable code, which has a page.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length { .. } => "vector_length",
            Self::NoDirection => "vector_without_direction",
            Self::Unknown { .. } => "vector_not_found",
            Self::Service(_) => "vectors_failed",
        }
    }
}
