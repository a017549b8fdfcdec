//! sled 0.34 in a folder of its own, and what it lacks: syncs, a check of what it lost, room for large values.
//!
//! | name | what |
//! |---|---|
//! | `lock`, `holder` | who has it: see [`holder`] |
//! | `mark` | how many changes were synced: see [`mark`] |
//! | `sled/` | sled's own |
//! | `values/` | large values, a file each: see [`values`] |
//!
//! sled's `flush` hands its log to the system and stops there: nothing of it outlives a power loss. So its files are
//! synced here before a write is acknowledged, once for all who wait. Changes are counted, and the count is kept both in
//! sled, with each write, and in `mark`, with each sync; a sled that has fewer than were synced has lost some, and is not
//! read.

mod frame;
mod holder;
mod mark;
mod synced;
mod values;

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use ::sled::{Batch, Config, Db, Mode};

use self::{frame::Body, holder::Holder, mark::Mark, synced::Synced, values::Values};
use super::{
    StoreError,
    kv::{Change, KeyValue, Range, Visit},
};

/// Values of more bytes than this are kept in files, since sled writes whole pages of values again and again.
const INLINE_MAX: usize = 16 << 10;

/// How much sled keeps in memory, in bytes; its own default is 1 GiB.
const CACHE: u64 = 16 << 20;

/// Where sled keeps how many changes it has; other keys begin with a letter.
const COUNT: &[u8] = b"\0count";

/// A folder with sled in it.
#[derive(Debug)]
pub(crate) struct Sled {
    path: PathBuf,
    db: Db,
    values: Values,
    /// How many changes sled has.
    written: Mutex<u64>,
    /// How many of them outlive a power loss.
    synced: Mutex<Synced>,
    /// Files that are of no use once as many changes are synced.
    unneeded: Mutex<Vec<(u64, values::Name)>>,
    /// Why a write or a sync failed; nobody knows what of it is kept.
    broken: OnceLock<String>,
    /// Let go last.
    _holder: Holder,
}

