//! Reading a log while another process writes to it returns everything up to some moment.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use llmspell_workflows_state::{
    End, Journal, JournaledRun, LogOptions, Record, WalJournal, disk::SystemDisk, record::StoredValue,
};
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    support::{folder, record, run, runtime},
    watched::{FileOperation, WatchedDisk},
};

/// The number of records written.
const RECORDS: usize = 20_000;

/// The number of records in each run. Each run is then forgotten, and the segments needed
/// only by that run are removed.
const RECORDS_PER_RUN: usize = 500;

#[test]
fn readers_see_no_gap_while_segments_are_created_and_removed() {
    let folder = folder();
    let options = LogOptions { segment_min: 4 << 10, segment_max: 4 << 10, prepare_ahead: true };
    let journal = WalJournal::open_on(Arc::new(SystemDisk), folder.path(), options).unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let peeks = {
        let (is_done, path) = (is_done.clone(), folder.path().to_owned());
        thread::spawn(move || {
            let (mut peeks, mut seen, mut last) = (0, 0, 0);
            while !is_done.load(Ordering::SeqCst) {
                let runs = all_records(&path);
                let mut numbers: Vec<usize> = runs.iter().flat_map(|(_, records)| records).map(number).collect();
                numbers.sort_unstable();
                assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap in {numbers:?}");
                let newest = numbers.last().copied().unwrap_or(last);
                assert!(newest >= last, "the newest record goes back from {last} to {newest}");
                (peeks, seen, last) = (peeks + 1, seen + numbers.len(), newest);
            }
            (peeks, seen)
        })
    };
    let runtime = runtime();
    for block in 0..RECORDS / RECORDS_PER_RUN {
        let run = run(block as u128 + 1);
        let opened = runtime.block_on(journal.open(run)).unwrap();
        for number in 0..RECORDS_PER_RUN {
            let receipt = journal.append(run, opened.epoch, &record(block * RECORDS_PER_RUN + number)).unwrap();
            runtime.block_on(journal.write(receipt)).unwrap();
        }
        runtime.block_on(journal.forget(&[(run, opened.epoch)])).unwrap();
    }
    is_done.store(true, Ordering::SeqCst);
    let (peeks, seen) = peeks.join().unwrap();
    assert!(peeks > 1 && seen > 0, "{peeks} peeks, {seen} records seen");
}

/// Returns the records of all runs with records.
fn all_records(folder: &Path) -> Vec<(Uuid, Vec<Record>)> {
    let runs = WalJournal::read_all(folder).unwrap().runs.into_iter();
    runs.map(|run| (run.run, run.records.unwrap())).filter(|(_, records)| !records.is_empty()).collect()
}

fn of_run(run: Option<JournaledRun>) -> Option<Vec<Record>> {
    run.map(|run| run.records.unwrap())
}

fn number(record: &Record) -> usize {
    let path = record.path().unwrap();
    path.trim_start_matches("/main/step").parse().unwrap()
}

/// Opens a journal in `folder` whose segments are full after a few records.
fn with_small_segments(folder: &Path) -> WalJournal {
    let options = LogOptions { segment_min: 4 << 10, segment_max: 4 << 10, prepare_ahead: false };
    WalJournal::open_on(Arc::new(SystemDisk), folder, options).unwrap()
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

/// An action on a log.
#[derive(Debug, Clone)]
enum Action {
    /// Opens the run, whether or not it exists.
    Open(u128),
    Append(u128),
    Forget(u128),
    Sync,
    /// The process ends, and another one opens the log.
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => (1_u128..6).prop_map(Action::Open),
        20 => (1_u128..6).prop_map(Action::Append),
        1 => (1_u128..6).prop_map(Action::Forget),
        3 => Just(Action::Sync),
        1 => Just(Action::Reopen),
    ]
}

/// Carries out `actions` in `folder`, then closes the log.
fn carry_out(folder: &Path, actions: &[Action]) {
    let runtime = runtime();
    let mut journal = with_small_segments(folder);
    let (mut epochs, mut number, mut last) = (BTreeMap::new(), 0, None);
    for action in actions {
        match action {
            Action::Open(id) => {
                epochs.insert(*id, runtime.block_on(journal.open(run(*id))).unwrap().epoch);
            }
            Action::Append(id) => {
                if let Some(epoch) = epochs.get(id) {
                    number += 1;
                    last = Some(journal.append(run(*id), *epoch, &record(number)).unwrap());
                }
            }
            Action::Forget(id) => {
                if let Some(epoch) = epochs.remove(id) {
                    runtime.block_on(journal.forget(&[(run(*id), epoch)])).unwrap();
                }
            }
            Action::Sync => {
                if let Some(last) = last.take() {
                    runtime.block_on(journal.sync(last)).unwrap();
                }
            }
            Action::Reopen => {
                drop(journal);
                journal = with_small_segments(folder);
                (epochs, last) = (BTreeMap::new(), None);
            }
        }
    }
    drop(journal);
}

