//! A home in memory.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    engine::{LimitName, SharedPermit},
    sync::lock,
};
use llmspell_workflows_state::{
    Journal, JournalContents, JournalError, JournalWrapper, JournaledRun, MemoryJournal,
    store::{DefinitionStore, StoreError, Stores},
};
use uuid::Uuid;

use super::{
    BackupReport, Claim, Contact, Holder, Home, HomeUsage, JournalId, JournalSummaries, JournalUsage, Lease, Upkeep,
    notify::notify_holder,
};
use crate::ExecutorError;

/// A home in memory, which exists until it and all its clones are dropped.
///
/// Several executors can use the home at once, and can take over the runs of dropped executors.
#[derive(Debug, Clone)]
pub struct MemoryHome {
    journals: Arc<Mutex<Vec<MemoryLog>>>,
    stores: Stores,
    claimed: Claimed,
}

#[derive(Debug)]
struct MemoryLog {
    journal: Arc<MemoryJournal>,
    held: Weak<LeasedJournal>,
    contact: Contact,
}

/// A journal leased by an executor. Once this value is dropped, another executor can take over the
/// journal's runs.
#[derive(Debug)]
struct LeasedJournal(Arc<MemoryJournal>);

impl MemoryHome {
    /// Returns an empty home.
    #[must_use]
    pub fn new() -> Self {
        Self { journals: Arc::default(), stores: Stores::memory(), claimed: Arc::default() }
    }

    fn logs(&self) -> MutexGuard<'_, Vec<MemoryLog>> {
        lock(&self.journals)
    }

    /// Applies `act` to the journal `id`.
    fn with<T>(&self, id: &JournalId, act: impl FnOnce(&mut MemoryLog) -> T) -> Result<T, ExecutorError> {
        let number = id.as_str().parse::<usize>().ok();
        let mut journals = self.logs();
        let found = number.and_then(|number| journals.get_mut(number.checked_sub(1)?));
        found.map(act).ok_or_else(|| ExecutorError::UnknownJournal { journal: id.clone() })
    }

    fn holder_of(log: &MemoryLog) -> Option<Holder> {
        (log.held.strong_count() > 0).then(|| Holder("another executor of this process".to_owned()))
    }

    fn lease_now(&self, id: &JournalId, contact: Contact) -> Result<Lease, ExecutorError> {
        self.with(id, |log| {
            if let Some(holder) = Self::holder_of(log) {
                return Err(JournalError::Held { path: id.to_string(), holder: holder.0 }.into());
            }
            let held = Arc::new(LeasedJournal(log.journal.clone()));
            (log.held, log.contact) = (Arc::downgrade(&held), contact);
            let ended = JournalSummaries::of(contents_of(&log.journal), None).ended();
            Ok(Lease { id: id.clone(), journal: held, ended })
        })?
    }
}

impl Default for MemoryHome {
    fn default() -> Self {
        Self::new()
    }
}

impl From<MemoryHome> for Arc<dyn Home> {
    fn from(home: MemoryHome) -> Self {
        Arc::new(home)
    }
}

fn contents_of(journal: &MemoryJournal) -> JournalContents {
    let runs = journal.runs().into_iter().filter_map(|run| run_of(journal, run)).collect();
    JournalContents { runs, damage: Vec::new() }
}

fn run_of(journal: &MemoryJournal, run: Uuid) -> Option<JournaledRun> {
    let (epoch, records) = journal.kept_in_epoch(run)?;
    (!records.is_empty()).then_some(JournaledRun { run, epoch, records: Ok(records) })
}

/// The claimed runs of a home.
type Claimed = Arc<Mutex<BTreeSet<Uuid>>>;

/// A claim, released when this value is dropped.
struct ClaimedRun {
    run: Uuid,
    claimed: Claimed,
}

impl Drop for ClaimedRun {
    fn drop(&mut self) {
        lock(&self.claimed).remove(&self.run);
    }
}

#[async_trait]
impl Home for MemoryHome {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn definitions(&self) -> &dyn DefinitionStore {
        &*self.stores.definitions
    }

    async fn stores(&self) -> Result<&Stores, ExecutorError> {
        Ok(&self.stores)
    }

    async fn existing_stores(&self) -> Result<Option<&Stores>, ExecutorError> {
        Ok(Some(&self.stores))
    }

