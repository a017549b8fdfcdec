//! Data that was changed, truncated or lost on the disk causes an error, never a wrong value.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use llmspell_workflows_state::{
    Record,
    store::{
        Message, RunQuery, StoreError, Stores,
        conformance::{summary, wait},
    },
};
use rusqlite::Connection;
use uuid::Uuid;

use crate::support::{ON_DISK, SLED, SQLITE, folder};

fn run() -> Uuid {
    Uuid::from_u128(1)
}

fn records() -> Vec<Record> {
    (0..200).map(|step| Record::Began { path: format!("/main/step{step}"), time_us: 0 }).collect()
}

fn fill(stores: &Stores) {
    wait(stores.runs.put_all(&(1..=20).map(|number| summary(number, 1)).collect::<Vec<_>>())).unwrap();
    wait(stores.archive.put(run(), records().to_vec())).unwrap();
    for number in 1..=5_u64 {
        wait(stores.inbox.post(run(), &number.to_string(), &Message::Pause)).unwrap();
    }
    wait(stores.blobs.put(run(), vec![3; 100_000])).unwrap();
}

/// Reads the data stored by [`fill`]; either fails or finds exactly the same data.
fn read(stores: &Stores) -> Result<(), StoreError> {
    let runs = wait(stores.runs.list(&RunQuery::default()))?.runs;
    assert_eq!(runs.len(), 20);
    runs.iter().for_each(|run| assert!((1..=20).any(|number| summary(number, 1) == *run)));
    assert_eq!(wait(stores.archive.get(run()))?.unwrap(), records());
    assert_eq!(wait(stores.inbox.next(run(), 0))?.len(), 5);
    let hash = llmspell_workflows_state::store::blob_hash(&vec![3; 100_000]);
    assert_eq!(wait(stores.blobs.get(&hash))?.unwrap(), vec![3; 100_000]);
    Ok(())
}

/// Changes one row directly in the database.
fn change_row(path: &Path, sql: &str) {
    assert_eq!(Connection::open(path).unwrap().execute(sql, []).unwrap(), 1, "{sql}");
}

#[test]
fn error_names_the_changed_row() {
    let flip = "cast(substr(body, 1, 40) || x'ff' || substr(body, 42) AS BLOB)";
    for (sql, expected) in [
        (format!("UPDATE archive SET body = {flip}"), "the archive of run 00000000-0000-0000-0000-000000000001"),
        ("UPDATE archive SET body = substr(body, 1, 50)".to_owned(), "its checksum does not match"),
        ("UPDATE archive SET body = x'00'".to_owned(), "it is truncated"),
        (format!("UPDATE messages SET body = {flip} WHERE number = 3"), "message 3 of run"),
        ("DELETE FROM messages WHERE number = 3".to_owned(), "message 3 is missing, before message 4"),
        ("UPDATE blobs SET bytes = x'00'".to_owned(), "its hash does not match"),
        (format!("UPDATE runs SET body = {flip} WHERE rowid = 2"), "run 3c6ef372-fe94-f82a-"),
        ("UPDATE runs SET status = 'failed' WHERE rowid = 2".to_owned(), "differ from the indexed columns"),
        ("UPDATE runs SET body = (SELECT body FROM runs WHERE rowid = 2) WHERE rowid = 3".to_owned(), "checksum"),
        ("UPDATE runs SET body = 'text' WHERE rowid = 2".to_owned(), "Invalid column type"),
    ] {
        let folder = folder();
        fill(&SQLITE.open_in(folder.path()).unwrap());
        change_row(&SQLITE.path(folder.path()), &sql);
        let error = read(&SQLITE.open_in(folder.path()).unwrap()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{sql}: {error}");
        assert!(error.to_string().contains(expected), "{sql}: {error}");
        assert!(error.to_string().ends_with("restore the store from a backup"), "{error}");
    }
}

/// Returns the files of a store that contain data.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut found = Vec::new();
    for folder in [path.join("sled"), path.join("values"), path.to_owned()] {
        found.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    }
    found.retain(|path| !["lock", "holder"].iter().any(|name| path.ends_with(name)));
    found.sort();
    found
}

