//! Stored data stays readable. The files in `golden` must not be changed; a new format gets new files.

use jiff::Timestamp;
use llmspell_workflows_state::store::conformance::wait;
use llmspell_workflows_state::{
    End, Record, Started,
    record::StoredValue,
    store::{Message, RunQuery, RunStatus, Stores, blob_hash},
};
use rusqlite::Connection;
use serde_json::json;
use uuid::Uuid;

use crate::support::{SQLITE, folder};

/// A database of schema version 1, dumped with `sqlite3 .dump`.
const SQLITE_1: &str = include_str!("golden/sqlite-1.sql");

fn records() -> Vec<Record> {
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    let started = Started {
        at,
        workflow: "w".to_owned(),
        version: String::new(),
        definition: "abc".to_owned(),
        input: json!({"n": 1}),
        ..Started::default()
    };
    let end = || End::Completed { output: StoredValue::Value(json!("done").into()), changes: Vec::new() };
    vec![
        Record::Started(Box::new(started)),
        Record::Began { path: "/main/a".to_owned(), time_us: 0 },
        Record::Ended { path: "/main/a".to_owned(), end: end(), time_us: 0 },
        Record::Closed { end: end(), time_us: 0, compensated: false },
    ]
}

#[test]
fn migration_keeps_all_content_of_a_version_1_database() {
    let folder = folder();
    let path = SQLITE.path(folder.path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let old = Connection::open(&path).unwrap();
    old.execute_batch(SQLITE_1).unwrap();
    let index = "SELECT count(*) FROM sqlite_master WHERE name = 'runs_by_parent'";
    assert_eq!(old.query_row(index, [], |row| row.get(0)), Ok(0));
    drop(old);

    let run = Uuid::from_u128(7);
    let stores = Stores::sqlite(&path).unwrap();
    let found =
        wait(stores.runs.list(&RunQuery { parent: Some(Uuid::from_u128(3)), ..RunQuery::default() })).unwrap().runs;
    assert_eq!(found.iter().map(|found| (found.id, found.status)).collect::<Vec<_>>(), [(run, RunStatus::Completed)]);
    assert_eq!(found[0].labels["team"], "blue");
    assert_eq!(wait(stores.archive.get(run)), Ok(Some(records())));
    assert_eq!(wait(stores.definitions.get("abc")), Ok(Some(r#"{"name":"w"}"#.to_owned())));
    let snapshot = wait(stores.snapshots.get(run, "here")).unwrap().unwrap();
    assert_eq!((snapshot.position, snapshot.state), (2, json!({"a": 1})));
    let signal = Message::Signal { name: "go".to_owned(), payload: json!(1) };
    assert_eq!(wait(stores.inbox.next(run, 0)), Ok(vec![(1, signal)]));
    assert_eq!(wait(stores.blobs.get(&blob_hash(b"large"))), Ok(Some(b"large".to_vec())));
    assert_eq!(wait(stores.blobs.owners(&blob_hash(b"large"))), Ok(1));
    drop(stores);

    let new = Connection::open(&path).unwrap();
    assert_eq!(new.query_row(index, [], |row| row.get(0)), Ok(1));
    assert_eq!(new.query_row("SELECT version FROM schema_version", [], |row| row.get(0)), Ok(2));
    drop(new);
    assert!(Stores::sqlite(&path).is_ok(), "the migrated database opens again");
}

#[test]
fn the_written_format_is_unchanged() {
    let folder = folder();
    let stores = SQLITE.open_in(folder.path()).unwrap();
    wait(stores.archive.put(Uuid::from_u128(7), records().to_vec())).unwrap();
    drop(stores);
    let database = Connection::open(SQLITE.path(folder.path())).unwrap();
    let body: String = database.query_row("SELECT lower(hex(body)) FROM archive", [], |row| row.get(0)).unwrap();
    assert!(SQLITE_1.contains(&format!("X'{body}'")), "a changed format needs a new version and a new golden file");
}
