//! Runs arrive in a journal with all their records, or none of them arrive, no matter when
//! the arrival is interrupted.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use llmspell_workflows_state::{Arrival, Epoch, Journal, LogOptions, Record, WalJournal};
use llmspell_workflows_testing::crash::{CrashPoint, SimDisk};
use proptest::prelude::*;
use uuid::Uuid;

use crate::support::{ON_DISK, folder, record, run, runtime};

const OPTIONS: LogOptions = LogOptions { segment_min: 1 << 10, segment_max: 4 << 10, prepare_ahead: false };

fn records(from: usize, count: usize) -> Vec<Record> {
    (from..from + count).map(record).collect()
}

fn arrival(number: u128, from: usize, count: usize) -> Arrival {
    Arrival { run: run(number), after: Epoch(4), records: records(from, count) }
}

fn open(disk: &SimDisk) -> WalJournal {
    WalJournal::open_on(Arc::new(disk.clone()), Path::new("/log"), OPTIONS).unwrap()
}

/// Returns the records of all runs of a journal.
fn contents(journal: &dyn Journal) -> BTreeMap<Uuid, Vec<Record>> {
    let of_run = |run| (run, runtime().block_on(journal.records(run)).unwrap());
    journal.runs().into_iter().map(of_run).collect()
}

/// Returns a disk with a journal of two runs: one stays, and an arrival replaces the other.
fn prepared() -> SimDisk {
    let disk = SimDisk::new();
    let journal = open(&disk);
    runtime().block_on(async {
        for number in [1, 2] {
            let epoch = journal.open(run(number)).await.unwrap().epoch;
            let mut last = None;
            for record in records(0, 6) {
                last = Some(journal.append(run(number), epoch, &record).unwrap());
            }
            journal.sync(last.unwrap()).await.unwrap();
        }
    });
    drop(journal);
    disk.after_kill()
}

#[test]
fn runs_arrive_together_or_not_at_all_after_a_crash_at_any_boundary() {
    let before = contents(&open(&prepared()));
    let mut after = before.clone();
    after.extend([(run(2), records(20, 9)), (run(3), records(40, 30))]);
    let (mut none, mut all) = (0, 0);
    for boundary in 0.. {
        let (disk, point) = (prepared(), CrashPoint::at(boundary));
        let arrived = match WalJournal::open_on(Arc::new(disk.for_process(&point)), Path::new("/log"), OPTIONS) {
            Ok(journal) => runtime().block_on(journal.arrive(vec![arrival(2, 20, 9), arrival(3, 40, 30)])).is_ok(),
            Err(_) => false,
        };
        for left in [disk.after_kill(), disk.after_power_loss(boundary), disk.after_power_loss(boundary + 1_000)] {
            let journal = open(&left);
            assert_eq!(journal.damage(), [], "boundary {boundary}");
            let found = contents(&journal);
            assert!(found == before || found == after, "boundary {boundary}: {:?}", found.keys());
            assert!(!arrived || found == after, "boundary {boundary}: acknowledged, and not there");
            *(if found == after { &mut all } else { &mut none }) += 1;
            // The same arrival succeeds afterwards, and nothing remains of the first one.
            runtime().block_on(journal.arrive(vec![arrival(2, 20, 9), arrival(3, 40, 30)])).unwrap();
            drop(journal);
            assert_eq!(contents(&open(&left.after_kill())), after, "boundary {boundary}");
        }
        if arrived {
            break;
        }
    }
    assert!(none > 10 && all > 0, "{none} without the runs, {all} with them");
}

#[test]
fn arriving_runs_get_a_later_epoch_in_every_journal() {
    for adapter in ON_DISK {
        let folder = folder();
        let journal = adapter.open_in(folder.path()).unwrap();
        runtime().block_on(async {
            let old = journal.open(run(1)).await.unwrap().epoch;
            journal.append(run(1), old, &record(0)).unwrap();
            let epochs = journal.arrive(vec![arrival(1, 5, 3), arrival(2, 9, 1)]).await.unwrap();
            assert!(epochs.iter().all(|epoch| *epoch > Epoch(4)), "{}: {epochs:?}", adapter.name);
            assert!(journal.append(run(1), old, &record(8)).is_err(), "{}: the former owner is fenced", adapter.name);
            let last = journal.append(run(1), epochs[0], &record(8)).unwrap();
            journal.sync(last).await.unwrap();
        });
        drop(journal);
        let journal = adapter.open_in(folder.path()).unwrap();
        let expected = BTreeMap::from([(run(1), records(5, 4)), (run(2), records(9, 1))]);
        assert_eq!(contents(&*journal), expected, "{}", adapter.name);
    }
}

