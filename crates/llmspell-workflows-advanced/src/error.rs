use std::path::PathBuf;

use llmspell_workflows_basic::{Invalid, RunStatus, StepError, UnmetRead};
use llmspell_workflows_hooks::HookPoint;
use llmspell_workflows_state::{JournalError, RewindError, store::StoreError};
use uuid::Uuid;

use crate::{AdvancedError, JournalId, JournalKind, sessions::SessionError, vectors::VectorError};

/// Why an operation on a durable run or its home failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The definition is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The input is invalid, or the state cannot be migrated.
    #[error(transparent)]
    Refused(#[from] StepError),
    /// The journal cannot be read or written; no acknowledged record is lost, and the run can be resumed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A store next to the journals cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run cannot be retried, forked or rolled back as requested.
    #[error(transparent)]
    Rewind(#[from] RewindError),
    /// The socket for messages to runs could not be opened.
    #[error("cannot open the loopback socket for messages to runs: {0}")]
    NoLoopback(String),
    /// A file of the home cannot be read or written.
    #[error("{}: {message}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The system's error message.
        message: String,
    },
    /// A definition cannot be read or written.
    #[error("the definition {hash}: {message}")]
    Definition {
        /// The hash of the definition.
        hash: String,
        /// What is wrong.
        message: String,
    },
    /// The home does not contain the journal.
    #[error("journal {journal} does not exist")]
    UnknownJournal {
        /// The given id.
        journal: JournalId,
    },
    /// No run matches the given id.
    #[error("run `{0}` does not exist")]
    UnknownRun(String),
    /// More than one run matches the given prefix.
    #[error("`{given}` matches several runs: {}", candidates.join(", "))]
    AmbiguousRun {
        /// The given prefix.
        given: String,
        /// The ids of the matching runs.
        candidates: Vec<String>,
    },
    /// Several sub-workflows of the run wait for the signal.
    #[error("several sub-workflows of the run {run} wait for `{name}`: {}", candidates.join(", "))]
    AmbiguousSignal {
        /// The id of the run.
        run: Uuid,
        /// The name of the signal.
        name: String,
        /// The ids of the sub-workflows.
        candidates: Vec<String>,
    },
    /// Another process or executor owns the run.
    #[error("the run {run} is owned by {holder}, which is still running")]
    Held {
        /// The id of the run.
        run: Uuid,
        /// The owner of the run.
        holder: String,
    },
    /// The run has ended, but its records are still in the journal of another process or executor.
    #[error("the run {run} has ended, but its records are still in the journal of {holder}, which is running")]
    NotArchived {
        /// The id of the run.
        run: Uuid,
        /// The process that has leased the journal.
        holder: String,
    },
    /// Leftovers of a step whose process died are still running and cannot be ended.
    #[error("steps of the run {run} may still be running: {}", left.join(", "))]
    StillRunning {
        /// The id of the run.
        run: Uuid,
        /// Descriptions of the leftovers.
        left: Vec<String>,
    },
    /// This process drives the run.
    #[error("the run {run} is already being driven in this process")]
    Driven {
        /// The id of the run.
        run: Uuid,
    },
    /// The executor was shut down.
    #[error("this executor was shut down; use another executor of the same home")]
    ShutDown,
    /// The run is a sub-workflow, which is resumed with its parent.
    #[error("the run {run} is a sub-workflow of the run {parent} and is resumed with it")]
    IsChild {
        /// The id of the run.
        run: Uuid,
        /// The id of the parent run.
        parent: Uuid,
    },
    /// The run is a sub-workflow, which is exported and deleted with its parent.
    #[error("the run {run} is a sub-workflow of the run {parent} and is {done} with it")]
    PartOf {
        /// The id of the run.
        run: Uuid,
        /// The id of the parent run.
        parent: Uuid,
        /// The refused operation, as a participle such as `exported`.
        done: &'static str,
    },
    /// The step is not stuck.
    #[error("the run {run} has no stuck step at `{path}`")]
    NotStuck {
        /// The id of the run.
        run: Uuid,
        /// The given path.
        path: String,
    },
    /// The output given for a stuck step lacks fields that other steps need.
    #[error("the step at {path} cannot have this output: {}", unmet.iter().map(needed).collect::<Vec<_>>().join("; "))]
    UnfitOutput {
        /// The path of the stuck step.
        path: String,
        /// The missing fields, with the steps that need them.
        unmet: Vec<UnmetRead>,
    },
    /// The run has not ended.
    #[error("the run {run} has not ended; it is {status}")]
    NotEnded {
        /// The id of the run.
        run: Uuid,
        /// The status of the run.
        status: RunStatus,
    },
    /// The run has not failed.
    #[error("the run {run} has not failed; it is {status}")]
    NotFailed {
        /// The id of the run.
        run: Uuid,
        /// The status of the run.
        status: RunStatus,
    },
    /// The new definition version, to which the run would be migrated, lacks some recorded steps.
    #[error("the run {run} cannot continue: this definition has no step at {}", paths.join(", "))]
    MissingSteps {
        /// The id of the run.
        run: Uuid,
        /// The paths of the missing steps.
        paths: Vec<String>,
    },
    /// The corrected definition would rerun steps that must not run again.
    #[error("the run {run} cannot continue under this definition: {why}: {}", paths.join(", "))]
    CannotRunAgain {
        /// The id of the run.
        run: Uuid,
        /// Why these steps must not run again.
        why: &'static str,
        /// The paths of the steps.
        paths: Vec<String>,
    },
    /// The corrected definition lacks steps that must not run twice, and it is unknown whether
    /// these steps took effect.
    #[error(
        "the run {run} cannot continue under this definition: it is unknown whether these steps took effect, and the \
         definition does not contain them: {}",
        paths.join(", ")
    )]
    UnknownEffects {
        /// The id of the run.
        run: Uuid,
        /// The paths of the steps.
        paths: Vec<String>,
    },
    /// A hook forbade the operation.
    #[error("forbidden by a hook at {point} for the run {run}: {reason}")]
    Forbidden {
        /// The id of the run.
        run: Uuid,
        /// The hook point.
        point: HookPoint,
        /// The reason given by the hook.
        reason: String,
    },
    /// The run does not have this checkpoint.
    #[error(
        "the run {run} has no checkpoint `{name}`; its checkpoints: {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    UnknownCheckpoint {
        /// The id of the run.
        run: Uuid,
        /// The given name.
        name: String,
        /// The names of the run's checkpoints.
        known: Vec<String>,
    },
    /// There is nothing to roll back: nothing has happened since the checkpoint.
    #[error("nothing has happened in the run {run} since its checkpoint `{name}`")]
    NothingSince {
        /// The id of the run.
        run: Uuid,
        /// The name of the checkpoint.
        name: String,
    },
    /// Another process has opened the journal, which allows only one process at a time.
    #[error("{} is in use by {holder}; a {kind} journal allows only one process at a time", path.display())]
    InUse {
        /// The path of the journal.
        path: PathBuf,
        /// The kind of the journal.
        kind: JournalKind,
        /// The process that has opened the journal.
        holder: String,
    },
    /// The home's runs are in a different kind of journal.
    #[error("the runs in {} are in a `{found}` journal, not a `{asked}` journal", path.display())]
    OtherJournal {
        /// The path of the home.
        path: PathBuf,
        /// The kind of journal in the home.
        found: JournalKind,
        /// The requested kind of journal.
        asked: JournalKind,
    },
    /// This program was built without this kind of journal.
    #[error("this program was built without {kind} journals")]
    JournalNotBuilt {
        /// The requested kind of journal.
        kind: JournalKind,
    },
    /// The imported document is not a valid run export.
    #[error("not a valid run export: {message}")]
    Import {
        /// What is wrong.
        message: String,
    },
    /// The export was written by a later version of this program.
    #[error("the export has format {found}, but this program reads formats up to {known}")]
    NewerExport {
        /// The format of the export.
        found: u64,
        /// The latest format that this program reads.
        known: u64,
    },
    /// The imported run already exists.
    #[error("the run {run} already exists in this home")]
    Exists {
        /// The id of the run.
        run: Uuid,
    },
    /// The run has already ended.
    #[error("the run {run} has already ended")]
    Ended {
        /// The id of the run.
        run: Uuid,
    },
}

