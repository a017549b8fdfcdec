//! A reader of a log that another process writes sees everything up to some moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use llmspell_workflows_state::{Journal, LogOptions, Record, WalJournal, disk::SystemDisk};

use crate::support::{folder, record, run, runtime};

/// The number of records written.
const RECORDS: usize = 20_000;

/// The number of records in each run before it is forgotten, together with the segments that only it needed.
const RECORDS_PER_RUN: usize = 500;

#[test]
fn peeking_sees_no_gap_while_segments_are_created_and_removed() {
    let folder = folder();
    let options = LogOptions { segment_min: 4 << 10, segment_max: 4 << 10, prepare_ahead: true };
    let journal = WalJournal::open_on(Arc::new(SystemDisk), folder.path(), options).unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let peeks = {
        let (is_done, path) = (is_done.clone(), folder.path().to_owned());
        thread::spawn(move || {
            let (mut peeks, mut seen, mut last) = (0, 0, 0);
            while !is_done.load(Ordering::SeqCst) {
                let runs = WalJournal::peek(&path).unwrap();
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

fn number(record: &Record) -> usize {
    let path = record.path().unwrap();
    path.trim_start_matches("/main/step").parse().unwrap()
}
