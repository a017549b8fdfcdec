//! The homes of runs: the trait [`Home`], its implementations, and operations on the runs of any home.

mod archive;
mod claim;
mod contents;
mod events;
mod family;
mod folder;
mod forget;
mod lease;
mod memory;
mod notify;
mod outputs;
mod post;
mod repair;
mod run;
mod runs;
mod signals;
mod stats;
mod transfer;
mod unresolved;
mod upkeep;
mod waits;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use llmspell_workflows_basic::engine::{LimitName, SharedPermit};
use llmspell_workflows_state::{
    JournalContents, JournaledRun, Record,
    store::{DefinitionStore, Stores},
};
use uuid::Uuid;

pub use claim::Claim;
pub use contents::{DamagedRun, JournalSummaries, LiveRunSummary, RunListing};
pub use events::WorkflowEvent;
pub(crate) use events::{EventBuilder, events};
pub use family::SubRun;
pub use folder::{FolderHome, JournalKind};
pub use forget::Prune;
pub use lease::Lease;
pub use memory::MemoryHome;
pub(crate) use notify::{ListenerGuard, MessageListener};
pub use outputs::{
    LoggedAttempt, LoggedLine, OUTPUT_HEAD_LINES, OUTPUT_TAIL_LINES, OutputCursor, OutputEnd, StepOutputs,
};
pub use post::Delivery;
pub use repair::{MovedAside, RepairReport};
pub use run::{Holder, JournalId, KnownRun, RunLocation};
pub(crate) use runs::started;
pub(crate) use signals::ReceivedByChildren;
pub use stats::{HomeCheck, HomeStats, HomeUsage, JournalStats, JournalUsage};
pub use transfer::EXPORT_VERSION;
pub use unresolved::UnresolvedStep;
pub use upkeep::{BackupReport, CompactionReport};
pub use waits::{RunWait, WaitFilter};

use crate::ExecutorError;