/// Checks that reading a run alone returns the same records as reading all runs.
fn assert_same(folder: &Path) {
    let all: BTreeMap<_, _> = all_records(folder).into_iter().collect();
    for id in 0..7 {
        let expected = all.get(&run(id)).filter(|records| !records.is_empty());
        assert_eq!(of_run(WalJournal::read_run(folder, run(id)).unwrap()).as_ref(), expected, "run {id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn read_run_returns_the_same_records_as_read_all(actions in prop::collection::vec(action(), 1..400)) {
        let folder = folder();
        carry_out(folder.path(), &actions);
        assert_same(folder.path());
    }
}

/// Returns a log with some full segments and their indexes.
fn indexed_log() -> TempDir {
    let folder = folder();
    let many = |id: u128| std::iter::repeat_n([Action::Append(id), Action::Append(id + 1), Action::Sync], 80).flatten();
    let open = [1, 2, 3, 4].map(Action::Open);
    carry_out(folder.path(), &open.into_iter().chain(many(1)).chain(many(3)).collect::<Vec<_>>());
    assert!(files(folder.path(), ".index").len() > 2, "full segments have an index");
    folder
}

#[test]
fn a_damaged_index_is_ignored() {
    let folder = indexed_log();
    let index = files(folder.path(), ".index").remove(0);
    let whole = fs::read(&index).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&index, damaged).unwrap();
        assert_same(folder.path());
    }
    for length in (0..whole.len()).step_by(7) {
        fs::write(&index, &whole[..length]).unwrap();
        assert_same(folder.path());
    }
    fs::write(&index, vec![0; whole.len()]).unwrap();
    assert_same(folder.path());
}

#[test]
fn opening_a_log_removes_indexes_without_a_segment() {
    let folder = indexed_log();
    let orphan = folder.path().join("000000000999.index");
    fs::copy(&files(folder.path(), ".index")[0], &orphan).unwrap();
    drop(with_small_segments(folder.path()));
    assert!(!orphan.exists());
    assert_same(folder.path());
}

#[test]
fn read_run_reads_few_bytes_of_other_runs() {
    let folder = folder();
    let options = LogOptions { segment_min: 64 << 10, segment_max: 64 << 10, prepare_ahead: false };
    let journal = WalJournal::open_on(Arc::new(SystemDisk), folder.path(), options).unwrap();
    let runtime = runtime();
    // Each run has one long record, like a waiting run.
    let long = |id: usize| Record::Stopped { path: format!("/main/{}{id}", "x".repeat(2_000)), time_us: 0 };
    for id in 1..=2_000 {
        let run = run(id as u128);
        let epoch = runtime.block_on(journal.open(run)).unwrap().epoch;
        let receipt = journal.append(run, epoch, &long(id)).unwrap();
        if id % 20 == 0 {
            runtime.block_on(journal.sync(receipt)).unwrap();
        }
    }
    drop(journal);
    let (disk, bytes_read) = counting_disk();
    let seen = of_run(WalJournal::read_run_on(&disk, folder.path(), run(700)).unwrap()).unwrap();
    assert_eq!(seen, [long(700)]);
    let size: u64 = files(folder.path(), ".log").iter().map(|path| path.metadata().unwrap().len()).sum();
    let read = bytes_read.load(Ordering::SeqCst);
    assert!(read * 10 < size, "{read} of {size} bytes were read");
}

/// Returns a disk and a counter of the bytes read from it.
fn counting_disk() -> (WatchedDisk, Arc<AtomicU64>) {
    let bytes_read = Arc::new(AtomicU64::new(0));
    let disk = WatchedDisk::new(SystemDisk, {
        let bytes_read = bytes_read.clone();
        move |_, operation| {
            if let FileOperation::Read(bytes) = operation {
                bytes_read.fetch_add(bytes as u64, Ordering::SeqCst);
            }
        }
    });
    (disk, bytes_read)
}

#[test]
fn outlines_are_read_without_the_values() {
    const VALUE_BYTES: usize = 1 << 20;
    let folder = folder();
    let journal = WalJournal::open_dir(folder.path()).unwrap();
    let runtime = runtime();
    let epoch = runtime.block_on(journal.open(run(1))).unwrap().epoch;
    let written: Vec<Record> = (0..12)
        .map(|number| {
            let value = StoredValue::Value(Arc::new("x".repeat(VALUE_BYTES).into()));
            let end = End::Completed { output: value, changes: Vec::new() };
            Record::Ended { path: format!("/main/s{number}"), end, time_us: number }
        })
        .collect();
    for record in &written {
        let receipt = journal.append(run(1), epoch, record).unwrap();
        runtime.block_on(journal.sync(receipt)).unwrap();
    }
    drop(journal);
    let (disk, bytes_read) = counting_disk();
    let outlines = WalJournal::outlines_on(&disk, folder.path()).unwrap().runs.remove(0).records.unwrap();
    assert_eq!(outlines.len(), written.len());
    let read = bytes_read.load(Ordering::SeqCst);
    assert!(read < 2 * VALUE_BYTES as u64, "{read} bytes were read");
}
