//! A home in a folder.
//!
//! ```text
//! HOME/definitions/HASH.json   the definitions that runs are pinned to
//! HOME/log/NUMBER/             the journal of one process, locked by that process
//! HOME/log/NUMBER/holder.json  the process, and the port on which it is notified of messages
//! HOME/fjall/, HOME/sled/      instead of log/: a journal that allows only one process at a time
//! HOME/claims/                 locks on runs that are being moved
//! HOME/limits/HASH/            locks of the steps that hold a named limit
//! HOME/damaged/                journals that were damaged and have been moved aside
//! HOME/output/RUN/             the output of the processes that steps start
//! HOME/store.db                ended runs, and messages to runs
//! HOME/store.db.created        shows that the store has been created, so that its loss is noticed
//! ```

mod definitions;
mod holder;
mod lease;
mod limits;
mod logs;
mod outputs;
mod single;
mod stores;
mod upkeep;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use llmspell_workflows_basic::engine::{LimitName, SharedPermit};
use llmspell_workflows_state::{
    JournalContents, JournaledRun, Record,
    disk::blocking,
    store::{DefinitionStore, StoreError, Stores},
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use self::definitions::Definitions;
pub use self::single::JournalKind;
use super::{
    BackupReport, Claim, Contact, Holder, Home, HomeUsage, JournalId, JournalSummaries, Lease, StepOutputs, Upkeep,
    notify::notify_holder,
};
use crate::ExecutorError;

/// A home in a folder, with the journals of all processes that use it, the definitions of their runs, and ended runs.
#[derive(Debug, Clone)]
pub struct FolderHome(Arc<Folder>);

/// The blocking implementation of a folder home.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    open: fn(&Path) -> Result<Stores, StoreError>,
    /// The name of the stores' file or folder inside the home's folder.
    store: &'static str,
    stores: OnceCell<Stores>,
    definitions: Definitions,
    /// The journals that contained a run to resume or damaged data when they were last summarized.
    occupied: Mutex<BTreeSet<JournalId>>,
    /// The only journal, if its kind allows only one process at a time.
    single: Option<single::SingleJournal>,
}

impl FolderHome {
    /// Returns the home in the folder `path`. The first run creates the folder. Several processes can share the home.
    #[cfg(feature = "sqlite")]
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with(path.into(), "store.db", |path| Stores::sqlite(path))
    }

    /// Returns the home in the folder `path`. The first run creates the folder. Only one process at a time can open the
    /// home.
    #[cfg(feature = "sled")]
    #[must_use]
    pub fn embedded(path: impl Into<PathBuf>) -> Self {
        Self::with(path.into(), "store", |path| Stores::sled(path))
    }

    #[cfg_attr(
        not(any(feature = "sqlite", feature = "sled")),
        expect(dead_code, reason = "a folder home needs a store")
    )]
    fn with(path: PathBuf, store: &'static str, open: fn(&Path) -> Result<Stores, StoreError>) -> Self {
        let definitions = Definitions::new(path.join("definitions"));
        let (stores, occupied) = Default::default();
        Self(Arc::new(Folder { path, open, store, stores, definitions, occupied, single: None }))
    }

    /// Sets the kind of journal. The kind cannot change once the home has runs in a journal.
    #[must_use]
    pub fn with_journal(self, kind: JournalKind) -> Self {
        let Folder { path, open, store, .. } = &*self.0;
        let single = (kind != JournalKind::Log).then(|| single::SingleJournal::new(kind, path.join(kind.as_str())));
        let definitions = Definitions::new(path.join("definitions"));
        let (path, (stores, occupied)) = (path.clone(), Default::default());
        Self(Arc::new(Folder { path, open: *open, store, stores, definitions, occupied, single }))
    }

    /// Returns the kind of the home's journals.
    #[must_use]
    pub fn journal(&self) -> JournalKind {
        self.0.kind()
    }

    /// Returns the path of the home's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Runs `work` on a thread that may block.
    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce(&Folder) -> T + Send + 'static) -> T {
        let folder = self.0.clone();
        blocking(move || work(&folder)).await
    }
}

