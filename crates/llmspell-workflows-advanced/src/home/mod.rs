//! Where runs live: the trait [`Home`], its carriers, and what can be done with the runs of any of them.

mod archive;
mod bell;
mod events;
mod folder;
mod forget;
mod lease;
mod memory;
mod post;
mod run;
mod runs;
mod stats;
mod transfer;
mod upkeep;

use std::{fmt, path::Path};

use async_trait::async_trait;
use llmspell_workflows_state::{
    Record,
    store::{DefinitionStore, RunSummary, Stores},
};
use uuid::Uuid;

pub(crate) use bell::{Bell, Ringer};
pub use events::WorkflowEvent;
pub(crate) use events::{Narrator, events};
pub use folder::{FolderHome, JournalKind};
pub use forget::Prune;
pub use lease::Lease;
pub use memory::MemoryHome;
pub use post::Delivery;
pub use run::{Holder, JournalId, KnownRun, RunPlace};
pub use stats::{HomeCheck, HomeStats, HomeUsage, JournalStats, JournalUsage};
pub use transfer::EXPORT_VERSION;
pub use upkeep::{BackedUp, Compacted};

use crate::ExecutorError;

/// Where runs live: journals of live runs, each leased by one process at a time, and what is kept beside them.
///
/// A carrier implements this trait: [`FolderHome`] is a folder that several processes share, [`MemoryHome`] lasts as long
/// as its process. What can be done with runs is the same on every carrier and is implemented once, on `dyn Home`:
/// [`runs`](trait.Home.html#method.runs), [`find`](trait.Home.html#method.find), `history`, `post`, `export`, and so on.
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
/// No method blocks its thread.
#[async_trait]
pub trait Home: Upkeep + Send + Sync + fmt::Debug + 'static {
    /// Where it is, for people.
    fn location(&self) -> String;

    /// The definitions that runs are pinned to.
    fn definitions(&self) -> &dyn DefinitionStore;

    /// What is kept beside the journals; opened when it is first asked for.
    ///
    /// # Errors
    /// It cannot be opened.
    async fn stores(&self) -> Result<&Stores, ExecutorError>;

    /// The same; `None` if nothing has been kept there yet.
    ///
    /// # Errors
    /// It cannot be opened.
    async fn existing_stores(&self) -> Result<Option<&Stores>, ExecutorError>;

    /// All journals.
    ///
    /// # Errors
    /// They cannot be listed.
    async fn journals(&self) -> Result<Vec<JournalId>, ExecutorError>;

    /// Who has leased a journal.
    ///
    /// # Errors
    /// The lease cannot be looked at.
    async fn holder(&self, journal: &JournalId) -> Result<Option<Holder>, ExecutorError>;

    /// What a journal says of each of its runs, without disturbing its holder.
    ///
    /// # Errors
    /// The journal cannot be read.
    async fn summaries(&self, journal: &JournalId) -> Result<Vec<RunSummary>, ExecutorError>;

    /// The records of one run in a journal, without disturbing its holder; `None` if the run is not in it. Other runs
    /// are not read.
    ///
    /// # Errors
    /// The journal cannot be read, or the records of the run are damaged.
    async fn records_in(&self, journal: &JournalId, run: Uuid) -> Result<Option<Vec<Record>>, ExecutorError>;

    /// Leases a journal until the lease is dropped; messages to its runs are announced at `contact`.
    ///
    /// # Errors
    /// Another process has leased it, or it cannot be read.
    async fn lease(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError>;

    /// Leases a journal for new runs: one that nobody holds and that has no run left to resume, or a new one.
    ///
    /// # Errors
    /// None can be read or made.
    async fn lease_for_new_runs(&self, contact: Contact) -> Result<Lease, ExecutorError>;

    /// Tells the holder of a journal that one of its runs has a message; whether it answered.
    async fn ring(&self, journal: &JournalId, run: Uuid) -> bool;
}

/// How a home is looked after.
#[async_trait]
pub trait Upkeep {
    /// All records of a journal, strictly: anything that was synced and is not whole any more is an error.
    ///
    /// # Errors
    /// The journal is damaged or cannot be read.
    async fn check(&self, journal: &JournalId) -> Result<Vec<(Uuid, Vec<Record>)>, ExecutorError>;

    /// Gives back a lease and removes its journal if no run is in it; whether it was removed.
    ///
    /// # Errors
    /// It cannot be removed.
    async fn remove_if_empty(&self, lease: Lease) -> Result<bool, ExecutorError>;

    /// How much room everything takes.
    ///
    /// # Errors
    /// It cannot be looked at.
    async fn usage(&self) -> Result<HomeUsage, ExecutorError>;

    /// Copies everything to the new folder `to` while others go on. The copy is a home itself: each of its runs is as it
    /// was at some moment during the call, and can be resumed there.
    ///
    /// # Errors
    /// There is something at `to`, or something cannot be read or written; then nothing is left there.
    async fn back_up(&self, to: &Path) -> Result<BackedUp, ExecutorError>;
}

/// Where the holder of a journal hears of messages to its runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// At this port of the loopback.
    Port(u16),
    /// Nowhere: it holds the journal for a moment only.
    None,
}
