//! Whoever looks at a log that another writes sees all that was appended up to some moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use llmspell_workflows_state::{Journal, LogOptions, Record, WalJournal, disk::SystemDisk};

use crate::support::{folder, record, run, runtime};

/// How many records are written.
const RECORDS: usize = 20_000;

/// How many of them one run has before it is forgotten, with the segments that only it needed.
const OF_ONE: usize = 500;

#[test]
fn nothing_is_seen_without_what_came_before_it_while_segments_come_and_go() {
    let folder = folder();
    let options = LogOptions { segment_min: 4 << 10, segment_max: 4 << 10, prepare_ahead: true };
    let journal = WalJournal::open_on(Arc::new(SystemDisk), folder.path(), options).unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let looks = {
        let (is_done, path) = (is_done.clone(), folder.path().to_owned());
        thread::spawn(move || {
            let (mut looks, mut seen, mut last) = (0, 0, 0);
            while !is_done.load(Ordering::SeqCst) {
                let runs = WalJournal::peek(&path).unwrap();
                let mut numbers: Vec<usize> = runs.iter().flat_map(|(_, records)| records).map(number).collect();
                numbers.sort_unstable();
                assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap in {numbers:?}");
                let newest = numbers.last().copied().unwrap_or(last);
                assert!(newest >= last, "it goes back from {last} to {newest}");
                (looks, seen, last) = (looks + 1, seen + numbers.len(), newest);
            }
            (looks, seen)
        })
    };
    let runtime = runtime();
    for block in 0..RECORDS / OF_ONE {
        let run = run(block as u128 + 1);
        let opened = runtime.block_on(journal.open(run)).unwrap();
        for number in 0..OF_ONE {
            let receipt = journal.append(run, opened.epoch, &record(block * OF_ONE + number)).unwrap();
            runtime.block_on(journal.write(receipt)).unwrap();
        }
        runtime.block_on(journal.forget(&[(run, opened.epoch)])).unwrap();
    }
    is_done.store(true, Ordering::SeqCst);
    let (looks, seen) = looks.join().unwrap();
    assert!(looks > 1 && seen > 0, "{looks} looks, {seen} records seen");
}

fn number(record: &Record) -> usize {
    let path = record.path().unwrap();
    path.trim_start_matches("/main/step").parse().unwrap()
}