#[test]
fn rewriting_keeps_all_records_and_frees_older_segments() {
    let disk = prepared();
    let expected = contents(&open(&disk));
    // Each process that only opens the journal and a run leaves a segment behind.
    for _ in 0..12 {
        let journal = open(&disk);
        runtime().block_on(journal.open(run(1))).unwrap();
        drop(journal);
    }
    let segments = |disk: &SimDisk| {
        let mut count = 0;
        disk.damage(|files| count = files.keys().filter(|path| path.extension().is_some_and(|it| it == "log")).count());
        count
    };
    let many = segments(&disk);
    let journal = open(&disk);
    runtime().block_on(journal.compact(true)).unwrap();
    assert_eq!(contents(&journal), expected);
    drop(journal);
    let few = segments(&disk);
    assert!(few < many / 2, "{many} segments, then {few}");
    // Nothing is left to free, so nothing is written again.
    let journal = open(&disk);
    let syncs = disk.syncs();
    runtime().block_on(journal.compact(true)).unwrap();
    assert_eq!(disk.syncs(), syncs);
    drop(journal);
    assert_eq!(contents(&open(&disk.after_kill())), expected);
}

/// An action on a journal.
#[derive(Debug, Clone)]
enum Action {
    Append(u128),
    Arrive(u128, usize),
    Forget(u128),
    Compact,
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (1_u128..5).prop_map(Action::Append),
        3 => (1_u128..5, 0_usize..12).prop_map(|(run, count)| Action::Arrive(run, count)),
        2 => (1_u128..5).prop_map(Action::Forget),
        1 => Just(Action::Compact),
        1 => Just(Action::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// After any actions, a journal has the same content as a simple model of it, even for readers
    /// that do not open it.
    #[test]
    fn a_journal_contains_all_appended_and_arrived_records(actions in prop::collection::vec(action(), 1..120)) {
        let disk = SimDisk::new();
        let (mut journal, mut model, mut next) = (open(&disk), BTreeMap::<Uuid, Vec<Record>>::new(), 0);
        let runtime = runtime();
        for action in actions {
            match action {
                Action::Append(number) => {
                    let epoch = runtime.block_on(journal.open(run(number))).unwrap().epoch;
                    let receipt = journal.append(run(number), epoch, &record(next)).unwrap();
                    runtime.block_on(journal.sync(receipt)).unwrap();
                    model.entry(run(number)).or_default().push(record(next));
                    next += 1;
                }
                Action::Arrive(number, count) => {
                    runtime.block_on(journal.arrive(vec![arrival(number, next, count)])).unwrap();
                    model.insert(run(number), records(next, count));
                    next += count;
                }
                Action::Forget(number) if model.remove(&run(number)).is_some() => {
                    let epoch = runtime.block_on(journal.open(run(number))).unwrap().epoch;
                    runtime.block_on(journal.forget(&[(run(number), epoch)])).unwrap();
                }
                Action::Forget(_) => {}
                Action::Compact => runtime.block_on(journal.compact(true)).unwrap(),
                Action::Reopen => {
                    drop(journal);
                    journal = open(&disk);
                    prop_assert!(journal.damage().is_empty(), "{:?}", journal.damage());
                }
            }
            prop_assert_eq!(&contents(&journal), &model);
        }
        for number in 1..5 {
            let read = WalJournal::read_run_on(&disk, Path::new("/log"), run(number)).unwrap();
            let read = read.map(|read| read.records.unwrap());
            prop_assert_eq!(read.as_ref(), model.get(&run(number)).filter(|records| !records.is_empty()));
        }
    }
}
