//! A home in a folder.
//!
//! ```text
//! HOME/definitions/HASH.json   what runs are pinned to
//! HOME/log/NUMBER/             the journal of one process, which holds its lock
//! HOME/log/NUMBER/holder.json  who that is, and where it can be reached
//! HOME/fjall/, HOME/sled/      or a journal for one process at a time
//! HOME/store.db                runs that have ended, and messages to runs
//! ```

mod definitions;
mod holder;
mod lease;
mod logs;
mod single;
mod upkeep;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use llmspell_workflows_state::{
    Record,
    disk::blocking,
    store::{DefinitionStore, RunSummary, StoreError, Stores},
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use self::definitions::Definitions;
pub use self::single::JournalKind;
use super::{BackedUp, Contact, Holder, Home, HomeUsage, JournalId, Lease, Upkeep, bell::ring};
use crate::ExecutorError;

/// A home in a folder, with the journals of all processes that use it, the definitions of their runs, and the runs that
/// have ended.
#[derive(Debug, Clone)]
pub struct FolderHome(Arc<Folder>);

/// What a folder holds, for threads that may block.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    open: fn(&Path) -> Result<Stores, StoreError>,
    /// The name of the stores in the folder.
    store: &'static str,
    stores: OnceCell<Stores>,
    definitions: Definitions,
    /// The only journal, where it is of a kind that one process at a time has open.
    single: Option<single::Single>,
}

impl FolderHome {
    /// The home in the folder `path`, which is made when a run is started; several processes can use it at once.
    #[cfg(feature = "sqlite")]
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with(path.into(), "store.db", |path| Stores::sqlite(path))
    }

    /// The home in the folder `path`, which is made when a run is started; one process at a time can open its stores.
    #[cfg(feature = "sled")]
    #[must_use]
    pub fn embedded(path: impl Into<PathBuf>) -> Self {
        Self::with(path.into(), "store", |path| Stores::sled(path))
    }

    #[cfg_attr(
        not(any(feature = "sqlite", feature = "sled")),
        expect(dead_code, reason = "without stores there is no home in a folder")
    )]
    fn with(path: PathBuf, store: &'static str, open: fn(&Path) -> Result<Stores, StoreError>) -> Self {
        let definitions = Definitions::new(path.join("definitions"));
        Self(Arc::new(Folder { path, open, store, stores: OnceCell::new(), definitions, single: None }))
    }

    /// The same home with its runs in a journal of another kind; a home that has runs in a journal keeps its kind.
    #[must_use]
    pub fn with_journal(self, kind: JournalKind) -> Self {
        let Folder { path, open, store, .. } = &*self.0;
        let single = (kind != JournalKind::Log).then(|| single::Single::new(kind, path.join(kind.as_str())));
        let definitions = Definitions::new(path.join("definitions"));
        Self(Arc::new(Folder { path: path.clone(), open: *open, store, stores: OnceCell::new(), definitions, single }))
    }

    /// What kind of journal its runs are in.
    #[must_use]
    pub fn journal(&self) -> JournalKind {
        self.0.kind()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What `work` makes of the folder, on a thread that may block.
    async fn ask<T: Send + 'static>(&self, work: impl FnOnce(&Folder) -> T + Send + 'static) -> T {
        let folder = self.0.clone();
        blocking(move || work(&folder)).await
    }
}

impl Folder {
    fn store_path(&self) -> PathBuf {
        self.path.join(self.store)
    }
}

impl From<FolderHome> for Arc<dyn Home> {
    fn from(home: FolderHome) -> Self {
        Arc::new(home)
    }
}

#[async_trait]
impl Home for FolderHome {
    fn location(&self) -> String {
        self.0.path.display().to_string()
    }

    fn definitions(&self) -> &dyn DefinitionStore {
        &self.0.definitions
    }

    async fn stores(&self) -> Result<&Stores, ExecutorError> {
        let open = || {
            self.ask(|folder| {
                fs::create_dir_all(&folder.path).map_err(|error| ExecutorError::file(&folder.path, &error))?;
                Ok((folder.open)(&folder.store_path())?)
            })
        };
        self.0.stores.get_or_try_init(open).await
    }

    async fn existing_stores(&self) -> Result<Option<&Stores>, ExecutorError> {
        if self.0.stores.get().is_none() && !self.ask(|folder| folder.store_path().exists()).await {
            return Ok(None);
        }
        self.stores().await.map(Some)
    }

    async fn journals(&self) -> Result<Vec<JournalId>, ExecutorError> {
        self.ask(Folder::journals).await
    }

    async fn holder(&self, journal: &JournalId) -> Result<Option<Holder>, ExecutorError> {
        let journal = journal.clone();
        self.ask(move |folder| folder.holder(&journal)).await
    }

    async fn summaries(&self, journal: &JournalId) -> Result<Vec<RunSummary>, ExecutorError> {
        let journal = journal.clone();
        self.ask(move |folder| folder.summaries(&journal)).await
    }

    async fn records_in(&self, journal: &JournalId, run: Uuid) -> Result<Option<Vec<Record>>, ExecutorError> {
        let journal = journal.clone();
        self.ask(move |folder| folder.records(&journal, run)).await
    }

    async fn lease(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError> {
        let journal = journal.clone();
        self.ask(move |folder| folder.lease(&journal, contact)).await
    }

    async fn lease_for_new_runs(&self, contact: Contact) -> Result<Lease, ExecutorError> {
        self.ask(move |folder| folder.lease_for_new_runs(contact)).await
    }

    async fn ring(&self, journal: &JournalId, run: Uuid) -> bool {
        let journal = journal.clone();
        match self.ask(move |folder| holder::contact(&folder.dir(&journal))).await {
            Contact::Port(port) => ring(port, run).await,
            Contact::None => false,
        }
    }
}

#[async_trait]
impl Upkeep for FolderHome {
    async fn check(&self, journal: &JournalId) -> Result<Vec<(Uuid, Vec<Record>)>, ExecutorError> {
        let journal = journal.clone();
        self.ask(move |folder| folder.check(&journal)).await
    }

    async fn remove_if_empty(&self, lease: Lease) -> Result<bool, ExecutorError> {
        self.ask(move |folder| folder.remove_if_empty(lease)).await
    }

    async fn usage(&self) -> Result<HomeUsage, ExecutorError> {
        self.ask(Folder::usage).await
    }

    async fn back_up(&self, to: &Path) -> Result<BackedUp, ExecutorError> {
        upkeep::back_up(self, to).await
    }
}
