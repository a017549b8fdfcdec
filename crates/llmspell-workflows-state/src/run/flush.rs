//! Syncs that nobody waits for.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use llmspell_workflows_basic::sync::lock;

use crate::journal::{Journal, Receipt};

/// Syncs what a run has appended, in the background: one sync at a time, which covers all that came before it began.
///
/// A record is synced at the latest by the second sync after it was appended. So a power loss takes no more than what
/// was appended while those two were under way.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// The last record that no sync has begun for.
    last: Option<Receipt>,
    is_at_work: bool,
}

impl Flusher {
    /// Has `journal` synced up to `receipt`, soon.
    pub(super) fn ask(self: &Arc<Self>, journal: &Arc<dyn Journal>, receipt: Receipt) {
        let mut asked = lock(&self.asked);
        asked.last = asked.last.max(Some(receipt));
        if !mem::replace(&mut asked.is_at_work, true) {
            let task = AtWork { flusher: self.clone(), has_ended: false };
            tokio::spawn(task.run(journal.clone()));
        }
    }
}

/// The task of a flusher. Where its runtime ends before it does, the next record begins another.
struct AtWork {
    flusher: Arc<Flusher>,
    has_ended: bool,
}

impl AtWork {
    async fn run(mut self, journal: Arc<dyn Journal>) {
        while let Some(receipt) = self.next() {
            // A failed sync is fatal to the journal, so the next append reports it.
            let _ = journal.sync(receipt).await;
        }
    }

    /// Up to where to sync next; `None` ends the task, so that the next record begins another.
    fn next(&mut self) -> Option<Receipt> {
        let mut asked = lock(&self.flusher.asked);
        let next = asked.last.take();
        asked.is_at_work = next.is_some();
        self.has_ended = next.is_none();
        next
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if !self.has_ended {
            lock(&self.flusher.asked).is_at_work = false;
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
        journal::{Epoch, JournalError, MemoryJournal, Opened},
        record::Record,
    };

    /// A journal each of whose syncs waits for a permit.
    #[derive(Debug)]
    struct Slow {
        journal: MemoryJournal,
        permits: Semaphore,
        at_work: AtomicUsize,
        most: AtomicUsize,
        synced: Mutex<Vec<u64>>,
    }

    #[async_trait]
    impl Journal for Slow {
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
            let at_work = self.at_work.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(at_work, Ordering::SeqCst);
            self.permits.acquire().await.unwrap().forget();
            lock(&self.synced).push(receipt.number());
            self.at_work.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }

        fn runs(&self) -> Vec<Uuid> {
            self.journal.runs()
        }

        async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
            self.journal.forget(runs).await
        }
    }

    fn slow() -> Arc<Slow> {
        let (permits, synced) = (Semaphore::new(0), Mutex::default());
        let (at_work, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Slow { journal: MemoryJournal::default(), permits, at_work, most, synced })
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    async fn until_idle(flusher: &Flusher) {
        while lock(&flusher.asked).is_at_work {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn many_records_share_two_syncs_which_never_overlap() {
        let (slow, flusher) = (slow(), Arc::new(Flusher::default()));
        let journal: Arc<dyn Journal> = slow.clone();
        runtime().block_on(async {
            flusher.ask(&journal, Receipt::new(1));
            // The first sync is under way while the others come.
            tokio::task::yield_now().await;
            (2..=1_000).for_each(|number| flusher.ask(&journal, Receipt::new(number)));
            slow.permits.add_permits(1_000);
            until_idle(&flusher).await;
            assert_eq!(*lock(&slow.synced), [1, 1_000]);
            flusher.ask(&journal, Receipt::new(1_001));
            until_idle(&flusher).await;
        });
        assert_eq!((*lock(&slow.synced)).last(), Some(&1_001));
        assert_eq!(slow.most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_flusher_whose_runtime_has_ended_works_on_in_another() {
        let (slow, flusher) = (slow(), Arc::new(Flusher::default()));
        let journal: Arc<dyn Journal> = slow.clone();
        runtime().block_on(async {
            flusher.ask(&journal, Receipt::new(1));
            tokio::task::yield_now().await;
        });
        slow.permits.add_permits(10);
        runtime().block_on(async {
            flusher.ask(&journal, Receipt::new(2));
            until_idle(&flusher).await;
        });
        assert_eq!(*lock(&slow.synced), [2]);
    }
}
