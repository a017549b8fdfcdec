//! Forgotten runs are removed from the log and do not reappear.

use std::{path::Path, sync::Arc};

use llmspell_workflows_state::{Epoch, Journal, JournalError, LogOptions, Record, WalJournal, disk::Disk};
use llmspell_workflows_testing::crash::SimDisk;
use uuid::Uuid;

fn open(disk: &SimDisk) -> WalJournal {
    let options = LogOptions { segment_min: 1 << 10, segment_max: 1 << 10, prepare_ahead: false };
    WalJournal::open_on(Arc::new(disk.clone()), Path::new("/log"), options).expect("the log is intact")
}

/// Appends `count` records; about twenty of them fill a segment.
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
    disk.list(Path::new("/log")).expect("the folder exists").iter().filter(|name| name.ends_with(".log")).count()
}

#[tokio::test]
async fn a_forgotten_run_stays_forgotten_no_matter_which_segments_remain() {
    let (long, short) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for between in [0, 5, 60] {
        let disk = SimDisk::new();
        let journal = open(&disk);
        let long_epoch = journal.open(long).await.unwrap().epoch;
        fill(&journal, long, long_epoch, 3).await;
        let short_epoch = journal.open(short).await.unwrap().epoch;
        fill(&journal, short, short_epoch, 30).await;
        fill(&journal, long, long_epoch, between).await;
        journal.forget(&[(short, short_epoch)]).await.unwrap();
        fill(&journal, long, long_epoch, 60).await;
        drop(journal);
        // The run stays forgotten even if the log is opened and read several times.
        for _ in 0..3 {
            let journal = open(&disk.after_kill());
            assert_eq!(journal.runs(), [long], "{between} records between");
            assert_eq!(journal.open(long).await.unwrap().records.len(), 63 + between);
        }
    }
}

#[tokio::test]
async fn unneeded_segments_are_removed() {
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
async fn a_fenced_owner_can_neither_append_nor_forget() {
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
