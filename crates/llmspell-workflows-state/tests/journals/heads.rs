//! The heads file of a log: outlines of runs with long records are read without opening the
//! records' segments.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmspell_workflows_state::{End, Journal, LogOptions, Record, WalJournal, disk::SystemDisk, record::StoredValue};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    support::{folder, record, run, runtime},
    watched::{FileOperation, WatchedDisk},
};

/// The number of runs, each with one long record.
const RUNS: u128 = 12;

fn open(path: &Path) -> WalJournal {
    let options = LogOptions { segment_min: 16 << 10, segment_max: 64 << 10, prepare_ahead: false };
    WalJournal::open_on(Arc::new(SystemDisk), path, options).unwrap()
}

fn long(number: u128) -> Record {
    let output = StoredValue::Value(Arc::new(json!({"text": "x".repeat(100_000)})));
    let end = End::Completed { output, changes: Vec::new() };
    Record::Ended { path: format!("/main/long{number}"), end, time_us: 0 }
}

/// Writes runs with a long and a short record each.
fn write(path: &Path, runs: impl Iterator<Item = u128>) {
    let journal = open(path);
    let runtime = runtime();
    for number in runs {
        let epoch = runtime.block_on(journal.open(run(number))).unwrap().epoch;
        for record in [long(number), record(number as usize)] {
            let receipt = journal.append(run(number), epoch, &record).unwrap();
            runtime.block_on(journal.sync(receipt)).unwrap();
        }
    }
}

fn filled() -> TempDir {
    let folder = folder();
    write(folder.path(), 1..=RUNS);
    assert!(heads(folder.path()).is_file(), "full segments with long records are listed");
    folder
}

fn heads(folder: &Path) -> PathBuf {
    folder.join("heads")
}

/// Returns the number of damage reports and the outlines of all runs; checks that at most `at_most`
/// segments are read.
fn outlines(folder: &Path, at_most: usize) -> (usize, Vec<(u128, Vec<Record>)>) {
    let opened = Arc::new(std::sync::Mutex::new(Vec::new()));
    let disk = WatchedDisk::new(SystemDisk, {
        let opened = opened.clone();
        move |path, operation| {
            if let FileOperation::Read(_) = operation
                && path.extension().is_some_and(|extension| extension == "log")
            {
                opened.lock().unwrap().push(path.to_owned());
            }
        }
    });
    let contents = WalJournal::outlines_on(&disk, folder).unwrap();
    let mut opened = opened.lock().unwrap().clone();
    opened.sort_unstable();
    opened.dedup();
    assert!(opened.len() <= at_most, "{} segments were opened", opened.len());
    let runs = contents.runs.into_iter().map(|run| (run.run.as_u128(), run.records.unwrap_or_default())).collect();
    (contents.damage.len(), runs)
}

fn expected(runs: impl Iterator<Item = u128>) -> Vec<(u128, Vec<Record>)> {
    runs.map(|number| (number, vec![long(number).outline(), record(number as usize)])).collect()
}

#[test]
fn segments_of_long_records_are_not_opened_for_outlines() {
    let folder = filled();
    let segments = fs::read_dir(folder.path()).unwrap().filter(|entry| is_segment(&entry.as_ref().unwrap().path()));
    assert!(segments.count() >= RUNS as usize);
    assert_eq!(outlines(folder.path(), 2), (0, expected(1..=RUNS)));
    fs::remove_file(heads(folder.path())).unwrap();
    assert_eq!(outlines(folder.path(), usize::MAX), (0, expected(1..=RUNS)), "without the file");
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

#[test]
fn a_long_record_takes_one_segment_and_no_index() {
    let folder = filled();
    let count = |extension| {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|other| other == extension)).count()
    };
    // The first segment has no long record, since the first long record does not fit into it.
    let segments = count("log");
    assert!((RUNS as usize..=RUNS as usize + 1).contains(&segments), "{segments} segments");
    assert!(count("index") <= 1);
}