/// A place to store runs: the journals of live runs, each leased by one process at a time, and the
/// stores next to the journals.
///
/// [`FolderHome`] is a home in a folder that several processes can share; [`MemoryHome`] exists
/// only as long as its process. Operations on runs work the same way on every home and are
/// implemented once, on `dyn Home`: [`runs`](trait.Home.html#method.runs),
/// [`find`](trait.Home.html#method.find), `history`, `post`, `export` and others.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let folder = tempfile::tempdir()?;
/// use std::sync::Arc;
/// use llmspell_workflows_advanced::{FolderHome, Home, RunQuery};
///
/// let home: Arc<dyn Home> = FolderHome::new(folder.path()).into();
/// assert!(home.runs(&RunQuery::default()).await?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// No method blocks the calling thread.
#[async_trait]
pub trait Home: Upkeep + Send + Sync + fmt::Debug + 'static {
    /// Returns the location of the home, for display.
    fn location(&self) -> String;

    /// Returns the store of the definitions that runs are pinned to.
    fn definitions(&self) -> &dyn DefinitionStore;

    /// Returns the stores next to the journals, and opens them on first use.
    ///
    /// # Errors
    /// Returns an error if the stores cannot be opened.
    async fn stores(&self) -> Result<&Stores, ExecutorError>;

    /// Returns the stores next to the journals; `None` if nothing has been stored there yet.
    ///
    /// # Errors
    /// Returns an error if the stores cannot be opened.
    async fn existing_stores(&self) -> Result<Option<&Stores>, ExecutorError>;

    /// Returns the store for the output of running steps; `None` if the home does not keep such
    /// output. The output of a completed step is always recorded.
    fn outputs(&self) -> Option<Arc<dyn StepOutputs>> {
        None
    }

    /// Returns all journals.
    ///
    /// # Errors
    /// Returns an error if the journals cannot be listed.
    async fn journals(&self) -> Result<Vec<JournalId>, ExecutorError>;

    /// Returns whether the home can have several journals, so that a run can be moved from one to another.
    fn has_journals(&self) -> bool {
        true
    }

    /// Returns the holder of the lease on a journal.
    ///
    /// # Errors
    /// Returns an error if the lease cannot be inspected.
    async fn holder(&self, journal: &JournalId) -> Result<Option<Holder>, ExecutorError>;

    /// Returns a summary of each run in a journal, without disturbing the journal's holder. Outputs are not read.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read at all. Damage is part of the result and not
    /// an error.
    async fn summaries(&self, journal: &JournalId) -> Result<JournalSummaries, ExecutorError>;

    /// Returns the records of all runs in a journal, of which large values may be missing.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read at all.
    async fn outlines(&self, journal: &JournalId) -> Result<JournalContents, ExecutorError> {
        self.check(journal).await
    }

    /// Returns a run from a journal without disturbing the journal's holder; `None` if the journal
    /// does not contain the run.
    ///
    /// Other runs are not read.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read at all. Damage to the run is part of the result.
    async fn run_in(&self, journal: &JournalId, run: Uuid) -> Result<Option<JournaledRun>, ExecutorError>;

    /// Returns the first record of a run in a journal; `None` if the journal does not contain the
    /// run.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read, or if the run is damaged.
    async fn first_record(&self, journal: &JournalId, run: Uuid) -> Result<Option<Record>, ExecutorError> {
        first_of(self.run_in(journal, run).await?)
    }

    /// Claims a run so that the caller can move it together with its sub-workflows. Nobody else can
    /// move them until the claim is dropped. Waits a while if the run is already claimed.
    ///
    /// # Errors
    /// Returns an error if another claim on the run is not released in time, or if the claim cannot
    /// be made.
    async fn claim(&self, run: Uuid) -> Result<Claim, ExecutorError>;

    /// Waits until fewer than `holders` steps of the home's runs, across all processes, hold
    /// permits of the named limit. The permit is held until it is dropped or its process dies.
    /// Returns `None` if only this process uses the home and therefore counts its own steps.
    ///
    /// Permits are not granted in the order of the requests.
    ///
    /// # Errors
    /// Returns an error if the holders of the limit cannot be counted.
    async fn permit(&self, limit: LimitName<'_>, holders: u32) -> Result<Option<SharedPermit>, ExecutorError>;

    /// Leases a journal until the lease is dropped; `contact` is notified of messages to the journal's runs.
    ///
    /// # Errors
    /// Returns an error if another process has leased the journal or the journal cannot be read.
    async fn lease(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError>;

    /// Announces a contact for the holder of a lease that was acquired without a contact.
    ///
    /// # Errors
    /// Returns an error if the contact cannot be written.
    async fn announce(&self, lease: &Lease, contact: Contact) -> Result<(), ExecutorError>;

    /// Leases a journal for new runs: an unleased journal without runs to resume, or a new journal.
    ///
    /// # Errors
    /// Returns an error if the journals cannot be read, or a new journal cannot be created.
    async fn lease_for_new_runs(&self, contact: Contact) -> Result<Lease, ExecutorError>;

    /// Notifies the holder of a journal of a message to `run`; returns whether the holder answered.
    async fn notify(&self, journal: &JournalId, run: Uuid) -> bool;
}

/// Returns the first record of a run that was read.
fn first_of(run: Option<JournaledRun>) -> Result<Option<Record>, ExecutorError> {
    let records = run.map(|run| run.records).transpose()?;
    Ok(records.and_then(|records| records.into_iter().next()))
}

/// Maintenance of a home.
#[async_trait]
pub trait Upkeep {
    /// Reads all records of a journal.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read at all. Damage is part of the result and not
    /// an error.
    async fn check(&self, journal: &JournalId) -> Result<JournalContents, ExecutorError>;

    /// Releases a lease and removes its journal if the journal is empty; returns whether the journal was removed.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be removed.
    async fn remove_if_empty(&self, lease: Lease) -> Result<bool, ExecutorError>;

    /// Moves the journal of a lease out of the home and returns its new location.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be moved.
    async fn set_aside(&self, lease: Lease) -> Result<PathBuf, ExecutorError>;

    /// Moves the lost or damaged stores out of the home and returns their new location.
    ///
    /// # Errors
    /// Returns an error if the stores cannot be moved.
    async fn set_stores_aside(&self) -> Result<PathBuf, ExecutorError>;

    /// Returns the disk usage of the home.
    ///
    /// # Errors
    /// Returns an error if the usage cannot be determined.
    async fn usage(&self) -> Result<HomeUsage, ExecutorError>;

    /// Copies the home to the new folder `to` while other processes continue to use it.
    ///
    /// The copy is itself a home. It contains each run as of some moment during the call, and its
    /// runs can be resumed.
    ///
    /// # Errors
    /// Returns an error if `to` already exists, or if a file cannot be read or written. In the
    /// second case, nothing is left at `to`.
    async fn back_up(&self, to: &Path) -> Result<BackupReport, ExecutorError>;
}

/// The address at which the holder of a journal is notified of messages to the journal's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// A port on the loopback interface.
    Port(u16),
    /// No address, because the holder needs the journal only briefly.
    None,
}
