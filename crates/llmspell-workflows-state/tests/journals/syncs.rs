//! Counts the syncs of the log on its disk. There is one sync before each acknowledgement, shared
//! by all waiters, and no sync for composites, pure decisions and attempts.

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use llmspell_workflows_basic::model::{Backoff, Conditional, Definition, Durability, Loop, Retry, Step};
use llmspell_workflows_state::{End, Journal, LogOptions, Record, WalJournal, disk::Disk};
use llmspell_workflows_testing::{crash::SimDisk, patterns};
use serde_json::json;
use uuid::Uuid;

use crate::{
    support::{record, run, runtime},
    watched::{FileOperation, WatchedDisk},
};

/// Opens a journal on a log that never needs a second segment, which would require additional
/// syncs.
fn open(disk: Arc<dyn Disk>) -> Arc<WalJournal> {
    let options = LogOptions { segment_min: 4 << 20, segment_max: 4 << 20, prepare_ahead: false };
    Arc::new(WalJournal::open_on(disk, Path::new("/log"), options).unwrap())
}

/// Runs a definition; returns the number of syncs and the records.
fn syncs_of(definition: Definition) -> (u64, Vec<Record>) {
    let disk = SimDisk::new();
    let journal: Arc<dyn Journal> = open(Arc::new(disk.clone()));
    let finished = patterns::crash_test(definition).run_on(&journal).unwrap();
    assert!(finished.error.is_none(), "{:?}", finished.error);
    (disk.syncs(), runtime().block_on(journal.open(Uuid::nil())).unwrap().records)
}

fn echo(id: &str) -> Step {
    Step::function(id, "echo", json!(1))
}

#[test]
fn leaf_completions_are_synced_but_composites_decisions_and_attempts_are_not() {
    let nested = |leaf| (0..20).fold(leaf, |inside, depth| Step::sequence(format!("block{depth}"), [inside]));
    let flaky = |id, at| Step::function(id, "flaky", json!({"succeed_at": at}));
    let retry = || Retry::attempts(9).with_backoff(Backoff::Immediate);
    // The content, the number of leaves that end, and the minimum number of other records.
    let table: [(&str, Step, u64, usize); 7] = [
        ("a leaf", echo("leaf"), 1, 0),
        ("composites", nested(echo("leaf")), 1, 20),
        ("a condition that does not hold", echo("leaf").when("false"), 0, 1),
        ("a branch", Conditional::new("true", [echo("yes")], [echo("no")]).into_step("choice"), 1, 2),
        ("a loop", Loop::items("{{ items }}", [echo("leaf")]).into_step("each"), 3, 4),
        ("attempts of a leaf", flaky("leaf", 8).with_retry(retry()), 1, 7),
        ("attempts of a block", Step::sequence("block", [echo("leaf"), flaky("end", 4)]).with_retry(retry()), 8, 6),
    ];
    for (what, step, leaves, others) in table {
        let (syncs, records) = syncs_of(Definition::sequence("counted", [echo("first"), step]));
        assert!(!records.iter().any(Record::is_choice_of_chance), "{what}: {records:#?}");
        // There is one sync for the start of the run, and one for the first step.
        assert_eq!(syncs, 2 + leaves, "{what}: {records:#?}");
        // Each leaf also has a begin record, and the list that encloses all leaves has an end record.
        let least = 2 + 2 * usize::try_from(1 + leaves).unwrap() + others;
        assert!(records.len() >= least, "{what}: {} records, not {least}: {records:#?}", records.len());
    }
}

#[test]
fn durability_setting_determines_syncs_and_kept_records() {
    let steps = || (0..20).map(|number| echo(&format!("s{number}")));
    for (durability, synced, written) in
        [(Durability::Sync, 21, true), (Durability::Async, 1, true), (Durability::None, 1, false)]
    {
        let disk = SimDisk::new();
        let journal: Arc<dyn Journal> = open(Arc::new(disk.clone()));
        let definition = Definition { durability, ..Definition::sequence("durable", steps()) };
        patterns::crash_test(definition).run_on(&journal).unwrap();
        // One sync is for the start. Syncs without a waiter are shared, so there are fewer syncs
        // than completions.
        let syncs = disk.syncs();
        match durability {
            Durability::Async => assert!((synced..21).contains(&syncs), "{durability:?}: {syncs}"),
            _ => assert_eq!(syncs, synced, "{durability:?}"),
        }
        let left = disk.after_kill();
        let records = runtime().block_on(open(Arc::new(left)).open(Uuid::nil())).unwrap().records;
        let ends = records.iter().filter(|record| matches!(record, Record::Ended { .. })).count();
        // The records of a killed process survive if the durability setting promises this;
        // otherwise they may be missing.
        assert!(!written || ends >= 20, "{durability:?}: {ends}");
    }
}

