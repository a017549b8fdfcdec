//! Appends that fill segments while the disk is still busy with an earlier segment.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use llmspell_workflows_state::{Epoch, Journal, JournalError, LogOptions, Receipt, Record, WalJournal};
use llmspell_workflows_testing::crash::SimDisk;

use crate::{
    support::{run, runtime},
    watched::{FileOperation, WatchedDisk},
};

/// The maximum duration of an operation that must not block.
const PATIENCE: Duration = Duration::from_secs(20);

type Watch = Box<dyn Fn(&Path, FileOperation) + Send + Sync>;

/// A journal with one run.
struct Log {
    journal: Arc<WalJournal>,
    epoch: Epoch,
    /// Called before each operation on a file.
    watch: Arc<OnceLock<Watch>>,
}

impl Log {
    fn new() -> Self {
        let watch = Arc::new(OnceLock::<Watch>::new());
        let disk = WatchedDisk::new(SimDisk::new(), {
            let watch = watch.clone();
            move |path, operation| watch.get().into_iter().for_each(|watch| watch(path, operation))
        });
        let options = LogOptions { segment_min: 4 << 10, segment_max: 4 << 10, prepare_ahead: true };
        let journal = Arc::new(WalJournal::open_on(Arc::new(disk), "/log", options).unwrap());
        let epoch = runtime().block_on(journal.open(run(1))).unwrap().epoch;
        Self { journal, epoch, watch }
    }

    fn append(&self, number: usize) -> Receipt {
        self.journal.append(run(1), self.epoch, &long(number)).unwrap()
    }

    /// Syncs up to `receipt` within [`PATIENCE`].
    fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        within_patience({
            let journal = self.journal.clone();
            move || runtime().block_on(journal.sync(receipt))
        })
    }

    /// Syncs record 0, and appends records 1 to 3, each in a separate segment, while the journal
    /// writes the mark for that sync. Calls `watch` before each operation on a file. Returns the
    /// receipt of record 3.
    fn run_ahead(&self, watch: impl Fn(&Path, FileOperation) + Send + Sync + 'static) -> Receipt {
        let (journal, epoch) = (self.journal.clone(), self.epoch);
        let (has_synced, is_first) = (AtomicBool::new(false), AtomicBool::new(true));
        let (appended, last) = mpsc::channel();
        let ahead = move |path: &Path, operation| {
            watch(path, operation);
            match operation {
                FileOperation::Sync => has_synced.store(true, Ordering::SeqCst),
                FileOperation::Write if has_synced.load(Ordering::SeqCst) && is_first.swap(false, Ordering::SeqCst) => {
                    let receipts = [1, 2, 3].map(|number| journal.append(run(1), epoch, &long(number)).unwrap());
                    appended.send(receipts[2]).unwrap();
                }
                _ => {}
            }
        };
        assert!(self.watch.set(Box::new(ahead)).is_ok());
        self.sync(self.append(0)).unwrap();
        last.recv_timeout(PATIENCE).unwrap()
    }
}

/// Returns a record that fills more than half of a segment.
fn long(number: usize) -> Record {
    Record::Stopped { path: format!("/main/{number}/{}", "x".repeat(3 << 10)), time_us: 0 }
}

fn within_patience<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(PATIENCE).expect("the journal hangs")
}

#[test]
fn segments_filled_during_a_sync_are_written_in_order() {
    let log = Log::new();
    log.sync(log.run_ahead(|_, _| {})).unwrap();
    // The segment prepared in the meantime is used now.
    for number in 4..8 {
        log.sync(log.append(number)).unwrap();
    }
    let records = within_patience(move || runtime().block_on(log.journal.records(run(1)))).unwrap();
    assert!(records == (0..8).map(long).collect::<Vec<_>>(), "{} records", records.len());
}

#[test]
fn an_append_does_not_wait_for_the_index_of_an_earlier_segment() {
    let log = Log::new();
    let (journal, epoch) = (log.journal.clone(), log.epoch);
    let is_first = AtomicBool::new(true);
    let (appended, is_appended) = mpsc::channel();
    let last = log.run_ahead(move |path, operation| {
        let is_index = path.extension().is_some_and(|extension| extension == "index");
        if !is_index || operation != FileOperation::Write || !is_first.swap(false, Ordering::SeqCst) {
            return;
        }
        // The record begins a segment, so the previous segment's index is still to be written.
        let (done, is_done) = mpsc::channel();
        let journal = journal.clone();
        thread::spawn(move || done.send(journal.append(run(1), epoch, &long(4)).map(drop)));
        appended.send(is_done.recv_timeout(PATIENCE)).unwrap();
    });
    log.sync(last).unwrap();
    is_appended.recv_timeout(PATIENCE).unwrap().expect("the append waits for the index").unwrap();
    log.sync(log.append(5)).unwrap();
}
