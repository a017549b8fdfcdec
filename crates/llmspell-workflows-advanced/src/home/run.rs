use std::{fmt, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::store::RunSummary;
use uuid::Uuid;

/// The largest clock difference between two machines that is considered normal.
const AHEAD_MIN: SignedDuration = SignedDuration::from_mins(1);

/// A description of the process or executor that holds a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(pub String);

/// The id of a journal in a home; opaque except to implementations of [`Home`](super::Home).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId(Arc<str>);

impl JournalId {
    /// Returns the id of the journal called `name`; for implementations of [`Home`](super::Home).
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Returns the name of the journal; for implementations of [`Home`](super::Home).
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

/// A run in a home, with its location.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRun {
    /// The summary of the run, which is shown in lists.
    pub summary: RunSummary,
    /// The holder of the run's journal; `None` if the run is free.
    pub holder: Option<Holder>,
    /// Where the records of the run are stored.
    pub location: RunLocation,
    /// Other journals with an outdated copy of the run, left by a process that died while moving
    /// the run.
    pub copies: Vec<JournalId>,
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
    /// Returns an archived run.
    pub(super) fn archived(summary: RunSummary) -> Self {
        Self { summary, holder: None, location: RunLocation::Archive, copies: Vec::new() }
    }

    /// Returns a run in a journal.
    pub(super) fn in_journal(summary: RunSummary, holder: Option<Holder>, journal: &JournalId) -> Self {
        Self { summary, holder, location: RunLocation::Journal(journal.clone()), copies: Vec::new() }
    }

    /// Returns whether the run was started in the future according to this machine's clock. Either
    /// this clock is wrong, or the clock of the machine that started the run was wrong.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.summary.started_at.duration_since(Timestamp::now()) >= AHEAD_MIN
    }

    /// Returns the id of the run.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.summary.id
    }

    /// Returns the journal that contains the run; `None` if the run is archived.
    #[must_use]
    pub fn journal(&self) -> Option<&JournalId> {
        match &self.location {
            RunLocation::Journal(journal) => Some(journal),
            RunLocation::Archive => None,
        }
    }

    /// Returns the status of the run.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        self.summary.status
    }
}