#[test]
fn no_pattern_syncs_more_often_than_it_acknowledges() {
    let mut pure = 0;
    for definition in patterns::all().into_iter().chain([patterns::nested()]) {
        let name = definition.name.clone();
        let (syncs, records) = syncs_of(definition);
        let is_leaf = |path: &str| {
            let has_begun =
                records.iter().any(|record| matches!(record, Record::Began { path: begun, .. } if begun == path));
            has_begun || !records.iter().filter_map(Record::path).any(|other| is_inside(other, path))
        };
        let acknowledged = records.iter().filter(|record| match record {
            Record::Started(_) => true,
            Record::Ended { path, end: End::Completed { .. } | End::Failed(_), .. } => is_leaf(path),
            record => record.is_choice_of_chance(),
        });
        let acknowledged = acknowledged.count() as u64;
        pure += records.iter().filter(|record| is_pure(record)).count();
        println!("{name}: {syncs} syncs of {acknowledged}, {} records", records.len());
        assert!(syncs <= acknowledged, "{name}: {syncs} syncs, {acknowledged} acknowledged");
    }
    assert!(pure > 50, "only {pure} choices without a sync were made");
}

fn is_pure(record: &Record) -> bool {
    matches!(record, Record::Decided { .. }) && !record.is_choice_of_chance()
}

fn is_inside(path: &str, block: &str) -> bool {
    path.strip_prefix(block).is_some_and(|rest| rest.starts_with(['/', '[']))
}

#[test]
fn each_unshared_acknowledgement_waits_for_its_own_sync() {
    let disk = SimDisk::new();
    let journal = open(Arc::new(disk.clone()));
    runtime().block_on(async {
        let epoch = journal.open(run(1)).await.unwrap().epoch;
        for number in 0..50 {
            let before = disk.syncs();
            let receipt = journal.append(run(1), epoch, &record(number)).unwrap();
            journal.write(receipt).await.unwrap();
            assert_eq!(disk.syncs(), before, "a write does not sync");
            journal.sync(receipt).await.unwrap();
            assert_eq!(disk.syncs(), before + 1);
            journal.sync(receipt).await.unwrap();
            assert_eq!(disk.syncs(), before + 1, "the record is already synced");
        }
    });
}

#[test]
fn runs_waiting_for_a_busy_disk_share_one_sync() {
    const RUNS: usize = 500;
    let (below, gate) = (SimDisk::new(), Gate::default());
    let disk = WatchedDisk::new(below.clone(), {
        let gate = gate.clone();
        move |_, operation| {
            if operation == FileOperation::Sync {
                gate.pass();
            }
        }
    });
    let journal = open(Arc::new(disk));
    runtime().block_on(async {
        let epoch = journal.open(run(0)).await.unwrap().epoch;
        let before = below.syncs();
        gate.close();
        let first = journal.append(run(0), epoch, &record(0)).unwrap();
        let first = tokio::spawn({
            let journal = journal.clone();
            async move { journal.sync(first).await }
        });
        tokio::task::yield_now().await;
        // The disk is now busy with the first sync.
        gate.wait_for_a_sync();
        let waiting = Arc::new(AtomicUsize::new(0));
        let others: Vec<_> = (1..=RUNS)
            .map(|number| {
                let (journal, waiting) = (journal.clone(), waiting.clone());
                tokio::spawn(async move {
                    let run = run(number as u128);
                    let epoch = journal.open(run).await.unwrap().epoch;
                    let receipt = journal.append(run, epoch, &record(number)).unwrap();
                    waiting.fetch_add(1, Ordering::Relaxed);
                    journal.sync(receipt).await
                })
            })
            .collect();
        // The runtime is single-threaded, so a task that has incremented `waiting` reaches its
        // `sync` before any other task runs.
        while waiting.load(Ordering::Relaxed) < RUNS {
            tokio::task::yield_now().await;
        }
        gate.open();
        first.await.unwrap().unwrap();
        for other in others {
            other.await.unwrap().unwrap();
        }
        assert_eq!(below.syncs() - before, 2, "one sync for the first run, and one for all other runs");
    });
}

/// A gate that blocks syncs while it is closed.
#[derive(Debug, Clone, Default)]
struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    has_sync_arrived: bool,
}

impl Gate {
    fn close(&self) {
        self.0.0.lock().unwrap().is_closed = true;
    }

    fn open(&self) {
        self.0.0.lock().unwrap().is_closed = false;
        self.0.1.notify_all();
    }

    fn wait_for_a_sync(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |state| !state.has_sync_arrived).unwrap());
    }

    fn pass(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.has_sync_arrived |= state.is_closed;
        self.0.1.notify_all();
        drop(self.0.1.wait_while(state, |state| state.is_closed).unwrap());
    }
}
