use std::{cell::RefCell, sync::Arc};

use llmspell_workflows_state::{MemoryJournal, Record, journal::conformance};

use crate::support::{FJALL, ON_DISK, OnDisk, SLED, WAL, folder, run, runtime};

fn check_conformance(adapter: &OnDisk) {
    let folders = RefCell::new(Vec::new());
    conformance::all(|| {
        let folder = folder();
        let journal = adapter.open_in(folder.path()).unwrap();
        folders.borrow_mut().push(folder);
        journal
    });
    let folder = folder();
    conformance::persists(|| adapter.open_in(folder.path()).unwrap());
}

#[test]
fn in_memory_journal_passes_the_conformance_suite() {
    conformance::all(|| Arc::new(MemoryJournal::new()));
}

#[test]
fn wal_journal_passes_the_conformance_suite() {
    check_conformance(&WAL);
}

#[test]
fn fjall_journal_passes_the_conformance_suite() {
    check_conformance(&FJALL);
}

#[test]
fn sled_journal_passes_the_conformance_suite() {
    check_conformance(&SLED);
}

#[test]
fn error_for_a_journal_in_use_names_its_owner() {
    for adapter in [FJALL, SLED] {
        let folder = folder();
        conformance::is_exclusive(|| adapter.open_in(folder.path()));
    }
}

#[test]
fn journals_larger_than_the_engine_buffers_are_read_back() {
    let large =
        |number: usize| Record::Stopped { path: format!("/main/step{number}/{}", "x".repeat(500_000)), time_us: 0 };
    let runs = [run(1), run(2), run(3)];
    for adapter in ON_DISK {
        let folder = folder();
        let journal = adapter.open_in(folder.path()).unwrap();
        runtime().block_on(async {
            for run in runs {
                let epoch = journal.open(run).await.unwrap().epoch;
                for number in 0..40 {
                    let receipt = journal.append(run, epoch, &large(number)).unwrap();
                    journal.write(receipt).await.unwrap();
                }
                if run == runs[1] {
                    journal.forget(&[(run, epoch)]).await.unwrap();
                }
            }
        });
        drop(journal);
        let journal = adapter.open_in(folder.path()).unwrap();
        for run in runs {
            let records = runtime().block_on(journal.open(run)).unwrap().records;
            let count = if run == runs[1] { 0 } else { 40 };
            assert!(
                records == (0..count).map(large).collect::<Vec<_>>(),
                "{}: {} records",
                adapter.name,
                records.len()
            );
        }
    }
}
