//! Tests which thread performs a write that a caller waits for.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use llmspell_workflows_state::{Epoch, Journal, LogOptions, WalJournal};
use llmspell_workflows_testing::crash::SimDisk;

use crate::{
    support::{record, run, runtime},
    watched::{FileOperation, WatchedDisk},
};

/// A journal with one run, on a disk whose writes can be slow.
struct Log {
    journal: WalJournal,
    epoch: Epoch,
    is_slow: Arc<AtomicBool>,
    /// The thread of each write.
    writers: Arc<Mutex<Vec<ThreadId>>>,
}

impl Log {
    fn new(segment: u64) -> Self {
        let (is_slow, writers) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let watch = {
            let (is_slow, writers) = (is_slow.clone(), writers.clone());
            move |_: &Path, operation| {
                if operation == FileOperation::Write {
                    writers.lock().unwrap().push(thread::current().id());
                    let begin = Instant::now();
                    // This takes longer than any write that a caller performs itself.
                    while is_slow.load(Ordering::Relaxed) && begin.elapsed() < Duration::from_millis(2) {}
                }
            }
        };
        let options = LogOptions { segment_min: segment, segment_max: segment, prepare_ahead: false };
        let disk = Arc::new(WatchedDisk::new(SimDisk::new(), watch));
        let journal = WalJournal::open_on(disk, Path::new("/log"), options).unwrap();
        let epoch = runtime().block_on(journal.open(run(1))).unwrap().epoch;
        // The first segment exists from here on.
        let log = Self { journal, epoch, is_slow, writers };
        log.write(0);
        log
    }

    /// Appends and writes a record; returns whether this thread performed all of the writes.
    fn write(&self, number: usize) -> bool {
        self.writers.lock().unwrap().clear();
        let receipt = self.journal.append(run(1), self.epoch, &record(number)).unwrap();
        runtime().block_on(self.journal.write(receipt)).unwrap();
        let writers = self.writers.lock().unwrap();
        assert!(!writers.is_empty(), "the record was written");
        writers.iter().all(|writer| *writer == thread::current().id())
    }

    /// Writes until this thread performs a write itself. This may take several writes, since an
    /// interruption makes a write look slow.
    fn write_until_fast(&self) {
        assert!((0..10_000).any(|number| self.write(number)), "the caller performs fast writes");
    }
}

#[test]
fn callers_perform_fast_writes_and_leave_slow_ones_to_the_writer_thread() {
    let log = Log::new(4 << 20);
    log.write_until_fast();
    for _ in 0..3 {
        log.is_slow.store(true, Ordering::Relaxed);
        // It takes one slow write to notice that writes have become slow.
        log.write(1);
        for number in 2..10 {
            assert!(!log.write(number), "a caller waits in a slow write");
        }
        log.is_slow.store(false, Ordering::Relaxed);
        log.write_until_fast();
    }
}

#[test]
fn a_record_in_a_new_segment_is_written_by_the_writer_thread() {
    let log = Log::new(4 << 10);
    log.write_until_fast();
    // The new segment begins with a long record. The writer thread performs the write and the
    // sync that create the segment.
    let long = llmspell_workflows_state::Record::Stopped { path: "x".repeat(8 << 10), time_us: 0 };
    log.writers.lock().unwrap().clear();
    let receipt = log.journal.append(run(1), log.epoch, &long).unwrap();
    runtime().block_on(log.journal.write(receipt)).unwrap();
    let writers = log.writers.lock().unwrap();
    assert!(!writers.contains(&thread::current().id()), "a caller creates a segment");
}

#[test]
fn callers_released_by_one_sync_batch_their_next_writes() {
    const CALLERS: usize = 600;
    let Log { journal, epoch, writers, .. } = Log::new(4 << 20);
    let journal = Arc::new(journal);
    // Each caller appends, waits until its record is durable, appends again, and waits for the write.
    let caller = |number: usize| {
        let (journal, writers) = (journal.clone(), writers.clone());
        async move {
            let receipt = journal.append(run(1), epoch, &record(number)).unwrap();
            journal.sync(receipt).await.unwrap();
            let before = writers.lock().unwrap().len();
            let receipt = journal.append(run(1), epoch, &record(number)).unwrap();
            journal.write(receipt).await.unwrap();
            before
        }
    };
    let writes = runtime().block_on(async {
        let callers: tokio::task::JoinSet<usize> = (0..CALLERS).map(caller).collect();
        let before = callers.join_all().await.into_iter().min().unwrap();
        writers.lock().unwrap().len() - before
    });
    assert!(writes < CALLERS / 10, "{CALLERS} callers made {writes} writes");
}