impl ExecutorError {
    /// Converts a lease conflict on the journal into the error for `run`; returns other errors
    /// unchanged.
    pub(crate) fn held_by(self, run: Uuid) -> Self {
        match self {
            Self::Journal(JournalError::Held { holder, .. }) => Self::Held { run, holder },
            error => error,
        }
    }

    /// Returns the stable error code. Each code except those of step errors has a documentation
    /// page.
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
            Self::AmbiguousSignal { .. } => "ambiguous_signal",
            Self::Held { .. } | Self::NotArchived { .. } | Self::Driven { .. } | Self::StillRunning { .. } => {
                "run_held"
            }
            Self::ShutDown => "executor_shut_down",
            Self::IsChild { .. } | Self::PartOf { .. } => "run_is_child",
            Self::NotStuck { .. } => "not_stuck",
            Self::UnfitOutput { .. } => "unfit_output",
            Self::NotEnded { .. } => "run_not_ended",
            Self::NotFailed { .. } => "run_not_failed",
            Self::MissingSteps { .. } => "definition_changed",
            Self::CannotRunAgain { .. } | Self::UnknownEffects { .. } => "cannot_run_again",
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

    /// Returns whether the same call may succeed later, for example once another owner releases the run.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Held { .. } | Self::NotArchived { .. } | Self::Driven { .. } | Self::InUse { .. } => true,
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

/// Describes which step needs a field and why the step cannot read it.
fn needed(UnmetRead { field, problem }: &UnmetRead) -> String {
    let place = &problem.place;
    let reader = if place.path.is_empty() { "the workflow" } else { &*place.path };
    let needs = field.as_ref().map(|field| format!("needs the field `{field}` ")).unwrap_or_default();
    format!("{reader} {needs}in `{}`: {}", place.field, problem.message)
}

impl AdvancedError {
    /// Returns the stable error code. Each code except those of step errors has a documentation
    /// page.
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
    /// Returns the stable error code, which has a documentation page.
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
    /// Returns the stable error code, which has a documentation page.
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
