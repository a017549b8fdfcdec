//! Stores of run data other than the journal: small traits and their adapters.
//!
//! | trait | content | when a write returns |
//! |---|---|---|
//! | [`RunStore`] | an index of runs, newest first | it is visible to all readers, but **not synced** |
//! | [`ArchiveStore`] | the records of runs that have ended | it survives a power loss |
//! | [`DefinitionStore`] | definitions as JSON text, by hash | it survives a power loss |
//! | [`SnapshotStore`] | named checkpoints of runs | it survives a power loss |
//! | [`InboxStore`] | messages to runs: pause, resume, cancel, signals | it survives a power loss |
//! | [`BlobStore`] | large values, by hash | it survives a power loss |
//!
//! The index of runs is derived from the journal and can be rebuilt from it, so it needs no
//! separate syncs. A sync covers everything written earlier to the same [`Stores`]. A run therefore
//! ends in this order: its last summary is stored, its records are archived, and then the journal
//! forgets the run.
//!
//! All methods are async and never block the calling thread: the adapters in this module run on their own thread. A
//! custom adapter that uses a blocking client implements the traits in [`blocking`] and is passed to
//! [`Stores::blocking`].
//!
//! All data is checked when it is read: changed, truncated or lost data results in [`StoreError::Damaged`], never in a
//! wrong value.
//!
//! ```
//! # use llmspell_workflows_state::store::{Message, Stores};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let stores = Stores::memory();
//! let run = uuid::Uuid::now_v7();
//! stores.inbox.post(run, "one", &Message::Pause).await?;
//! assert_eq!(stores.inbox.next(run, 0).await?, [(1, Message::Pause)]);
//! # Ok::<(), llmspell_workflows_state::store::StoreError>(()) }).unwrap();
//! ```

mod archive;
mod blobs;
pub mod blocking;
#[cfg(feature = "conformance")]
pub mod conformance;
mod definitions;
mod error;
mod inbox;
pub(crate) mod kv;
mod memory;
mod runs;
mod seal;
mod snapshots;
#[cfg(feature = "sqlite")]
mod sqlite;
mod verified;
mod worker;

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;

pub use archive::ArchiveStore;
pub use blobs::{BlobStore, blob_hash};
pub use definitions::DefinitionStore;
pub use error::StoreError;
pub use inbox::{INBOX_PAGE, InboxStore, Message};
pub use llmspell_workflows_basic::RunStatus;
pub use runs::{RUNS_PAGE_MAX, RunCursor, RunError, RunPage, RunQuery, RunStore, RunSummary};
pub use snapshots::{Snapshot, SnapshotStore};
pub use verified::Verified;

/// One store of each kind.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The index of runs.
    pub runs: Arc<dyn RunStore>,
    /// The records of runs that have ended.
    pub archive: Arc<dyn ArchiveStore>,
    /// The definitions that runs were started with.
    pub definitions: Arc<dyn DefinitionStore>,
    /// Checkpoints.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Messages to runs.
    pub inbox: Arc<dyn InboxStore>,
    /// Large values.
    pub blobs: Arc<dyn BlobStore>,
    /// The adapter behind all these stores.
    pub adapter: Arc<dyn Adapter>,
}

/// The storage behind the stores.
#[async_trait]
pub trait Adapter: Send + Sync + fmt::Debug {
    /// Returns the adapter's name, such as `sqlite`.
    fn name(&self) -> &'static str;

    /// Returns whether several processes can have the same stores open.
    fn admits_several_processes(&self) -> bool;

    /// Copies a consistent snapshot of the stores to `to`, which must not exist yet; writes can continue during the
    /// copy. The copy survives a power loss once the call returns.
    ///
    /// # Errors
    /// Returns an error if the stores cannot be read or are in memory only, or if the copy cannot be written.
    async fn back_up(&self, to: &Path) -> Result<(), StoreError>;

    /// Returns unused space to the operating system, if the adapter supports that.
    ///
    /// # Errors
    /// Returns an error if the stores cannot be written.
    async fn compact(&self) -> Result<(), StoreError>;

    /// Reads everything in the stores and reports any damage.
    ///
    /// # Errors
    /// Returns an error if the stores cannot be read at all. Damage is not an error; it is part of the result.
    async fn verify(&self) -> Result<Verified, StoreError>;
}

impl Stores {
    /// Creates in-memory stores.
    #[must_use]
    pub fn memory() -> Self {
        Self::all(Arc::new(worker::Worker::in_memory(kv::KeyValueStores::new(memory::Memory::default()))))
    }

    /// Opens stores in the SQLite database at `path`, which is created if missing. Several processes can have the
    /// database open.
    ///
    /// Opening reads only the schema. The database is in WAL mode, so its folder must be on a local disk; while it is
    /// open, two more files exist next to it.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, is not a store, is damaged, or was written by a later version of
    /// this program.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::blocking(sqlite::Sqlite::open(path.as_ref())?)
    }

    /// Opens sled stores in the folder `path`, which is created if missing. Only one process can have the folder open.
    ///
    /// Opening reads the part of sled's own log that was written since the stores were last opened.
    ///
    /// # Errors
    /// Returns an error if another process, which the error names, has the stores open, or if the stores cannot be
    /// read, have lost acknowledged data, or were written by a later version of this program.
    #[cfg(feature = "sled")]
    pub fn sled(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::blocking(kv::KeyValueStores::new(crate::folder::Folder::<crate::folder::Sled>::open(path.as_ref())?))
    }

    /// Runs blocking stores on their own thread.
    ///
    /// # Errors
    /// Returns an error if no thread can be spawned.
    pub fn blocking(stores: impl blocking::AllStores) -> Result<Self, StoreError> {
        let worker = worker::Worker::start(stores).map_err(|error| StoreError::io(Path::new(""), &error))?;
        Ok(Self::all(Arc::new(worker)))
    }

    /// Creates stores that all use `one`.
    #[must_use]
    pub fn all<S>(one: Arc<S>) -> Self
    where
        S: RunStore + ArchiveStore + DefinitionStore + SnapshotStore + InboxStore + BlobStore + Adapter + 'static,
    {
        Self {
            runs: one.clone(),
            archive: one.clone(),
            definitions: one.clone(),
            snapshots: one.clone(),
            inbox: one.clone(),
            blobs: one.clone(),
            adapter: one,
        }
    }

    /// Returns whether several processes can have these stores open.
    #[must_use]
    pub fn admits_several_processes(&self) -> bool {
        self.adapter.admits_several_processes()
    }
}
