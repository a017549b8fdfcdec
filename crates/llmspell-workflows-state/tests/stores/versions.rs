//! Stores of a later version, and files that are not stores, are refused with instructions.

use std::{fs, path::Path};

use llmspell_workflows_state::store::{StoreError, Stores};
use rusqlite::Connection;

use crate::support::{SLED, SQLITE, folder};

fn version(path: &Path) -> i64 {
    let database = Connection::open(path).unwrap();
    database.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_newer_database_is_refused_and_not_changed() {
    let folder = folder();
    let path = SQLITE.path(folder.path());
    drop(Stores::sqlite(&path).unwrap());
    Connection::open(&path).unwrap().execute("UPDATE schema_version SET version = 99", []).unwrap();
    let error = Stores::sqlite(&path).unwrap_err();
    assert_eq!(error, StoreError::Newer { location: path.display().to_string(), found: 99, known: 2 });
    assert!(
        error.to_string().ends_with("it has format 99, but this program reads formats up to 2; use a later version")
    );
    assert_eq!(version(&path), 99);
}

#[test]
fn a_newer_sled_folder_is_refused() {
    let folder = folder();
    drop(SLED.open_in(folder.path()).unwrap());
    let mark = SLED.path(folder.path()).join("mark");
    let mut bytes = fs::read(&mark).unwrap();
    for location in [0, 512] {
        bytes[location + 6] = 9;
        let checksum = crc32c::crc32c(&bytes[location..location + 16]).to_le_bytes();
        bytes[location + 16..location + 20].copy_from_slice(&checksum);
    }
    fs::write(&mark, bytes).unwrap();
    let error = SLED.open_in(folder.path()).unwrap_err();
    assert_eq!(error, StoreError::Newer { location: mark.display().to_string(), found: 9, known: 1 });
}

#[test]
fn a_file_that_is_not_a_store_is_refused_and_not_changed() {
    let folder = folder();
    let path = folder.path().join("other");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = Stores::sqlite(&path).unwrap_err();
    assert!(matches!(&error, StoreError::Foreign { message, .. } if message.contains("another program")), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);

    fs::write(&path, "some text that is long enough to be looked at. ".repeat(100)).unwrap();
    let error = Stores::sqlite(&path).unwrap_err();
    assert!(
        matches!(&error, StoreError::Foreign { message, .. } if message.contains("not a SQLite database")),
        "{error}"
    );
    let error = Stores::sled(&path).unwrap_err();
    assert!(matches!(&error, StoreError::Io { .. }), "{error}");
}
