//! What is kept elsewhere leaves the log, and does not come back.

use std::{path::Path, sync::Arc};

use llmspell_workflows_state::{Epoch, Journal, JournalError, LogOptions, Record, WalJournal, disk::Disk};
use llmspell_workflows_testing::crash::SimDisk;
use uuid::Uuid;

fn open(disk: &SimDisk) -> WalJournal {
    let options = LogOptions { segment_min: 1 << 10, segment_max: 1 << 10, prepare_ahead: false };
    WalJournal::open_on(Arc::new(disk.clone()), Path::new("/log"), options).expect("it is whole")
}

/// Some twenty records make a segment.
async fn fill(journal: &WalJournal, run: Uuid, epoch: Epoch, count: usize) {
    for number in 0..count {
        let record = Record::Began { path: format!("/main/s{number}"), time_us: 0 };
        let receipt = journal.append(run, epoch, &record).expect("the disk works");
        if number + 1 == count {
            journal.write(receipt).await.expect("the disk works");
        }
    }
}

fn segments(disk: &SimDisk) -> usize {
    disk.list(Path::new("/log")).expect("there is one").iter().filter(|name| name.ends_with(".log")).count()
}

#[tokio::test]
async fn a_forgotten_run_stays_forgotten_whichever_segments_are_left() {
    let (long, short) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for between in [0, 5, 60] {
        let disk = SimDisk::new();
        let journal = open(&disk);
        let kept = journal.open(long).await.unwrap().epoch;
        fill(&journal, long, kept, 3).await;
        let gone = journal.open(short).await.unwrap().epoch;
        fill(&journal, short, gone, 30).await;
        fill(&journal, long, kept, between).await;
        journal.forget(&[(short, gone)]).await.unwrap();
        fill(&journal, long, kept, 60).await;
        drop(journal);
        // Also after it has been opened, and its segments looked through, more than once.
        for _ in 0..3 {
            let journal = open(&disk.after_kill());
            assert_eq!(journal.runs(), [long], "{between} records between");
            assert_eq!(journal.open(long).await.unwrap().records.len(), 63 + between);
        }
    }
}

#[tokio::test]
async fn segments_go_when_no_run_needs_them() {
    let disk = SimDisk::new();
    let journal = open(&disk);
    for number in 1..20_u128 {
        let run = Uuid::from_u128(number);
        let epoch = journal.open(run).await.unwrap().epoch;
        fill(&journal, run, epoch, 40).await;
        journal.forget(&[(run, epoch)]).await.unwrap();
    }
    assert!(segments(&disk) <= 3, "{} segments are left", segments(&disk));
    drop(journal);
    assert!(open(&disk.after_kill()).runs().is_empty());
}

#[tokio::test]
async fn who_was_taken_over_from_can_neither_append_nor_forget() {
    let (disk, run) = (SimDisk::new(), Uuid::from_u128(1));
    let journal = open(&disk);
    let first = journal.open(run).await.unwrap().epoch;
    let second = journal.open(run).await.unwrap().epoch;
    let record = Record::Began { path: "/main/a".to_owned(), time_us: 0 };
    assert_eq!(journal.append(run, first, &record), Err(JournalError::Fenced { run }));
    assert_eq!(journal.forget(&[(run, first)]).await, Err(JournalError::Fenced { run }));
    journal.append(run, second, &record).unwrap();
    assert_eq!(journal.open(run).await.unwrap().records, [record]);
}
