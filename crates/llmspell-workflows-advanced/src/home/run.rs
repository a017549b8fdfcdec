use std::{fmt, sync::Arc};

use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::store::RunSummary;
use uuid::Uuid;

/// The process or executor that holds a journal, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(pub String);

/// The id of a journal of a home, opaque to everything but its carrier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId(Arc<str>);

impl JournalId {
    /// For carriers: returns the id of the journal called `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// For carriers: returns the name of the journal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A run of a home, and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRun {
    /// The summary that lists show.
    pub summary: RunSummary,
    /// The holder of its journal; `None` if it is free.
    pub holder: Option<Holder>,
    /// Where its records are stored.
    pub location: RunLocation,
}

/// Where the records of a run are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunLocation {
    /// In this journal.
    Journal(JournalId),
    /// In the archive of ended runs.
    Archive,
}

impl KnownRun {
    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.summary.id
    }

    /// Returns the journal that contains it; `None` if it is archived.
    #[must_use]
    pub fn journal(&self) -> Option<&JournalId> {
        match &self.location {
            RunLocation::Journal(journal) => Some(journal),
            RunLocation::Archive => None,
        }
    }

    /// Returns its status.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.summary.status
    }
}
