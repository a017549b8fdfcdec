//! The tables, by schema version.
//!
//! A database stores its version in `schema_version`. An older database is migrated in one transaction; a newer one is
//! refused. Released scripts must not be changed.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, TransactionBehavior};

use super::{super::StoreError, BUSY_MS, convert_error, while_busy};

/// The script for each version; it migrates from the previous version.
const SCRIPTS: [&str; 2] = [
    "
    CREATE TABLE schema_version (version INTEGER NOT NULL);
    INSERT INTO schema_version VALUES (0);
    CREATE TABLE runs (
        id BLOB NOT NULL UNIQUE, started_us INTEGER NOT NULL, status TEXT NOT NULL, workflow TEXT NOT NULL,
        parent BLOB, body BLOB NOT NULL
    );
    CREATE INDEX runs_by_start ON runs (started_us, id);
    CREATE INDEX runs_by_status ON runs (status, started_us, id);
    CREATE INDEX runs_by_workflow ON runs (workflow, started_us, id);
    CREATE TABLE labels (
        name TEXT NOT NULL, value TEXT NOT NULL, started_us INTEGER NOT NULL, id BLOB NOT NULL,
        PRIMARY KEY (name, value, started_us, id)
    ) WITHOUT ROWID;
    CREATE TABLE archive (run BLOB NOT NULL UNIQUE, body BLOB NOT NULL);
    CREATE TABLE definitions (hash TEXT NOT NULL UNIQUE, body BLOB NOT NULL);
    CREATE TABLE snapshots (run BLOB NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (run, name));
    CREATE TABLE messages (
        run BLOB NOT NULL, number INTEGER NOT NULL, message_id TEXT NOT NULL, body BLOB NOT NULL,
        UNIQUE (run, number), UNIQUE (run, message_id)
    );
    CREATE TABLE blobs (hash TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL);
    CREATE TABLE blob_owners (hash TEXT NOT NULL, owner BLOB NOT NULL, PRIMARY KEY (hash, owner)) WITHOUT ROWID;
    CREATE INDEX blobs_by_owner ON blob_owners (owner);
    ",
    "CREATE INDEX runs_by_parent ON runs (parent, started_us, id) WHERE parent IS NOT NULL;",
];

/// The version that this code writes.
const VERSION: usize = SCRIPTS.len();

/// Prepares a connection, and migrates the database if needed.
pub(super) fn prepare(path: &Path, mut connection: Connection) -> Result<Connection, StoreError> {
    let sqlite_error = |error: rusqlite::Error| convert_error(path, &error);
    connection.busy_timeout(Duration::from_millis(BUSY_MS)).map_err(sqlite_error)?;
    connection.set_prepared_statement_cache_capacity(64);
    let mode: String =
        while_busy(|| connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))).map_err(sqlite_error)?;
    if mode != "wal" {
        refuse_foreign(path, &connection)?;
        let change = || connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        let mode = while_busy(change).map_err(sqlite_error)?;
        if mode != "wal" {
            let message = format!("its disk supports only the journal mode {mode}, not WAL; use a local disk");
            return Err(StoreError::Io { path: path.to_owned(), message });
        }
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(sqlite_error)?;
    if version(path, &connection)? != VERSION {
        migrate(path, &mut connection)?;
    }
    Ok(connection)
}

/// Checks that the database has the version that this code reads.
pub(super) fn check(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    match version(path, connection)? {
        VERSION => Ok(()),
        found if found > VERSION => {
            let (found, known) = (found as u64, VERSION as u64);
            Err(StoreError::Newer { location: path.display().to_string(), found, known })
        }
        _ => {
            let message = "it is read-only, but was written by an earlier version and must be migrated first";
            Err(StoreError::Io { path: path.to_owned(), message: message.to_owned() })
        }
    }
}

fn migrate(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let sqlite_error = |error: rusqlite::Error| convert_error(path, &error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite_error)?;
    // Another process may have migrated the database in the meantime.
    let version = version(path, &transaction)?;
    if version > VERSION {
        let (found, known) = (version as u64, VERSION as u64);
        return Err(StoreError::Newer { location: path.display().to_string(), found, known });
    }
    for script in &SCRIPTS[version..] {
        transaction.execute_batch(script).map_err(sqlite_error)?;
    }
    transaction.execute("UPDATE schema_version SET version = ?", [VERSION]).map_err(sqlite_error)?;
    transaction.commit().map_err(sqlite_error)
}

/// Returns the version of a database; 0 if it is empty.
fn version(path: &Path, connection: &Connection) -> Result<usize, StoreError> {
    refuse_foreign(path, connection)?;
    let sqlite_error = |error: rusqlite::Error| convert_error(path, &error);
    let is_there = table_count(connection, "WHERE name = 'schema_version'").map_err(sqlite_error)? > 0;
    if !is_there {
        return Ok(0);
    }
    connection.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => {
            StoreError::damaged(path.display().to_string(), "its schema version is missing")
        }
        error => sqlite_error(error),
    })
}

fn refuse_foreign(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let is_foreign = || {
        let is_empty = table_count(connection, "")? == 0;
        Ok(!is_empty && table_count(connection, "WHERE name = 'schema_version'")? == 0)
    };
    match while_busy(is_foreign) {
        Ok(false) => Ok(()),
        Ok(true) => Err(StoreError::Foreign {
            path: path.to_owned(),
            message: "the file is another program's database".to_owned(),
        }),
        Err(error) => Err(convert_error(path, &error)),
    }
}

fn table_count(connection: &Connection, only: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("SELECT count(*) FROM sqlite_master {only}"), [], |row| row.get(0))
}
