//! Written records survive a killed process, and a killed process owns nothing.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
};

use llmspell_workflows_state::JournalError;

use crate::{
    child::{child_task, command, die, report},
    support::{FJALL, ON_DISK, OnDisk, SLED, folder, record, run, runtime},
};

/// Appends records, waits until they are synced or written, and then kills this process.
fn append_and_die(adapter: &OnDisk, folder: &std::path::Path, by_sync: bool) {
    let journal = adapter.open_in(folder).unwrap();
    runtime().block_on(async {
        let opened = journal.open(run(1)).await.unwrap();
        let mut last = None;
        for number in 0..100 {
            let receipt = journal.append(run(1), opened.epoch, &record(opened.records.len() + number)).unwrap();
            if by_sync && number % 10 == 9 {
                journal.sync(receipt).await.unwrap();
            }
            last = Some(receipt);
        }
        if let Some(last) = last.filter(|_| !by_sync) {
            journal.write(last).await.unwrap();
        }
    });
    die()
}

fn check_survival(name: &str, by_sync: bool) {
    if let Some((adapter, folder)) = child_task() {
        append_and_die(&adapter, &folder, by_sync);
    }
    for adapter in ON_DISK {
        let folder = folder();
        for round in 1..=3 {
            let output = command(name, &adapter, folder.path()).output().unwrap();
            assert_eq!(output.status.signal(), Some(9), "{}: {output:?}", adapter.name);
            let journal = adapter.open_in(folder.path()).unwrap();
            let records = runtime().block_on(journal.open(run(1))).unwrap().records;
            assert_eq!(records, (0..100 * round).map(record).collect::<Vec<_>>(), "{}", adapter.name);
        }
    }
}

#[test]
fn written_records_survive_a_kill() {
    check_survival("kills::written_records_survive_a_kill", false);
}

#[test]
fn synced_records_survive_a_kill() {
    check_survival("kills::synced_records_survive_a_kill", true);
}

#[test]
fn a_journal_names_its_owner_until_that_process_is_killed() {
    const NAME: &str = "kills::a_journal_names_its_owner_until_that_process_is_killed";
    if let Some((adapter, folder)) = child_task() {
        let _journal = adapter.open_in(&folder).unwrap();
        report("held");
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        return;
    }
    for adapter in [FJALL, SLED] {
        let folder = folder();
        let mut other = command(NAME, &adapter, folder.path()).spawn().unwrap();
        let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap() == "held"),
            "{}: the other process never opened the journal",
            adapter.name
        );

        let error = adapter.open_in(folder.path()).unwrap_err();
        let JournalError::Held { path, holder } = &error else { panic!("{error}") };
        assert_eq!(path, &folder.path().join("journal").display().to_string());
        assert!(holder.starts_with(&format!("process {} (journals-", other.id())), "{holder}");
        assert!(holder.ends_with(&format!(" {NAME})")), "{holder}");

        other.kill().unwrap();
        other.wait().unwrap();
        drop(adapter.open_in(folder.path()).unwrap());
    }
}
