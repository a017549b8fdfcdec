//! What is kept of runs beside their journal: small traits, and where they keep it.
//!
//! | trait | what it keeps | a write returns once it |
//! |---|---|---|
//! | [`RunStore`] | an index of runs, newest first | is there for all to see; it is **not synced** |
//! | [`ArchiveStore`] | the records of runs that have ended | outlives a power loss |
//! | [`DefinitionStore`] | definitions as JSON, by hash | outlives a power loss |
//! | [`SnapshotStore`] | named checkpoints of runs | outlives a power loss |
//! | [`InboxStore`] | messages to runs: pause, resume, cancel, signals | outlives a power loss |
//! | [`BlobStore`] | large values, by hash | outlives a power loss |
//!
//! The index of runs follows the journal and can be made again from it, so it needs no sync of its own. What is synced
//! covers all that was written before it to the same [`Stores`]. So a run ends in this order: its last summary is put,
//! its records are archived, and then the journal forgets it.
//!
//! All methods are async and none blocks its thread: the adapters here run on a thread of their own. An adapter of your
//! own on a client that blocks implements the traits in [`blocking`], and [`Stores::blocking`] does the rest.
//!
//! Whatever is read is checked: bytes that were changed, cut or lost are [`StoreError::Damaged`], never another value.
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

/// One of each, kept in one place.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Which runs there are.
    pub runs: Arc<dyn RunStore>,
    /// What finished runs recorded.
    pub archive: Arc<dyn ArchiveStore>,
    /// What runs were started with.
    pub definitions: Arc<dyn DefinitionStore>,
    /// Checkpoints.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Messages to runs.
    pub inbox: Arc<dyn InboxStore>,
    /// Large values.
    pub blobs: Arc<dyn BlobStore>,
    /// Where all of them are kept.
    pub adapter: Arc<dyn Adapter>,
}

/// What holds the stores.
#[async_trait]
pub trait Adapter: Send + Sync + fmt::Debug {
    /// Its name, such as `sqlite`.
    fn name(&self) -> &'static str;

    /// Whether several processes can have the same stores open.
    fn admits_several_processes(&self) -> bool;

    /// Copies all that is kept to `to`, which is not there yet, as it stands at one moment; others can go on writing.
    /// The copy outlives a power loss when the call returns.
    ///
    /// # Errors
    /// It cannot be read or written, or lasts no longer than this process.
    async fn back_up(&self, to: &Path) -> Result<(), StoreError>;

    /// Gives room that nothing takes any more back to the system, as far as the adapter can.
    ///
    /// # Errors
    /// It cannot be written.
    async fn compact(&self) -> Result<(), StoreError>;

    /// Reads all that is kept.
    ///
    /// # Errors
    /// It cannot be read at all; what of it is damaged is part of the answer.
    async fn verify(&self) -> Result<Verified, StoreError>;
}

impl Stores {
    /// Stores that last as long as they are there.
    #[must_use]
    pub fn memory() -> Self {
        Self::all(Arc::new(worker::Worker::in_memory(kv::KeyValueStores::new(memory::Memory::default()))))
    }

    /// Stores in the SQLite database at `path`, which is made where there is none. Several processes can have it open.
    ///
    /// Opening reads the schema and nothing else. The database is in WAL mode, so its folder must be on a disk of this
    /// machine; two more files stand beside it while it is open.
    ///
    /// # Errors
    /// The file cannot be opened, is no store, is damaged, or was written by a later version of this program.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::blocking(sqlite::Sqlite::open(path.as_ref())?)
    }

    /// Stores in the folder `path`, with sled, which is made where there is none. One process at a time has it open.
    ///
    /// Opening reads sled's own log since it was last opened.
    ///
    /// # Errors
    /// Another process has it, which the error names; it cannot be read; it has lost what was acknowledged; or it was
    /// written by a later version of this program.
    #[cfg(feature = "sled")]
    pub fn sled(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::blocking(kv::KeyValueStores::new(crate::folder::Folder::<crate::folder::Sled>::open(path.as_ref())?))
    }

    /// Stores that block, on a thread of their own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn blocking(stores: impl blocking::AllStores) -> Result<Self, StoreError> {
        let worker = worker::Worker::start(stores).map_err(|error| StoreError::io(Path::new(""), &error))?;
        Ok(Self::all(Arc::new(worker)))
    }

    /// Stores that are all kept by `one`.
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

    /// Whether several processes can have these stores open.
    #[must_use]
    pub fn admits_several_processes(&self) -> bool {
        self.adapter.admits_several_processes()
    }
}
