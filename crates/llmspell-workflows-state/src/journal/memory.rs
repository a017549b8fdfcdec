use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Epoch, Journal, JournalError, Opened, Receipt};
use crate::record::Record;

/// A journal that lasts as long as it is there: for tests, and for runs that need not outlive their process.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    runs: Mutex<BTreeMap<Uuid, (Epoch, Vec<Record>)>>,
    appended: AtomicU64,
}

impl MemoryJournal {
    /// A journal without runs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is kept of `run` now, without taking it over.
    #[must_use]
    pub fn records(&self, run: Uuid) -> Vec<Record> {
        self.runs().get(&run).map(|(_, records)| records.clone()).unwrap_or_default()
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<Uuid, (Epoch, Vec<Record>)>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        let mut runs = self.runs();
        let (epoch, records) = runs.entry(run).or_insert((Epoch(0), Vec::new()));
        *epoch = Epoch(epoch.0 + 1);
        Ok(Opened { epoch: *epoch, records: records.clone() })
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        match self.runs().get_mut(&run) {
            Some((current, records)) if *current == epoch => records.push(record.clone()),
            _ => return Err(JournalError::Fenced { run }),
        }
        Ok(Receipt(self.appended.fetch_add(1, Ordering::Relaxed)))
    }

    fn write(&self) -> Result<(), JournalError> {
        Ok(())
    }

    async fn sync(&self, _receipt: Receipt) -> Result<(), JournalError> {
        Ok(())
    }

    fn runs(&self) -> Vec<Uuid> {
        self.runs().keys().copied().collect()
    }

    fn forget(&self, run: Uuid, epoch: Epoch) -> Result<(), JournalError> {
        let mut runs = self.runs();
        match runs.get(&run) {
            Some((current, _)) if *current == epoch => drop(runs.remove(&run)),
            Some(_) => return Err(JournalError::Fenced { run }),
            None => {}
        }
        Ok(())
    }
}