impl Sled {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let told = |error: io::Error| StoreError::io(path, &error);
        fs::create_dir_all(path).map_err(told)?;
        let holder = Holder::take(path)?;
        let below = path.join("sled");
        let mark = Mark::open(path, below.exists())?;
        let values = Values::open(&path.join("values")).map_err(told)?;
        let config = Config::new().path(&below).cache_capacity(CACHE).mode(Mode::HighThroughput);
        let db = config.open().map_err(|error| sled_error(path, &error))?;
        let synced = Synced::begin(&below, mark).map_err(told)?;
        let acknowledged = synced.count();
        let store = Self {
            path: path.to_owned(),
            db,
            values,
            written: Mutex::new(0),
            synced: Mutex::new(synced),
            unneeded: Mutex::default(),
            broken: OnceLock::new(),
            _holder: holder,
        };
        let written = store.count()?;
        if written < acknowledged {
            let (missing, first) = (acknowledged - written, written + 1);
            let message = format!(
                "{missing} of the {acknowledged} changes that were acknowledged are missing, from change {first} on"
            );
            return Err(StoreError::damaged(store.place(), message));
        }
        *lock(&store.written) = written;
        Ok(store)
    }

    fn error(&self, error: &::sled::Error) -> StoreError {
        sled_error(&self.path, error)
    }

    /// How many changes sled says it has.
    fn count(&self) -> Result<u64, StoreError> {
        let bytes = self.db.get(COUNT).map_err(|error| self.error(&error))?;
        bytes.map_or(Ok(0), |bytes| Ok(frame::read(&self.place(), COUNT, &bytes)?.number))
    }

    /// The value that is kept under a key as these bytes.
    fn value(&self, key: &[u8], bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        let frame = frame::read(&self.place(), key, bytes)?;
        match frame.body {
            Body::Inline(value) => Ok(value.to_vec()),
            Body::File(name) => self.values.read(&name),
        }
    }

    /// The file in which the value of a key is, where it is in one.
    fn file_of(&self, key: &[u8]) -> Result<Option<values::Name>, StoreError> {
        let bytes = self.db.get(key).map_err(|error| self.error(&error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        match frame::read(&self.place(), key, &bytes)?.body {
            Body::Inline(_) => Ok(None),
            Body::File(name) => Ok(Some(name)),
        }
    }

    fn check_whole(&self) -> Result<(), StoreError> {
        let message = self.broken.get().cloned();
        message.map_or(Ok(()), |message| Err(StoreError::Broken { path: self.path.clone(), message }))
    }

    /// Notes that a write or a sync failed.
    fn break_down(&self, error: StoreError) -> StoreError {
        self.broken.get_or_init(|| error.to_string());
        error
    }

    /// Removes the files that no change needs any more, up to this one.
    fn remove_unneeded(&self, synced: u64) -> Result<(), StoreError> {
        let gone: Vec<_> = lock(&self.unneeded).extract_if(.., |(change, _)| *change <= synced).collect();
        gone.iter().try_for_each(|(_, name)| self.values.remove(name))
    }
}

impl KeyValue for Sled {
    fn name(&self) -> &'static str {
        "sled"
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.db.get(key).map_err(|error| self.error(&error))?;
        bytes.map(|bytes| self.value(key, &bytes)).transpose()
    }

    fn scan(&self, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut there = (range.from < range.to).then(|| self.db.range(&range.from[..]..&range.to[..]));
        let mut following = || {
            let there = there.as_mut()?;
            if range.backward { there.next_back() } else { there.next() }
        };
        while let Some(found) = following() {
            let (key, bytes) = found.map_err(|error| self.error(&error))?;
            if let ControlFlow::Break(()) = visit(&key, &self.value(&key, &bytes)?)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, changes: Vec<Change>) -> Result<u64, StoreError> {
        self.check_whole()?;
        // What is large is on the disk before anything refers to it.
        let is_large = |value: &&Vec<u8>| value.len() > INLINE_MAX;
        let mut kept = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            let name = value.as_ref().filter(is_large).map(|value| self.values.write(value)).transpose()?;
            kept.push((key, value, name));
        }
        if kept.iter().any(|(_, _, name)| name.is_some()) {
            self.values.sync_names()?;
        }
        let mut written = lock(&self.written);
        let (mut number, mut batch, mut unneeded) = (*written, Batch::default(), Vec::new());
        for (key, value, name) in kept {
            number += 1;
            unneeded.extend(self.file_of(&key)?);
            match (value, name) {
                (_, Some(name)) => batch.insert(&key[..], frame::write(&key, number, &Body::File(name))),
                (Some(value), None) => batch.insert(&key[..], frame::write(&key, number, &Body::Inline(&value))),
                (None, None) => batch.remove(key),
            }
        }
        if number == *written {
            return Ok(number);
        }
        batch.insert(COUNT, frame::write(COUNT, number, &Body::Inline(&[])));
        self.db.apply_batch(batch).map_err(|error| self.break_down(self.error(&error)))?;
        *written = number;
        lock(&self.unneeded).extend(unneeded.into_iter().map(|name| (number, name)));
        Ok(number)
    }

    fn sync(&self, write: u64) -> Result<(), StoreError> {
        let mut synced = lock(&self.synced);
        self.check_whole()?;
        if synced.count() >= write {
            return Ok(());
        }
        let written = *lock(&self.written);
        synced.sync(&self.db, written).map_err(|error| self.break_down(error))?;
        drop(synced);
        self.remove_unneeded(written)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sled_error(path: &Path, error: &::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Corruption { .. } => StoreError::damaged(path.display().to_string(), "sled cannot read its log"),
        other => StoreError::Io { path: path.to_owned(), message: other.to_string() },
    }
}

/// The names in a folder are there also after a power loss.
fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}