impl Folder {
    fn outputs(&self) -> outputs::FolderOutputs {
        outputs::FolderOutputs::new(self.path.clone())
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
        self.0.stores.get_or_try_init(|| self.run_blocking(Folder::open_stores)).await
    }

    async fn existing_stores(&self) -> Result<Option<&Stores>, ExecutorError> {
        if self.0.stores.get().is_none() && !self.run_blocking(Folder::has_stores).await {
            return Ok(None);
        }
        self.stores().await.map(Some)
    }

    fn outputs(&self) -> Option<Arc<dyn StepOutputs>> {
        Some(Arc::new(self.0.outputs()))
    }

    fn has_journals(&self) -> bool {
        self.0.single.is_none()
    }

    async fn journals(&self) -> Result<Vec<JournalId>, ExecutorError> {
        self.run_blocking(Folder::journals).await
    }

    async fn holder(&self, journal: &JournalId) -> Result<Option<Holder>, ExecutorError> {
        let journal = journal.clone();
        self.run_blocking(move |folder| folder.holder(&journal)).await
    }

    async fn summaries(&self, journal: &JournalId) -> Result<JournalSummaries, ExecutorError> {
        let journal = journal.clone();
        self.run_blocking(move |folder| folder.summaries(&journal)).await
    }

    async fn outlines(&self, journal: &JournalId) -> Result<JournalContents, ExecutorError> {
        let journal = journal.clone();
        self.run_blocking(move |folder| folder.outlines(&journal)).await
    }

    async fn run_in(&self, journal: &JournalId, run: Uuid) -> Result<Option<JournaledRun>, ExecutorError> {
        let journal = journal.clone();
        self.run_blocking(move |folder| folder.run_in(&journal, run)).await
    }

    async fn first_record(&self, journal: &JournalId, run: Uuid) -> Result<Option<Record>, ExecutorError> {
        let journal = journal.clone();
        self.run_blocking(move |folder| folder.first_record(&journal, run)).await
    }

    async fn claim(&self, run: Uuid) -> Result<Claim, ExecutorError> {
        self.run_blocking(move |folder| folder.claim(run)).await
    }

    async fn permit(&self, limit: LimitName<'_>, holders: u32) -> Result<Option<SharedPermit>, ExecutorError> {
        self.wait_for_permit(limit, holders).await.map(Some)
    }

    async fn lease(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError> {
        let journal = journal.clone();
        self.run_blocking(move |folder| folder.lease(&journal, contact)).await
    }

    async fn announce(&self, lease: &Lease, contact: Contact) -> Result<(), ExecutorError> {
        let journal = lease.id.clone();
        self.run_blocking(move |folder| holder::announce(&folder.dir(&journal), contact)).await
    }

    async fn lease_for_new_runs(&self, contact: Contact) -> Result<Lease, ExecutorError> {
        self.run_blocking(move |folder| folder.lease_for_new_runs(contact)).await
    }

    async fn notify(&self, journal: &JournalId, run: Uuid) -> bool {
        let journal = journal.clone();
        match self.run_blocking(move |folder| holder::contact(&folder.dir(&journal))).await {
            Contact::Port(port) => notify_holder(port, run).await,
            Contact::None => false,
        }
    }
}

#[async_trait]
impl Upkeep for FolderHome {
    async fn check(&self, journal: &JournalId) -> Result<JournalContents, ExecutorError> {
        let journal = journal.clone();
        self.run_blocking(move |folder| folder.contents(&journal)).await
    }

    async fn remove_if_empty(&self, lease: Lease) -> Result<bool, ExecutorError> {
        self.run_blocking(move |folder| folder.remove_if_empty(lease)).await
    }

    async fn set_aside(&self, lease: Lease) -> Result<PathBuf, ExecutorError> {
        self.run_blocking(move |folder| folder.set_aside(lease)).await
    }

    async fn set_stores_aside(&self) -> Result<PathBuf, ExecutorError> {
        self.run_blocking(|folder| folder.set_stores_aside()).await
    }

    async fn usage(&self) -> Result<HomeUsage, ExecutorError> {
        self.run_blocking(Folder::usage).await
    }

    async fn back_up(&self, to: &Path) -> Result<BackupReport, ExecutorError> {
        upkeep::back_up(self, to).await
    }
}
