use std::path::{Path, PathBuf};

use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::store::RunSummary;
use uuid::Uuid;

/// Who has a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(pub String);

/// A run of a home.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRun {
    /// What a list says of it.
    pub summary: RunSummary,
    /// The process that has its journal; `None`: none does.
    pub holder: Option<Holder>,
    pub(crate) place: Place,
}

/// Where the records of a run are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the journal in this folder.
    Log(PathBuf),
    Archive,
}

impl KnownRun {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.summary.id
    }

    /// Whether it is in the journal in `folder`.
    pub(crate) fn is_in(&self, folder: &Path) -> bool {
        matches!(&self.place, Place::Log(own) if own == folder)
    }

    /// How far it has come.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.summary.status
    }
}
