//! The stores in one SQLite database in WAL mode, which several processes can have open.
//!
//! A write that must survive a power loss commits with `synchronous=FULL`, which syncs the write-ahead log, including
//! all earlier writes. The index of runs commits with `NORMAL`, which syncs only when SQLite moves its log into the
//! database. Every write first takes the lock (`BEGIN IMMEDIATE`), so it waits for other processes only for a limited
//! time and is never based on outdated data.

mod blobs;
mod documents;
mod inbox;
mod read_only;
mod runs;
mod schema;
mod upkeep;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Params, Row, Transaction, TransactionBehavior};

use super::{StoreError, Verified};
use crate::disk::{create_private_folders, private_file};
use crate::store::blocking::Adapter;

/// The maximum time to wait for other processes, in milliseconds.
const BUSY_MS: u64 = 5_000;

/// The stores in a database.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    connection: Mutex<OpenConnection>,
}

#[derive(Debug)]
struct OpenConnection {
    connection: Connection,
    /// Whether commits are synced.
    syncs: bool,
}

/// Whether a write survives a power loss once it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    Yes,
    No,
}

impl Sqlite {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let io_error = |error: io::Error| StoreError::Io { path: path.to_owned(), message: error.to_string() };
        let is_new = !path.exists();
        if !is_new && read_only::is_read_only(path) {
            return read_only::open(path);
        }
        if let Some(folder) = path.parent() {
            create_private_folders(folder).map_err(io_error)?;
        }
        if is_new {
            // SQLite would create a file that others can read. Its other files get the mode of the
            // database file.
            drop(private_file().write(true).create(true).truncate(false).open(path).map_err(io_error)?);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| convert_error(path, &error))?;
        let connection = schema::prepare(path, connection)?;
        if is_new {
            path.ancestors().skip(1).take(2).try_for_each(sync_dir).map_err(io_error)?;
        }
        let connection = Mutex::new(OpenConnection { connection, syncs: true });
        Ok(Self { path: path.to_owned(), connection })
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    fn error(&self, error: &rusqlite::Error) -> StoreError {
        convert_error(&self.path, error)
    }

    fn connection(&self) -> MutexGuard<'_, OpenConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the result of `read` for each row, in order.
    fn rows<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        rows(&connection.connection, sql, parameters, read).map_err(|error| self.error(&error))
    }

    /// Returns the result of `read` for the only row, if there is one.
    fn row<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, parameters, read)?.pop())
    }

    /// Runs `changes` in a transaction.
    fn write<T>(
        &self,
        synced: Sync,
        changes: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection();
        connection.sync_with(synced).map_err(|error| self.error(&error))?;
        let transaction = connection
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| self.error(&error))?;
        let answer = changes(&transaction)?;
        transaction.commit().map_err(|error| self.error(&error))?;
        Ok(answer)
    }

    /// Executes a statement and syncs its changes; returns the number of changed rows.
    fn execute(&self, sql: &str, parameters: impl Params) -> Result<usize, StoreError> {
        self.write(Sync::Yes, |transaction| execute(transaction, sql, parameters).map_err(|error| self.error(&error)))
    }
}

impl OpenConnection {
    fn sync_with(&mut self, synced: Sync) -> rusqlite::Result<()> {
        let syncs = synced == Sync::Yes;
        if self.syncs != syncs {
            self.connection.pragma_update(None, "synchronous", if syncs { "FULL" } else { "NORMAL" })?;
            self.syncs = syncs;
        }
        Ok(())
    }
}

impl Adapter for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn admits_several_processes(&self) -> bool {
        true
    }

    fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        self.copy_to(to)
    }

    fn compact(&self) -> Result<(), StoreError> {
        self.vacuum()
    }

    fn verify(&self) -> Result<Verified, StoreError> {
        self.verify_all()
    }
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}

fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(parameters)
}

/// Converts a SQLite error.
fn convert_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    let message = error.to_string();
    if matches!(
        error,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
    ) {
        return StoreError::damaged(path.display().to_string(), message);
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => StoreError::Busy { path: path.to_owned(), waited_ms: BUSY_MS },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::damaged(path.display().to_string(), message),
        Some(ErrorCode::NotADatabase) => StoreError::Foreign {
            path: path.to_owned(),
            message: "the file is not a SQLite database, or its header is damaged".to_owned(),
        },
        // SQLite does not report the system's error.
        Some(ErrorCode::SystemIoFailure) => StoreError::Io {
            path: path.to_owned(),
            message: format!("{message}; the disk may be full or damaged, or the file size limit may be too low"),
        },
        Some(ErrorCode::CannotOpen) => StoreError::Io {
            path: path.to_owned(),
            message: format!("{message}; the file may not be readable, or too many files may be open"),
        },
        _ => StoreError::Io { path: path.to_owned(), message },
    }
}

/// Retries `attempt` while other processes lock the database; used for calls in which SQLite itself does not wait.
fn while_busy<T>(mut attempt: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && began.elapsed() < Duration::from_millis(BUSY_MS) =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            answer => return answer,
        }
    }
}

/// Syncs a folder so that its entries survive a power loss.
fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::File::open(path)?.sync_all()
}
