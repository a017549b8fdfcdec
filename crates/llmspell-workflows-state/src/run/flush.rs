//! Background syncs.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use llmspell_workflows_basic::sync::lock;

use crate::journal::{Journal, Receipt};

/// Syncs the records of a run in the background, one sync at a time. Each sync covers all records appended before it
/// began.
///
/// A record is synced no later than the end of the second sync after its append, so a power loss
/// loses at most the records appended during the last two syncs.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// The last record not yet covered by a sync.
    last: Option<Receipt>,
    is_flushing: bool,
}

impl Flusher {
    /// Requests a sync of `journal` up to `receipt`.
    pub(super) fn request(self: &Arc<Self>, journal: &Arc<dyn Journal>, receipt: Receipt) {
        let mut pending = lock(&self.pending);
        pending.last = pending.last.max(Some(receipt));
        if !mem::replace(&mut pending.is_flushing, true) {
            let task = FlushTask { flusher: self.clone(), has_ended: false };
            tokio::spawn(task.run(journal.clone()));
        }
    }
}

/// The task of a flusher. If its runtime ends first, the next record starts a new task.
struct FlushTask {
    flusher: Arc<Flusher>,
    has_ended: bool,
}

impl FlushTask {
    async fn run(mut self, journal: Arc<dyn Journal>) {
        while let Some(receipt) = self.next() {
            // A failed sync is fatal to the journal, so the next append reports it.
            let _ = journal.sync(receipt).await;
        }
    }

    /// Returns the receipt up to which to sync next; `None` ends the task, and the next record starts a new one.
    fn next(&mut self) -> Option<Receipt> {
        let mut pending = lock(&self.flusher.pending);
        let next = pending.last.take();
        pending.is_flushing = next.is_some();
        self.has_ended = next.is_none();
        next
    }
}

impl Drop for FlushTask {
    fn drop(&mut self) {
        if !self.has_ended {
            lock(&self.flusher.pending).is_flushing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::sync::Semaphore;
    use uuid::Uuid;

    use super::*;
    use crate::{
        journal::{Arrival, Epoch, JournalError, MemoryJournal, Opened},
        record::Record,
    };

    /// A journal in which each sync waits for a permit.
    #[derive(Debug)]
    struct GatedJournal {
        journal: MemoryJournal,
        permits: Semaphore,
        syncing: AtomicUsize,
        syncing_max: AtomicUsize,
        synced: Mutex<Vec<u64>>,
    }

    #[async_trait]
    impl Journal for GatedJournal {
        async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
            self.journal.open(run).await
        }

        fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
            self.journal.append(run, epoch, record)
        }

        async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
            self.journal.write(receipt).await
        }

        async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
            self.journal.records(run).await
        }

        async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
            let syncing = self.syncing.fetch_add(1, Ordering::SeqCst) + 1;
            self.syncing_max.fetch_max(syncing, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            lock(&self.synced).push(receipt.number());
            self.syncing.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }

        fn runs(&self) -> Vec<Uuid> {
            self.journal.runs()
        }

        async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
            self.journal.arrive(arrivals).await
        }

        async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
            self.journal.forget(runs).await
        }
    }

    fn gated() -> Arc<GatedJournal> {
        let (permits, synced) = (Semaphore::new(0), Mutex::default());
        let (syncing, syncing_max) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(GatedJournal { journal: MemoryJournal::default(), permits, syncing, syncing_max, synced })
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    async fn until_idle(flusher: &Flusher) {
        while lock(&flusher.pending).is_flushing {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_thousand_records_share_two_syncs_that_never_overlap() {
        let (gated, flusher) = (gated(), Arc::new(Flusher::default()));
        let journal: Arc<dyn Journal> = gated.clone();
        runtime().block_on(async {
            flusher.request(&journal, Receipt::new(1));
            // The first sync is in progress while more syncs are requested.
            tokio::task::yield_now().await;
            (2..=1_000).for_each(|number| flusher.request(&journal, Receipt::new(number)));
            gated.permits.add_permits(1_000);
            until_idle(&flusher).await;
            assert_eq!(*lock(&gated.synced), [1, 1_000]);
            flusher.request(&journal, Receipt::new(1_001));
            until_idle(&flusher).await;
        });
        assert_eq!((*lock(&gated.synced)).last(), Some(&1_001));
        assert_eq!(gated.syncing_max.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_flusher_restarts_in_a_new_runtime_after_the_old_one_shuts_down() {
        let (gated, flusher) = (gated(), Arc::new(Flusher::default()));
        let journal: Arc<dyn Journal> = gated.clone();
        runtime().block_on(async {
            flusher.request(&journal, Receipt::new(1));
            tokio::task::yield_now().await;
        });
        gated.permits.add_permits(10);
        runtime().block_on(async {
            flusher.request(&journal, Receipt::new(2));
            until_idle(&flusher).await;
        });
        assert_eq!(*lock(&gated.synced), [2]);
    }
}
