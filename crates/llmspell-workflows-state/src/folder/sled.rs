//! The sled 0.34 engine. Its `flush` only hands its log to the operating system, which does not protect against a power
//! loss, so this module syncs sled's files.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use ::sled::{Batch, Config, Db, Mode};

use super::{Engine, lock, sync_dir};
use crate::store::{
    StoreError,
    kv::{Change, Range, Visit},
};

/// The size of sled's cache, in bytes; sled's default is 1 GiB.
const CACHE: u64 = 16 << 20;

/// The maximum time to wait for the threads of a dropped sled database to release its lock.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// A sled database and the files that must be synced.
#[derive(Debug)]
pub(crate) struct Sled {
    folder: PathBuf,
    db: Db,
    /// The database's log. All other files, except those of large pages, are written only when the database is opened.
    log: File,
    /// The large-page files that have been synced; each file is written only once.
    pages: Mutex<HashSet<OsString>>,
}

/// Opens the database, waiting for sled's lock.
///
/// A previous owner in this process may have dropped the database while sled's threads still hold
/// the lock. These threads will release it, and no other process can take it, since the folder has
/// its own lock.
fn open_waiting(config: &Config) -> Result<Db, ::sled::Error> {
    let give_up = Instant::now() + LOCK_WAIT;
    loop {
        match config.open() {
            Err(::sled::Error::Io(error)) if is_locked(&error) && Instant::now() < give_up => thread::yield_now(),
            result => return result,
        }
    }
}

fn is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

impl Sled {
    fn error(&self, error: &::sled::Error) -> StoreError {
        sled_error(&self.folder, error)
    }

    /// Syncs new files of large pages.
    fn sync_pages(&self) -> io::Result<()> {
        let folder = self.folder.join("blobs");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let names: HashSet<_> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
        let mut pages = lock(&self.pages);
        let new: Vec<_> = names.difference(&pages).collect();
        for name in &new {
            match File::open(folder.join(name)).and_then(|file| file.sync_all()) {
                // sled has removed the file in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
        if !new.is_empty() {
            sync_dir(&folder)?;
        }
        *pages = names;
        Ok(())
    }
}

impl Engine for Sled {
    const NAME: &'static str = "sled";

    const MAGIC: &'static [u8; 6] = b"SPSLED";

    /// sled rewrites whole pages, including every value in them, so longer values are stored separately.
    const INLINE_MAX: usize = 16 << 10;

    fn open(folder: &Path) -> Result<Self, StoreError> {
        // sled's periodic sync is off, since this module performs all necessary syncs.
        let config = Config::new().path(folder).cache_capacity(CACHE).mode(Mode::HighThroughput).flush_every_ms(None);
        let db = open_waiting(&config).map_err(|error| sled_error(folder, &error))?;
        let sync = |db| {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_file() {
                    File::open(path)?.sync_all()?;
                }
            }
            let log = OpenOptions::new().read(true).write(true).open(folder.join("db"))?;
            let sled = Self { folder: folder.to_owned(), db, log, pages: Mutex::default() };
            sled.sync_pages()?;
            sync_dir(folder)?;
            Ok(sled)
        };
        sync(db).map_err(|error: io::Error| StoreError::io(folder, &error))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.db.get(key).map_err(|error| self.error(&error))?;
        Ok(bytes.map(|bytes| bytes.to_vec()))
    }

    fn scan(&self, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut entries = (range.from < range.to).then(|| self.db.range(&range.from[..]..&range.to[..]));
        let mut next_entry = || {
            let entries = entries.as_mut()?;
            if range.backward { entries.next_back() } else { entries.next() }
        };
        while let Some(found) = next_entry() {
            let (key, bytes) = found.map_err(|error| self.error(&error))?;
            if let ControlFlow::Break(()) = visit(&key, &bytes)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(|error| self.error(&error))
    }

    fn hand_over(&self) -> Result<(), StoreError> {
        self.db.flush().map(drop).map_err(|error| self.error(&error))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.hand_over()?;
        let synced = self.sync_pages().and_then(|()| self.log.sync_data());
        synced.map_err(|error| StoreError::io(&self.folder, &error))
    }
}

fn sled_error(path: &Path, error: &::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Corruption { .. } => StoreError::damaged(path.display().to_string(), "sled cannot read its log"),
        other => StoreError::Io { path: path.to_owned(), message: other.to_string() },
    }
}
