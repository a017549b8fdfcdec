use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_state::{
    Arrival, End, Epoch, Journal, JournalError, LogError, Opened, OpenedLines, Receipt, Record,
};
use uuid::Uuid;

use super::{gate::Gate, ledger::SharedLedger};
use crate::crash::Crashed;

/// A journal of a process that may crash. Enters completions in the ledger once they are
/// acknowledged to the process.
#[derive(Debug)]
pub(super) struct CrashingJournal {
    inner: Arc<dyn Journal>,
    gate: Gate,
    ledger: SharedLedger,
    /// The completions that were appended but not yet acknowledged.
    pending: Mutex<BTreeMap<Receipt, (Uuid, String)>>,
}

impl CrashingJournal {
    pub(super) fn new(inner: Arc<dyn Journal>, gate: Gate, ledger: SharedLedger) -> Self {
        Self { inner, gate, ledger, pending: Mutex::default() }
    }
}

fn closed(_: Crashed) -> JournalError {
    JournalError::Log(LogError::Closed)
}

#[async_trait]
impl Journal for CrashingJournal {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        self.gate.around("open", self.inner.open(run)).await
    }

    async fn open_lines(&self, runs: &[Uuid]) -> Result<Vec<OpenedLines>, JournalError> {
        self.gate.around("open_lines", self.inner.open_lines(runs)).await
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        let call = format!("append {} {}", record.kind(), record.path().unwrap_or_default());
        self.gate.pass_now(&format!("before {call}")).map_err(closed)?;
        if let Record::Began { path, .. } = record {
            lock(&self.ledger).begin(run, path);
        }
        let receipt = self.inner.append(run, epoch, record)?;
        if let Record::Ended { path, end: End::Completed { .. }, .. } = record {
            lock(&self.pending).insert(receipt, (run, path.clone()));
        }
        self.gate.pass_now(&format!("after {call}")).map_err(closed)?;
        Ok(receipt)
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.gate.around("write", self.inner.write(receipt)).await
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.gate.around("sync", self.inner.sync(receipt)).await?;
        // A sync covers all earlier appends.
        let covered = {
            let mut pending = lock(&self.pending);
            let later = pending.split_off(&Receipt::new(receipt.number() + 1));
            std::mem::replace(&mut *pending, later)
        };
        lock(&self.ledger).acknowledge(covered.into_values());
        Ok(())
    }

    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        self.inner.records(run).await
    }

    fn runs(&self) -> Vec<Uuid> {
        self.inner.runs()
    }

    fn damage(&self) -> Vec<JournalError> {
        self.inner.damage()
    }

    async fn ended(&self) -> Result<Vec<Uuid>, JournalError> {
        self.inner.ended().await
    }

    async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
        self.gate.around("arrive", self.inner.arrive(arrivals)).await
    }

    async fn compact(&self, is_thorough: bool) -> Result<(), JournalError> {
        self.gate.around("compact the journal", self.inner.compact(is_thorough)).await
    }

    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        self.gate.around("forget", self.inner.forget(runs)).await
    }
}
