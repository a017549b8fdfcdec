use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use llmspell_workflows_advanced::{
    BackupReport, Claim, Contact, ExecutorError, Holder, Home, HomeUsage, JournalId, JournalSummaries, Lease, Upkeep,
};
use llmspell_workflows_basic::engine::{LimitName, SharedPermit};
use llmspell_workflows_state::{
    Journal, JournalContents, JournaledRun,
    store::{DefinitionStore, Stores},
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    gate::Gate,
    journal::CrashingJournal,
    ledger::SharedLedger,
    stores::{CrashingDefinitions, crashing},
};

/// A function that wraps each journal that a process leases.
pub(super) type WrapJournal = Arc<dyn Fn(Arc<dyn Journal>) -> Arc<dyn Journal> + Send + Sync>;

/// A function that wraps the stores of each process.
pub(super) type WrapStores = Arc<dyn Fn(Stores) -> Stores + Send + Sync>;

/// The wrappers that a test puts between the processes and their home.
#[derive(Clone)]
pub(super) struct Wraps {
    pub(super) journal: WrapJournal,
    pub(super) stores: WrapStores,
}

impl Default for Wraps {
    fn default() -> Self {
        Self { journal: Arc::new(|journal| journal), stores: Arc::new(|stores| stores) }
    }
}

/// The home of one process. Each call that locks or changes something is between two boundaries.
pub(super) struct CrashingHome {
    inner: Arc<dyn Home>,
    gate: Gate,
    ledger: SharedLedger,
    wraps: Wraps,
    definitions: CrashingDefinitions,
    stores: OnceCell<Stores>,
}

impl CrashingHome {
    pub(super) fn new(inner: Arc<dyn Home>, gate: Gate, ledger: SharedLedger, wraps: Wraps) -> Self {
        let definitions = CrashingDefinitions { home: inner.clone(), gate: gate.clone() };
        Self { inner, gate, ledger, wraps, definitions, stores: OnceCell::new() }
    }

    fn leased(&self, lease: Lease) -> Lease {
        let journal = (self.wraps.journal)(lease.journal);
        Lease { journal: Arc::new(CrashingJournal::new(journal, self.gate.clone(), self.ledger.clone())), ..lease }
    }

    async fn wrap(&self, stores: &Stores) -> &Stores {
        let wrap = || async { crashing((self.wraps.stores)(stores.clone()), self.gate.clone()) };
        self.stores.get_or_init(wrap).await
    }
}

#[async_trait]
impl Home for CrashingHome {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn definitions(&self) -> &dyn DefinitionStore {
        &self.definitions
    }

    async fn stores(&self) -> Result<&Stores, ExecutorError> {
        let stores = self.gate.around("open the stores", self.inner.stores()).await?;
        Ok(self.wrap(stores).await)
    }

    async fn existing_stores(&self) -> Result<Option<&Stores>, ExecutorError> {
        match self.inner.existing_stores().await? {
            Some(stores) => Ok(Some(self.wrap(stores).await)),
            None => Ok(None),
        }
    }

    async fn journals(&self) -> Result<Vec<JournalId>, ExecutorError> {
        self.inner.journals().await
    }

    fn has_journals(&self) -> bool {
        self.inner.has_journals()
    }

    async fn holder(&self, journal: &JournalId) -> Result<Option<Holder>, ExecutorError> {
        self.inner.holder(journal).await
    }

    async fn summaries(&self, journal: &JournalId) -> Result<JournalSummaries, ExecutorError> {
        self.inner.summaries(journal).await
    }

    async fn run_in(&self, journal: &JournalId, run: Uuid) -> Result<Option<JournaledRun>, ExecutorError> {
        self.inner.run_in(journal, run).await
    }

    async fn claim(&self, run: Uuid) -> Result<Claim, ExecutorError> {
        self.gate.around("claim", self.inner.claim(run)).await
    }

    async fn permit(&self, limit: LimitName<'_>, holders: u32) -> Result<Option<SharedPermit>, ExecutorError> {
        self.gate.around("permit", self.inner.permit(limit, holders)).await
    }

    async fn lease(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError> {
        let lease = self.gate.around(&format!("lease {journal}"), self.inner.lease(journal, contact)).await?;
        Ok(self.leased(lease))
    }

    async fn announce(&self, lease: &Lease, contact: Contact) -> Result<(), ExecutorError> {
        self.gate.around("announce", self.inner.announce(lease, contact)).await
    }

    async fn lease_for_new_runs(&self, contact: Contact) -> Result<Lease, ExecutorError> {
        let lease = self.gate.around("lease for new runs", self.inner.lease_for_new_runs(contact)).await?;
        Ok(self.leased(lease))
    }

    async fn notify(&self, journal: &JournalId, run: Uuid) -> bool {
        self.gate.around("notify", self.inner.notify(journal, run)).await
    }
}

#[async_trait]
impl Upkeep for CrashingHome {
    async fn check(&self, journal: &JournalId) -> Result<JournalContents, ExecutorError> {
        self.inner.check(journal).await
    }

    async fn remove_if_empty(&self, lease: Lease) -> Result<bool, ExecutorError> {
        self.gate.around("remove if empty", self.inner.remove_if_empty(lease)).await
    }

    async fn set_aside(&self, lease: Lease) -> Result<PathBuf, ExecutorError> {
        self.gate.around("set aside", self.inner.set_aside(lease)).await
    }

    async fn set_stores_aside(&self) -> Result<PathBuf, ExecutorError> {
        self.gate.around("set aside", self.inner.set_stores_aside()).await
    }

    async fn usage(&self) -> Result<HomeUsage, ExecutorError> {
        self.inner.usage().await
    }

    async fn back_up(&self, to: &Path) -> Result<BackupReport, ExecutorError> {
        self.gate.around("back up", self.inner.back_up(to)).await
    }
}

impl fmt::Debug for CrashingHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of a process that may crash", self.inner)
    }
}
