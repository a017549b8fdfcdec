use std::{fmt, sync::Arc};

use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::store::RunSummary;
use uuid::Uuid;

/// The process or executor that holds a journal, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(pub String);

/// A journal of a home. What it looks like is its carrier's own matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId(Arc<str>);

impl JournalId {
    /// For carriers: the journal that they know as `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// For carriers: the name that they gave it.
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

/// A run of a home.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRun {
    /// What a list says of it.
    pub summary: RunSummary,
    /// Who holds its journal; `None`: nobody does.
    pub holder: Option<Holder>,
    /// Where its records are.
    pub place: RunPlace,
}

/// Where the records of a run are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunPlace {
    /// In this journal.
    Journal(JournalId),
    /// Among the runs that have ended.
    Archive,
}

impl KnownRun {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.summary.id
    }

    /// The journal that it is in; `None`: it is in the archive.
    #[must_use]
    pub fn journal(&self) -> Option<&JournalId> {
        match &self.place {
            RunPlace::Journal(journal) => Some(journal),
            RunPlace::Archive => None,
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.summary.status
    }
}