#[test]
fn changed_bytes_never_cause_a_wrong_value() {
    for adapter in ON_DISK {
        let folder = folder();
        fill(&adapter.open_in(folder.path()).unwrap());
        let path = adapter.path(folder.path());
        let mut refused = 0;
        for file in files(&path) {
            let whole = fs::read(&file).unwrap();
            let step = (whole.len() / 40).max(1);
            for at in (7..whole.len()).step_by(step) {
                let copy = crate::support::folder();
                copy_all(folder.path(), copy.path());
                let damaged = copy.path().join(file.strip_prefix(folder.path()).unwrap());
                let mut bytes = whole.clone();
                bytes[at] ^= 0x10;
                fs::write(&damaged, bytes).unwrap();
                let answer = adapter.open_in(copy.path()).and_then(|stores| read(&stores));
                refused += usize::from(answer.is_err());
            }
        }
        assert!(refused > 5, "{}: only {refused} changes were detected", adapter.name);
    }
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

#[test]
fn a_truncated_database_is_reported_as_damaged() {
    let folder = folder();
    fill(&SQLITE.open_in(folder.path()).unwrap());
    let path = SQLITE.path(folder.path());
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
    let error = SQLITE.open_in(folder.path()).and_then(|stores| read(&stores)).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn changes_lost_by_sled_are_detected() {
    let folder = folder();
    fill(&SLED.open_in(folder.path()).unwrap());
    let path = SLED.path(folder.path());
    // Without its files, sled starts with an empty database.
    fs::remove_dir_all(path.join("sled")).unwrap();
    let error = SLED.open_in(folder.path()).unwrap_err();
    let StoreError::Damaged { message, .. } = &error else { panic!("{error}") };
    assert!(message.ends_with("acknowledged changes are missing, starting with change 1"), "{message}");
}

#[test]
fn a_damaged_or_missing_mark_causes_an_error() {
    for (damage, expected) in [
        (Box::new(|mark: &Path| fs::write(mark, [0; 1024]).unwrap()) as Box<dyn Fn(&Path)>, "both of its slots"),
        (Box::new(|mark: &Path| fs::remove_file(mark).unwrap()), "no `mark` file"),
    ] {
        let folder = folder();
        fill(&SLED.open_in(folder.path()).unwrap());
        damage(&SLED.path(folder.path()).join("mark"));
        let error = SLED.open_in(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn error_names_a_truncated_or_missing_large_value() {
    for (damage, expected) in [
        (Box::new(|file: &Path| drop(fs::write(file, [3; 9]))) as Box<dyn Fn(&Path)>, "its length or checksum"),
        (Box::new(|file: &Path| fs::remove_file(file).unwrap()), "the file is missing"),
    ] {
        let folder = folder();
        let stores = SLED.open_in(folder.path()).unwrap();
        let hash = wait(stores.blobs.put(run(), vec![3; 100_000])).unwrap();
        let file = fs::read_dir(SLED.path(folder.path()).join("values")).unwrap().next().unwrap().unwrap().path();
        damage(&file);
        let error = wait(stores.blobs.get(&hash)).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(expected) && error.to_string().contains("values"), "{error}");
    }
}

#[test]
fn unneeded_files_of_large_values_are_removed() {
    let folder = folder();
    let stores = SLED.open_in(folder.path()).unwrap();
    let count = || fs::read_dir(SLED.path(folder.path()).join("values")).unwrap().count();
    let large: Vec<_> =
        (0..5_000).map(|step| Record::Began { path: format!("/main/step{step}"), time_us: 0 }).collect();
    for _ in 0..3 {
        wait(stores.archive.put(run(), large.to_vec())).unwrap();
        assert_eq!(count(), 1);
    }
    wait(stores.archive.put(run(), Vec::new())).unwrap();
    assert_eq!(count(), 0);
}