/// A 5 MiB record leaves 3 MiB of an 8 MiB segment unused, and the next record needs another
/// segment.
#[cfg(target_os = "linux")]
#[test]
fn full_segments_take_no_more_space_than_their_records() {
    use std::os::unix::fs::MetadataExt;

    let (folder, runtime) = (folder(), runtime());
    let journal = WalJournal::open_on(Arc::new(SystemDisk), folder.path(), LogOptions::default()).unwrap();
    let epoch = runtime.block_on(journal.open(run(1))).unwrap().epoch;
    for number in 0..4 {
        let output = StoredValue::Value(Arc::new(json!("x".repeat(5 << 20))));
        let end = End::Completed { output, changes: Vec::new() };
        let record = Record::Ended { path: format!("/main/s{number}"), end, time_us: 0 };
        let receipt = journal.append(run(1), epoch, &record).unwrap();
        runtime.block_on(journal.sync(receipt)).unwrap();
    }
    drop(journal);
    let segments = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let sizes = segments.filter(|path| is_segment(path)).map(|path| fs::metadata(path).unwrap().blocks() * 512);
    let used: u64 = sizes.sum();
    assert!(used < 4 * (5 << 20) + (2 << 20), "{used} bytes are in use");
}

#[test]
fn damaged_heads_are_ignored() {
    let folder = filled();
    let path = heads(folder.path());
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(11) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, damaged).unwrap();
        assert_eq!(outlines(folder.path(), usize::MAX), (0, expected(1..=RUNS)), "byte {at}");
    }
    for length in (0..whole.len()).step_by(37) {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(outlines(folder.path(), usize::MAX), (0, expected(1..=RUNS)), "{length} bytes");
    }
    // An earlier, longer version of the file leaves bytes after the content.
    fs::write(&path, [whole.as_slice(), &[7; 100]].concat()).unwrap();
    assert_eq!(outlines(folder.path(), 2), (0, expected(1..=RUNS)), "with more bytes");
}

#[test]
fn a_lost_or_damaged_listed_segment_is_noticed() {
    let segment = |folder: &Path| folder.join("000000000005.log");
    let folder = filled();
    let bytes = fs::read(segment(folder.path())).unwrap();
    fs::write(segment(folder.path()), vec![0; bytes.len()]).unwrap();
    assert!(outlines(folder.path(), usize::MAX).0 > 0, "zeroed");
    fs::write(segment(folder.path()), &bytes[..bytes.len() - 1_000]).unwrap();
    assert!(outlines(folder.path(), usize::MAX).0 > 0, "truncated");
    fs::remove_file(segment(folder.path())).unwrap();
    assert!(outlines(folder.path(), usize::MAX).0 > 0, "lost");
}

#[test]
fn later_process_lists_its_own_segments_and_forgets_removed_ones() {
    let folder = filled();
    write(folder.path(), RUNS + 1..=2 * RUNS);
    // The last segment of each process is not full.
    assert_eq!(outlines(folder.path(), 4), (0, expected(1..=2 * RUNS)));
    let listed = fs::metadata(heads(folder.path())).unwrap().len();
    let journal = open(folder.path());
    let runtime = runtime();
    let forgotten = (1..=2 * RUNS).map(|number| {
        let run = run(number);
        (run, runtime.block_on(journal.open(run)).unwrap().epoch)
    });
    let forgotten: Vec<_> = forgotten.collect();
    runtime.block_on(journal.forget(&forgotten)).unwrap();
    runtime.block_on(journal.compact(true)).unwrap();
    drop(journal);
    drop(open(folder.path()));
    let header = fs::read(heads(folder.path())).unwrap();
    let length = u64::from_le_bytes(*header[8..].first_chunk().unwrap());
    assert!(length * 4 < listed, "{length} of {listed} bytes");
    assert_eq!(outlines(folder.path(), usize::MAX), (0, Vec::new()));
}
