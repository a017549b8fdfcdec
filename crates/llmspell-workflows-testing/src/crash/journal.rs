use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_state::{Arrival, End, Epoch, Journal, JournalError, LogError, Opened, Receipt, Record};
use uuid::Uuid;

use super::CrashPoint;

/// Wraps the journal of a process that crashes at a boundary, and records acknowledged completions.
#[derive(Debug)]
pub struct WatchedJournal {
    journal: Arc<dyn Journal>,
    point: CrashPoint,
    pending: Mutex<BTreeMap<Receipt, String>>,
    acknowledged: Mutex<BTreeSet<String>>,
}

impl WatchedJournal {
    /// Wraps `journal` for a process that crashes at `point`.
    #[must_use]
    pub fn new(journal: Arc<dyn Journal>, point: CrashPoint) -> Self {
        Self { journal, point, pending: Mutex::default(), acknowledged: Mutex::default() }
    }

    /// Returns the paths of the steps whose completion was acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> BTreeSet<String> {
        lock(&self.acknowledged).clone()
    }

    fn pass(&self) -> Result<(), JournalError> {
        self.point.pass().map_err(|_| JournalError::Log(LogError::Closed))
    }
}

#[async_trait]
impl Journal for WatchedJournal {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        self.journal.open(run).await
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        self.pass()?;
        let receipt = self.journal.append(run, epoch, record)?;
        if let Record::Ended { path, end: End::Completed { .. }, .. } = record {
            lock(&self.pending).insert(receipt, path.clone());
        }
        self.pass()?;
        Ok(receipt)
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.journal.write(receipt).await?;
        self.pass()
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.journal.sync(receipt).await?;
        self.pass()?;
        if let Some(path) = lock(&self.pending).remove(&receipt) {
            lock(&self.acknowledged).insert(path);
        }
        self.pass()
    }

    fn runs(&self) -> Vec<Uuid> {
        self.journal.runs()
    }

    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        self.journal.records(run).await
    }

    fn damage(&self) -> Vec<JournalError> {
        self.journal.damage()
    }

    async fn ended(&self) -> Result<Vec<Uuid>, JournalError> {
        self.journal.ended().await
    }

    async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
        self.pass()?;
        let epochs = self.journal.arrive(arrivals).await?;
        self.pass()?;
        Ok(epochs)
    }

    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        self.journal.forget(runs).await
    }
}
