//! Data that was changed, truncated or lost on the disk causes an error, never wrong records.

use std::{
    fs,
    path::{Path, PathBuf},
};

use llmspell_workflows_state::{JournalError, Record, store::StoreError};

use crate::support::{FJALL, ON_DISK, OnDisk, SLED, WAL, folder, record, run, runtime};

/// Returns a record too large to be stored inside sled.
fn large() -> Record {
    Record::Stopped { path: "/main/".to_owned() + &"x".repeat(40_000), time_us: 0 }
}

fn records() -> Vec<Record> {
    (0..150).map(record).chain([large(), record(150)]).collect()
}

/// Writes and syncs two runs with the same records, and a run that is then forgotten.
fn fill(adapter: &OnDisk, folder: &Path) {
    let journal = adapter.open_in(folder).unwrap();
    runtime().block_on(async {
        for number in [3, 1, 2] {
            let epoch = journal.open(run(number)).await.unwrap().epoch;
            for record in records() {
                let receipt = journal.append(run(number), epoch, &record).unwrap();
                if receipt.number() % 40 == 0 {
                    journal.sync(receipt).await.unwrap();
                }
            }
            if number == 3 {
                journal.forget(&[(run(3), epoch)]).await.unwrap();
                continue;
            }
            let last = journal.append(run(number), epoch, &record(151)).unwrap();
            journal.sync(last).await.unwrap();
        }
    });
}

/// Reads the records written by [`fill`]; either fails or finds exactly the same records.
fn read(adapter: &OnDisk, folder: &Path) -> Result<(), JournalError> {
    let journal = adapter.open_in(folder)?;
    if let Some(damage) = journal.damage().into_iter().next() {
        return Err(damage);
    }
    let mut runs = journal.runs();
    runs.sort_unstable();
    assert_eq!(runs, [run(1), run(2)], "{}", adapter.name);
    for number in [1, 2] {
        let mut expected = records();
        expected.push(record(151));
        let opened = runtime().block_on(journal.open(run(number)))?;
        assert!(opened.records == expected, "{}: the records of run {number} differ", adapter.name);
    }
    Ok(())
}

/// Returns all files of a journal except those that only name its owner.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.retain(|path| !["lock", "holder"].iter().any(|name| path.ends_with(name)));
    found.sort();
    found
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Replaces each file in turn with each damaged version that `ways` returns for it; returns
/// how many versions were refused.
fn damage(adapter: &OnDisk, ways: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> usize {
    let whole = folder();
    fill(adapter, whole.path());
    let mut refused = 0;
    for file in files(whole.path()) {
        for bytes in ways(&fs::read(&file).unwrap()) {
            let copy = folder();
            copy_all(whole.path(), copy.path());
            fs::write(copy.path().join(file.strip_prefix(whole.path()).unwrap()), bytes).unwrap();
            refused += usize::from(read(adapter, copy.path()).is_err());
        }
    }
    refused
}

/// Returns the number of bytes of a file that are in use; the rest is preallocated.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn flipped_bits_never_cause_wrong_records() {
    for adapter in ON_DISK {
        let refused = damage(&adapter, |bytes| {
            let step = (used(bytes) / 10).max(1);
            let flipped = |at: usize| {
                let mut bytes = bytes[..used(bytes)].to_vec();
                bytes[at] ^= 0x10;
                bytes
            };
            (7..used(bytes)).step_by(step).map(flipped).collect()
        });
        println!("{}: {refused} were refused", adapter.name);
        assert!(refused > 7, "{}: only {refused} changes were detected", adapter.name);
    }
}

#[test]
fn truncated_files_never_cause_wrong_records() {
    for adapter in ON_DISK {
        // An empty segment is accepted, since a crash may have interrupted its creation.
        let first = usize::from(adapter.name == WAL.name);
        let refused =
            damage(&adapter, |bytes| (first..5).map(|part| bytes[..used(bytes) * part / 5].to_vec()).collect());
        println!("{}: {refused} were refused", adapter.name);
        assert!(refused > 3, "{}: only {refused} truncations were detected", adapter.name);
    }
}

#[test]
fn changes_lost_by_an_engine_are_detected() {
    for adapter in [FJALL, SLED] {
        let folder = folder();
        fill(&adapter, folder.path());
        // Without its files, the engine starts with an empty database.
        fs::remove_dir_all(folder.path().join("journal").join(adapter.name)).unwrap();
        let error = adapter.open_in(folder.path()).unwrap_err();
        let JournalError::Store(StoreError::Damaged { message, .. }) = &error else { panic!("{error}") };
        assert!(message.ends_with("acknowledged changes are missing, starting with change 1"), "{message}");
    }
}

#[test]
fn a_folder_that_is_not_a_journal_is_refused() {
    let folder = folder();
    let stores = llmspell_workflows_state::store::Stores::sled(folder.path().join("journal")).unwrap();
    runtime().block_on(stores.definitions.put("abc", "{}")).unwrap();
    drop(stores);
    let error = SLED.open_in(folder.path()).unwrap_err();
    assert!(matches!(&error, JournalError::Store(StoreError::Foreign { .. })), "{error}");
    assert!(error.to_string().contains("the key dabc, which is not a journal key"), "{error}");
}

/// Returns a record that spans several pages of the disk.
fn multi_page_record(number: usize) -> Record {
    Record::Stopped { path: format!("/main/step{number}/{}", "torn".repeat(3_000)), time_us: 0 }
}

/// Returns a journal whose last record was written but not synced when the power failed, so a page of it is missing.
fn torn_journal(adapter: &OnDisk) -> tempfile::TempDir {
    let folder = folder();
    fill(adapter, folder.path());
    let journal = adapter.open_in(folder.path()).unwrap();
    let epoch = runtime().block_on(journal.open(run(9))).unwrap().epoch;
    for number in 0..5 {
        let receipt = journal.append(run(9), epoch, &multi_page_record(number)).unwrap();
        runtime().block_on(journal.write(receipt)).unwrap();
    }
    let left = crate::support::folder();
    copy_all(folder.path(), left.path());
    for file in files(left.path()) {
        let mut bytes = fs::read(&file).unwrap();
        if let Some(end) = bytes.windows(400).rposition(|part| part == "torn".repeat(100).as_bytes()) {
            bytes[end - 4_096..end].fill(0);
            fs::write(&file, bytes).unwrap();
        }
    }
    left
}

#[test]
fn an_unacknowledged_record_torn_by_a_power_loss_is_ignored() {
    for adapter in [WAL, SLED] {
        let left = torn_journal(&adapter);
        let journal = adapter.open_in(left.path()).unwrap();
        let records = runtime().block_on(journal.open(run(9))).unwrap().records;
        assert!(
            records == (0..4).map(multi_page_record).collect::<Vec<_>>(),
            "{}: {} records",
            adapter.name,
            records.len()
        );
    }
    // In this case, fjall refuses its journal instead of returning wrong records.
    let error = FJALL.open_in(torn_journal(&FJALL).path()).unwrap_err();
    assert!(matches!(&error, JournalError::Store(StoreError::Damaged { .. })), "{error}");
    assert!(error.to_string().contains("a power loss during a write can also cause this"), "{error}");
}
