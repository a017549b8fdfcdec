//! The fjall 3 engine. Each batch is handed to the operating system as it is written. A sync is a
//! separate call and holds the writers' lock.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use ::fjall::{Database, Error, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::Engine;
use crate::store::{
    StoreError,
    kv::{Change, Range, Visit},
};

/// The size of fjall's table cache, in bytes.
const CACHE: u64 = 16 << 20;

/// The number of bytes that fjall buffers before it writes a table. Opening the database
/// reads back up to this many bytes.
const MEMTABLE: u64 = 16 << 20;

/// The only keyspace.
const KEYSPACE: &str = "all";

/// A fjall database with one keyspace.
pub(crate) struct Fjall {
    folder: PathBuf,
    database: Database,
    keys: Keyspace,
}

impl std::fmt::Debug for Fjall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fjall in {}", self.folder.display())
    }
}

impl Fjall {
    fn error(&self, error: &Error) -> StoreError {
        fjall_error(&self.folder, error)
    }
}

impl Engine for Fjall {
    const NAME: &'static str = "fjall";

    const MAGIC: &'static [u8; 6] = b"SPFJAL";

    /// fjall accepts values large enough for any record.
    const INLINE_MAX: usize = usize::MAX;

    fn open(folder: &Path) -> Result<Self, StoreError> {
        let to_store_error = |error: Error| fjall_error(folder, &error);
        // Some kinds of damage to the journal make fjall panic instead of returning an error.
        let open = || Database::builder(folder).cache_size(CACHE).worker_threads(1).open();
        let opened = catch_unwind(AssertUnwindSafe(open)).map_err(|_| {
            StoreError::damaged(folder.display().to_string(), "fjall panicked while it read its journal")
        })?;
        let database = opened.map_err(to_store_error)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
        let keys = database.keyspace(KEYSPACE, options).map_err(to_store_error)?;
        database.persist(PersistMode::SyncAll).map_err(to_store_error)?;
        Ok(Self { folder: folder.to_owned(), database, keys })
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.keys.get(key).map_err(|error| self.error(&error))?;
        Ok(bytes.map(|bytes| bytes.to_vec()))
    }

    fn scan(&self, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut entries = (range.from < range.to).then(|| self.keys.range(&range.from[..]..&range.to[..]));
        let mut next_entry = || {
            let entries = entries.as_mut()?;
            if range.backward { entries.next_back() } else { entries.next() }
        };
        while let Some(found) = next_entry() {
            let (key, bytes) = found.into_inner().map_err(|error| self.error(&error))?;
            if let ControlFlow::Break(()) = visit(&key, &bytes)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(&self.keys, key, value),
                None => batch.remove(&self.keys, key),
            }
        }
        batch.commit().map_err(|error| self.error(&error))
    }

    fn hand_over(&self) -> Result<(), StoreError> {
        // Batches are written with a durability mode that hands them over immediately.
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.database.persist(PersistMode::SyncAll).map_err(|error| self.error(&error))
    }
}

fn fjall_error(path: &Path, error: &Error) -> StoreError {
    let damaged = |message: String| StoreError::damaged(path.display().to_string(), message);
    match error {
        Error::Io(error) => StoreError::io(path, error),
        Error::Storage(::fjall::LsmError::Io(error)) => StoreError::io(path, error),
        Error::Storage(error) => damaged(format!("fjall cannot read a table: {error}")),
        // fjall reports a torn last batch as an error instead of discarding it.
        Error::JournalRecovery(error) => damaged(format!(
            "fjall cannot read its journal: {error}; a power loss during a write can also cause this, without losing \
             acknowledged records"
        )),
        Error::InvalidTrailer | Error::InvalidTag(_) | Error::Unrecoverable => {
            damaged(format!("fjall cannot read what it wrote: {error}"))
        }
        other => StoreError::Io { path: path.to_owned(), message: other.to_string() },
    }
}
