//! Opens a database that this process may only read.

use std::{fs, io, path::Path, sync::Mutex};

use rusqlite::{Connection, OpenFlags};

use super::{super::StoreError, OpenConnection, Sqlite, convert_error, schema};

/// Returns whether this process may read the file at `path` but not write it.
pub(super) fn is_read_only(path: &Path) -> bool {
    let denied = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
    fs::OpenOptions::new().write(true).open(path).is_err_and(|error| denied.contains(&error.kind()))
}

/// Opens the database at `path` for reading; writes fail.
///
/// SQLite must create files next to a database in WAL mode, unless the database is opened as
/// immutable. A database without a write-ahead log is immutable, since any writer would have
/// created one.
pub(super) fn open(path: &Path) -> Result<Sqlite, StoreError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let has_log = fs::metadata(log).is_ok_and(|log| log.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match (has_log, path.to_str()) {
        (false, Some(text)) => {
            let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)
        }
        _ => Connection::open_with_flags(path, flags),
    };
    let connection = connection.map_err(|error| convert_error(path, &error))?;
    schema::check(path, &connection)?;
    let connection = Mutex::new(OpenConnection { connection, syncs: true });
    Ok(Sqlite { path: path.to_owned(), connection })
}