    async fn journals(&self) -> Result<Vec<JournalId>, ExecutorError> {
        Ok((1..=self.logs().len()).map(|number| JournalId::new(&number.to_string())).collect())
    }

    async fn holder(&self, journal: &JournalId) -> Result<Option<Holder>, ExecutorError> {
        self.with(journal, |log| Self::holder_of(log))
    }

    async fn summaries(&self, journal: &JournalId) -> Result<JournalSummaries, ExecutorError> {
        self.with(journal, |log| JournalSummaries::of(contents_of(&log.journal), Self::holder_of(log)))
    }

    async fn run_in(&self, journal: &JournalId, run: Uuid) -> Result<Option<JournaledRun>, ExecutorError> {
        self.with(journal, |log| run_of(&log.journal, run))
    }

    async fn claim(&self, run: Uuid) -> Result<Claim, ExecutorError> {
        // The claim's owner works on this runtime or on another thread and will release the claim
        // soon.
        while !lock(&self.claimed).insert(run) {
            tokio::task::yield_now().await;
        }
        Ok(Claim::new(ClaimedRun { run, claimed: self.claimed.clone() }))
    }

    async fn permit(&self, _: LimitName<'_>, _: u32) -> Result<Option<SharedPermit>, ExecutorError> {
        Ok(None)
    }

    async fn lease(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError> {
        self.lease_now(journal, contact)
    }

    async fn announce(&self, lease: &Lease, contact: Contact) -> Result<(), ExecutorError> {
        self.with(&lease.id, |log| log.contact = contact)
    }

    async fn lease_for_new_runs(&self, contact: Contact) -> Result<Lease, ExecutorError> {
        loop {
            let number = {
                let mut logs = self.logs();
                let has_live = |log: &MemoryLog| JournalSummaries::of(contents_of(&log.journal), None).has_live();
                let free = logs.iter().position(|log| Self::holder_of(log).is_none() && !has_live(log));
                free.unwrap_or_else(|| {
                    logs.push(MemoryLog { journal: Arc::default(), held: Weak::new(), contact: Contact::None });
                    logs.len() - 1
                }) + 1
            };
            match self.lease_now(&JournalId::new(&number.to_string()), contact) {
                // Another executor leased this journal first.
                Err(ExecutorError::Journal(JournalError::Held { .. })) => {}
                leased => return leased,
            }
        }
    }

    async fn notify(&self, journal: &JournalId, run: Uuid) -> bool {
        match self.with(journal, |log| log.contact) {
            Ok(Contact::Port(port)) => notify_holder(port, run).await,
            Ok(Contact::None) | Err(_) => false,
        }
    }
}

#[async_trait]
impl Upkeep for MemoryHome {
    async fn check(&self, journal: &JournalId) -> Result<JournalContents, ExecutorError> {
        self.with(journal, |log| contents_of(&log.journal))
    }

    async fn remove_if_empty(&self, lease: Lease) -> Result<bool, ExecutorError> {
        // The journal's slot is kept, because the numbers of the other journals depend on it.
        drop(lease);
        Ok(false)
    }

    async fn set_aside(&self, lease: Lease) -> Result<PathBuf, ExecutorError> {
        // Journals in memory are never damaged.
        Err(ExecutorError::UnknownJournal { journal: lease.id })
    }

    async fn set_stores_aside(&self) -> Result<PathBuf, ExecutorError> {
        // Stores in memory are never damaged.
        Err(StoreError::Lost { path: self.location().into() }.into())
    }

    async fn usage(&self) -> Result<HomeUsage, ExecutorError> {
        let journal = |id| JournalUsage { id, bytes: 0 };
        let journals = Home::journals(self).await?.into_iter().map(journal).collect();
        Ok(HomeUsage { bytes: 0, definition_bytes: 0, journals })
    }

    async fn back_up(&self, to: &Path) -> Result<BackupReport, ExecutorError> {
        let message = "cannot back up a home in memory: nothing is on disk".to_owned();
        Err(StoreError::Io { path: to.to_owned(), message }.into())
    }
}

impl JournalWrapper for LeasedJournal {
    fn inner(&self) -> &dyn Journal {
        &*self.0
    }
}
