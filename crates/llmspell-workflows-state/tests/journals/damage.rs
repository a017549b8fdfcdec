//! What was changed, cut or lost behind a journal's back is an error that says so, and never another run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use llmspell_workflows_state::{JournalError, Record, store::StoreError};

use crate::support::{FJALL, ON_DISK, OnDisk, SLED, WAL, folder, record, run, runtime};

/// Larger than what sled keeps itself.
fn large() -> Record {
    Record::Stopped { path: "/main/".to_owned() + &"x".repeat(40_000), time_us: 0 }
}

fn records() -> Vec<Record> {
    (0..150).map(record).chain([large(), record(150)]).collect()
}

/// Two runs with the same records, and one that was forgotten, all of it synced.
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

/// All that [`fill`] left; an error, or the very same.
fn read(adapter: &OnDisk, folder: &Path) -> Result<(), JournalError> {
    let journal = adapter.open_in(folder)?;
    let mut runs = journal.runs();
    runs.sort_unstable();
    assert_eq!(runs, [run(1), run(2)], "{}", adapter.name);
    for number in [1, 2] {
        let mut expected = records();
        expected.push(record(151));
        let opened = runtime().block_on(journal.open(run(number)))?;
        assert!(opened.records == expected, "{}: other records of run {number}", adapter.name);
    }
    Ok(())
}

/// All files of a journal, but for those that only say who has it.
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

/// Damages each file in each way that `ways` gives for its bytes; how many times that was refused.
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

/// How many bytes of a file are in use; what follows was only made ready.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn bits_that_were_flipped_never_give_another_run() {
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
        assert!(refused > 7, "{}: only {refused} changes were found", adapter.name);
    }
}

#[test]
fn files_that_were_cut_never_give_another_run() {
    for adapter in ON_DISK {
        // A segment of the log without a single byte may be one whose making a crash cut off.
        let first = usize::from(adapter.name == WAL.name);
        let refused =
            damage(&adapter, |bytes| (first..5).map(|part| bytes[..used(bytes) * part / 5].to_vec()).collect());
        println!("{}: {refused} were refused", adapter.name);
        assert!(refused > 3, "{}: only {refused} cuts were found", adapter.name);
    }
}

#[test]
fn what_an_engine_lost_is_missed() {
    for adapter in [FJALL, SLED] {
        let folder = folder();
        fill(&adapter, folder.path());
        // It begins anew where its files are gone, as if nothing had been there.
        fs::remove_dir_all(folder.path().join("journal").join(adapter.name)).unwrap();
        let error = adapter.open_in(folder.path()).unwrap_err();
        let JournalError::Store(StoreError::Damaged { message, .. }) = &error else { panic!("{error}") };
        assert!(message.contains("changes that were acknowledged are missing, from change 1 on"), "{message}");
    }
}

#[test]
fn what_is_no_journal_is_refused() {
    let folder = folder();
    let stores = llmspell_workflows_state::store::Stores::sled(folder.path().join("journal")).unwrap();
    runtime().block_on(stores.definitions.put("abc", &serde_json::json!({}))).unwrap();
    drop(stores);
    let error = SLED.open_in(folder.path()).unwrap_err();
    assert!(matches!(&error, JournalError::Store(StoreError::Foreign { .. })), "{error}");
    assert!(error.to_string().contains("the key dabc, which is none of a journal"), "{error}");
}

/// A record that takes several pages of the disk.
fn long(number: usize) -> Record {
    Record::Stopped { path: format!("/main/step{number}/{}", "torn".repeat(3_000)), time_us: 0 }
}

/// A journal whose last record was written and not synced when the power went, so that a page of it is missing.
fn torn(adapter: &OnDisk) -> tempfile::TempDir {
    let folder = folder();
    fill(adapter, folder.path());
    let journal = adapter.open_in(folder.path()).unwrap();
    let epoch = runtime().block_on(journal.open(run(9))).unwrap().epoch;
    for number in 0..5 {
        let receipt = journal.append(run(9), epoch, &long(number)).unwrap();
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
fn a_record_that_a_power_loss_tore_is_left_where_nothing_acknowledged_is_lost() {
    for adapter in [WAL, SLED] {
        let left = torn(&adapter);
        let journal = adapter.open_in(left.path()).unwrap();
        let records = runtime().block_on(journal.open(run(9))).unwrap().records;
        assert!(records == (0..4).map(long).collect::<Vec<_>>(), "{}: {} records", adapter.name, records.len());
    }
    // fjall itself refuses its journal then, and says nothing wrong.
    let error = FJALL.open_in(torn(&FJALL).path()).unwrap_err();
    assert!(matches!(&error, JournalError::Store(StoreError::Damaged { .. })), "{error}");
    assert!(error.to_string().contains("a power loss while it wrote does that, too"), "{error}");
}
