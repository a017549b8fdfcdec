//! A folder that one process has, with a key-value engine in it, and what engines lack: syncs, a check of what they
//! lost, room for large values, the name of who has it.
//!
//! | name | what |
//! |---|---|
//! | `lock`, `holder` | who has it: see [`holder`] |
//! | `mark` | how many changes were synced: see [`mark`] |
//! | `values/` | values that are too large for the engine, a file each: see [`values`] |
//! | `sled/`, `fjall/` | the engine's own |
//!
//! Changes are counted, and the count is kept both in the engine, with each write, and in `mark`, with each sync; an
//! engine that has fewer than were synced has lost some, and is not read.

#[cfg(feature = "fjall")]
mod fjall;
mod frame;
mod holder;
mod mark;
#[cfg(feature = "sled")]
mod sled;
mod values;

use std::{
    fmt,
    fs::File,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use llmspell_workflows_basic::sync::lock;

#[cfg(feature = "fjall")]
pub(crate) use self::fjall::Fjall;
#[cfg(feature = "sled")]
pub(crate) use self::sled::Sled;
use self::{frame::Body, holder::Holder, mark::Mark, values::Values};
use crate::{
    disk::{Disk, SystemDisk},
    store::{
        StoreError,
        kv::{Change, KeyValue, Range, Visit},
    },
};

/// Where an engine keeps how many changes it has; other keys begin with a letter.
const COUNT: &[u8] = b"\0count";

/// Ordered keys with values on the disk, as others make them.
pub(crate) trait Engine: Send + Sync + fmt::Debug + Sized + 'static {
    /// Its name, and that of its own folder.
    const NAME: &'static str;

    /// What a mark beside it begins with.
    const MAGIC: &'static [u8; 6];

    /// Values of more bytes than this are kept in files.
    const INLINE_MAX: usize;

    /// Opens what is in `folder`, or makes it; all that this writes outlives a power loss.
    fn open(folder: &Path) -> Result<Self, StoreError>;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// As [`KeyValue::scan`], with the values as the engine has them.
    fn scan(&self, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Makes all of the changes or none, after all that came before; they may be in memory alone.
    fn write(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// Returns once all that was written outlives this process.
    fn hand_over(&self) -> Result<(), StoreError>;

    /// Returns once all that was written before outlives a power loss.
    fn sync(&self) -> Result<(), StoreError>;
}

/// Keys and values that can be handed to the system without a sync.
pub(crate) trait Lasting: KeyValue {
    /// Returns once all that was written outlives this process.
    fn hand_over(&self) -> Result<(), StoreError>;
}

/// A folder with `E` in it.
#[derive(Debug)]
pub(crate) struct Folder<E> {
    path: PathBuf,
    engine: E,
    values: Values,
    /// How many changes the engine has.
    written: Mutex<u64>,
    /// How many of them outlive a power loss.
    synced: Mutex<Mark>,
    /// Files that are of no use once as many changes are synced.
    unneeded: Mutex<Vec<(u64, values::Name)>>,
    /// Why a write or a sync failed; nobody knows what of it is kept.
    broken: OnceLock<String>,
    /// Let go last.
    _holder: Holder,
}

impl<E: Engine> Folder<E> {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let told = |error: io::Error| StoreError::io(path, &error);
        SystemDisk.create_dir(path).map_err(told)?;
        let holder = Holder::take(path)?;
        let below = path.join(E::NAME);
        let mark = Mark::open(path, E::MAGIC, below.exists())?;
        let values = Values::open(&path.join("values")).map_err(told)?;
        let engine = E::open(&below)?;
        sync_dir(path).map_err(told)?;
        let acknowledged = mark.count();
        let folder = Self {
            path: path.to_owned(),
            engine,
            values,
            written: Mutex::new(0),
            synced: Mutex::new(mark),
            unneeded: Mutex::default(),
            broken: OnceLock::new(),
            _holder: holder,
        };
        let written = folder.count()?;
        if written < acknowledged {
            let (missing, first) = (acknowledged - written, written + 1);
            let message = format!(
                "{missing} of the {acknowledged} changes that were acknowledged are missing, from change {first} on"
            );
            return Err(StoreError::damaged(folder.place(), message));
        }
        *lock(&folder.written) = written;
        Ok(folder)
    }

    /// How many changes the engine says it has.
    fn count(&self) -> Result<u64, StoreError> {
        let bytes = self.engine.get(COUNT)?;
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
        if E::INLINE_MAX == usize::MAX {
            return Ok(None);
        }
        let Some(bytes) = self.engine.get(key)? else { return Ok(None) };
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

    /// The bodies of the values; what is large is on the disk before anything refers to it.
    fn bodies(&self, changes: Vec<Change>) -> Result<Vec<(Vec<u8>, Kept)>, StoreError> {
        let mut kept = Vec::with_capacity(changes.len());
        let mut has_files = false;
        for (key, value) in changes {
            let body = match value {
                Some(value) if value.len() > E::INLINE_MAX => {
                    has_files = true;
                    Kept::File(self.values.write(&value)?)
                }
                Some(value) => Kept::Inline(value),
                None => Kept::Removed,
            };
            kept.push((key, body));
        }
        if has_files {
            self.values.sync_names()?;
        }
        Ok(kept)
    }

    /// Removes the files that no change needs any more, up to this one.
    fn remove_unneeded(&self, synced: u64) -> Result<(), StoreError> {
        let gone: Vec<_> = lock(&self.unneeded).extract_if(.., |(change, _)| *change <= synced).collect();
        gone.iter().try_for_each(|(_, name)| self.values.remove(name))
    }
}

impl<E: Engine> Lasting for Folder<E> {
    fn hand_over(&self) -> Result<(), StoreError> {
        self.check_whole()?;
        self.engine.hand_over().map_err(|error| self.break_down(error))
    }
}

enum Kept {
    Inline(Vec<u8>),
    File(values::Name),
    Removed,
}

impl<E: Engine> KeyValue for Folder<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine.get(key)?.map(|bytes| self.value(key, &bytes)).transpose()
    }

    fn scan(&self, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.engine.scan(range, &mut |key, bytes| match key {
            COUNT => Ok(ControlFlow::Continue(())),
            _ => visit(key, &self.value(key, bytes)?),
        })
    }

    fn write(&self, changes: Vec<Change>) -> Result<u64, StoreError> {
        self.check_whole()?;
        let bodies = self.bodies(changes)?;
        let mut written = lock(&self.written);
        let (mut number, mut all, mut unneeded) = (*written, Vec::with_capacity(bodies.len() + 1), Vec::new());
        for (key, body) in bodies {
            number += 1;
            unneeded.extend(self.file_of(&key)?);
            let frame = match body {
                Kept::Inline(value) => Some(frame::write(&key, number, &Body::Inline(&value))),
                Kept::File(name) => Some(frame::write(&key, number, &Body::File(name))),
                Kept::Removed => None,
            };
            all.push((key, frame));
        }
        if number == *written {
            return Ok(number);
        }
        all.push((COUNT.to_vec(), Some(frame::write(COUNT, number, &Body::Inline(&[])))));
        self.engine.write(all).map_err(|error| self.break_down(error))?;
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
        self.engine.sync().and_then(|()| synced.set(written)).map_err(|error| self.break_down(error))?;
        drop(synced);
        self.remove_unneeded(written)
    }

    fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        crate::store::kv::copy(self, &Self::open(to)?)
    }
}

/// The names in a folder are there also after a power loss.
fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}
