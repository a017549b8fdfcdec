use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use llmspell_workflows_basic::sync::lock;
use uuid::Uuid;

use super::{Arrival, Epoch, Journal, JournalError, Opened, Receipt};
use crate::record::Record;

/// An in-memory journal, for tests and for runs that need not survive their process.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    runs: Mutex<BTreeMap<Uuid, (Epoch, Vec<Record>)>>,
    appended: AtomicU64,
}

impl MemoryJournal {
    /// Creates an empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the current records of `run`, without taking the run over.
    #[must_use]
    pub fn kept(&self, run: Uuid) -> Vec<Record> {
        self.all().get(&run).map(|(_, records)| records.clone()).unwrap_or_default()
    }

    /// Returns the epoch and the current records of `run`, without taking the run over; `None` if
    /// the run is unknown.
    #[must_use]
    pub fn kept_in_epoch(&self, run: Uuid) -> Option<(Epoch, Vec<Record>)> {
        self.all().get(&run).cloned()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Uuid, (Epoch, Vec<Record>)>> {
        lock(&self.runs)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        let mut runs = self.all();
        let (epoch, records) = runs.entry(run).or_insert((Epoch(0), Vec::new()));
        *epoch = Epoch(epoch.0 + 1);
        Ok(Opened { epoch: *epoch, records: records.clone() })
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        match self.all().get_mut(&run) {
            Some((current, records)) if *current == epoch => records.push(record.clone()),
            _ => return Err(JournalError::Fenced { run }),
        }
        Ok(Receipt(self.appended.fetch_add(1, Ordering::Relaxed)))
    }

    async fn write(&self, _receipt: Receipt) -> Result<(), JournalError> {
        Ok(())
    }

    async fn sync(&self, _receipt: Receipt) -> Result<(), JournalError> {
        Ok(())
    }

    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        Ok(self.kept(run))
    }

    fn runs(&self) -> Vec<Uuid> {
        self.all().keys().copied().collect()
    }

    async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
        let mut all = self.all();
        let arrive = |Arrival { run, after, records }| {
            let here = all.get(&run).map_or(Epoch(0), |(epoch, _)| *epoch);
            let epoch = Epoch(here.max(after).0 + 1);
            all.insert(run, (epoch, records));
            epoch
        };
        Ok(arrivals.into_iter().map(arrive).collect())
    }

    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        let mut all = self.all();
        let is_fenced = |(run, epoch): &&(Uuid, Epoch)| all.get(run).is_some_and(|(current, _)| current != epoch);
        if let Some((run, _)) = runs.iter().find(is_fenced) {
            return Err(JournalError::Fenced { run: *run });
        }
        for (run, _) in runs {
            all.remove(run);
        }
        Ok(())
    }
}
