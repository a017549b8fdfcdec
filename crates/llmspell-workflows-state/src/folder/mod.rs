//! A folder with a key-value engine, open in only one process at a time. The folder adds features
//! that engines lack: syncs, detection of lost changes, storage of large values, and the name of
//! the folder's holder.
//!
//! | name | content |
//! |---|---|
//! | `lock`, `holder` | the process that has the folder open: see [`holder`] |
//! | `mark` | the number of synced changes: see [`mark`] |
//! | `values/` | values too large for the engine, each in its own file: see [`values`] |
//! | `sled/`, `fjall/` | the engine's own files |
//!
//! Changes are counted. The count is stored in the engine with each write, and in `mark` with
//! each sync. If the engine contains fewer changes than were synced, it has lost some, and
//! the folder is refused.

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
    disk::{Disk, SystemDisk, create_private_folders},
    store::{
        StoreError,
        kv::{Change, KeyValue, Range, Visit},
    },
};

/// The key of the change count; all other keys begin with a letter.
const COUNT: &[u8] = b"\0count";

/// An on-disk ordered key-value engine.
pub(crate) trait Engine: Send + Sync + fmt::Debug + Sized + 'static {
    /// The name of the engine and of its folder.
    const NAME: &'static str;

    /// The first bytes of the engine's mark.
    const MAGIC: &'static [u8; 6];

    /// Values longer than this many bytes are stored in files.
    const INLINE_MAX: usize;

    /// Opens or creates the engine in `folder`; everything written by this call survives a power
    /// loss.
    fn open(folder: &Path) -> Result<Self, StoreError>;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Scans like [`KeyValue::scan`], with the values as the engine stores them.
    fn scan(&self, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Applies all of the changes or none, after all earlier changes. On return, they may exist
    /// only in memory.
    fn write(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// Blocks until all earlier writes have reached the operating system, so that they survive this process.
    fn hand_over(&self) -> Result<(), StoreError>;

    /// Blocks until all earlier writes survive a power loss.
    fn sync(&self) -> Result<(), StoreError>;
}

/// A key-value store that can hand its changes to the operating system without a sync.
pub(crate) trait Durable: KeyValue {
    /// Blocks until all earlier writes have reached the operating system, so that they survive this process.
    fn hand_over(&self) -> Result<(), StoreError>;
}

/// A folder that contains the engine `E`.
#[derive(Debug)]
pub(crate) struct Folder<E> {
    path: PathBuf,
    engine: E,
    values: Values,
    /// The number of changes in the engine.
    written: Mutex<u64>,
    /// The number of changes that survive a power loss.
    synced: Mutex<Mark>,
    /// Files that are no longer needed once this many changes are synced.
    unneeded: Mutex<Vec<(u64, values::Name)>>,
    /// Why a write or a sync failed. After a failure, it is unknown how much of the data is
    /// stored.
    broken: OnceLock<String>,
    /// Dropped last.
    _holder: Holder,
}

impl<E: Engine> Folder<E> {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let io_error = |error: io::Error| StoreError::io(path, &error);
        SystemDisk.create_dir(path).map_err(io_error)?;
        let holder = Holder::acquire(path)?;
        let below = path.join(E::NAME);
        let mark = Mark::open(path, E::MAGIC, below.exists())?;
        let values = Values::open(&path.join("values")).map_err(io_error)?;
        create_private_folders(&below).map_err(io_error)?;
        let engine = E::open(&below)?;
        sync_dir(path).map_err(io_error)?;
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
            let message =
                format!("{missing} of {acknowledged} acknowledged changes are missing, starting with change {first}");
            return Err(StoreError::damaged(folder.location(), message));
        }
        *lock(&folder.written) = written;
        Ok(folder)
    }

    /// Returns the number of changes in the engine.
    fn count(&self) -> Result<u64, StoreError> {
        let bytes = self.engine.get(COUNT)?;
        bytes.map_or(Ok(0), |bytes| Ok(frame::read(&self.location(), COUNT, &bytes)?.number))
    }

    /// Returns a key's value from the bytes stored in the engine.
    fn value(&self, key: &[u8], bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        let frame = frame::read(&self.location(), key, bytes)?;
        match frame.body {
            Body::Inline(value) => Ok(value.to_vec()),
            Body::File(name) => self.values.read(&name),
        }
    }

    /// Returns the name of the file that contains a key's value, if the value is stored in a
    /// file.
    fn file_of(&self, key: &[u8]) -> Result<Option<values::Name>, StoreError> {
        if E::INLINE_MAX == usize::MAX {
            return Ok(None);
        }
        let Some(bytes) = self.engine.get(key)? else { return Ok(None) };
        match frame::read(&self.location(), key, &bytes)?.body {
            Body::Inline(_) => Ok(None),
            Body::File(name) => Ok(Some(name)),
        }
    }

    fn check_whole(&self) -> Result<(), StoreError> {
        let message = self.broken.get().cloned();
        message.map_or(Ok(()), |message| Err(StoreError::Broken { path: self.path.clone(), message }))
    }

    /// Marks the folder as broken after a failed write or sync.
    fn break_down(&self, error: StoreError) -> StoreError {
        self.broken.get_or_init(|| error.to_string());
        error
    }

    /// Returns the bodies to store for the values; large values are written to disk before anything refers to them.
    fn bodies(&self, changes: Vec<Change>) -> Result<Vec<(Vec<u8>, NewBody)>, StoreError> {
        let mut bodies = Vec::with_capacity(changes.len());
        let mut has_files = false;
        for (key, value) in changes {
            let body = match value {
                Some(value) if value.len() > E::INLINE_MAX => {
                    has_files = true;
                    NewBody::File(self.values.write(&value)?)
                }
                Some(value) => NewBody::Inline(value),
                None => NewBody::Removed,
            };
            bodies.push((key, body));
        }
        if has_files {
            self.values.sync_names()?;
        }
        Ok(bodies)
    }

    /// Removes the files that are no longer needed once change `synced` has been synced.
    fn remove_unneeded(&self, synced: u64) -> Result<(), StoreError> {
        let removable: Vec<_> = lock(&self.unneeded).extract_if(.., |(change, _)| *change <= synced).collect();
        removable.iter().try_for_each(|(_, name)| self.values.remove(name))
    }
}

impl<E: Engine> Durable for Folder<E> {
    fn hand_over(&self) -> Result<(), StoreError> {
        self.check_whole()?;
        self.engine.hand_over().map_err(|error| self.break_down(error))
    }
}

enum NewBody {
    Inline(Vec<u8>),
    File(values::Name),
    Removed,
}

impl<E: Engine> KeyValue for Folder<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn location(&self) -> String {
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
                NewBody::Inline(value) => Some(frame::write(&key, number, &Body::Inline(&value))),
                NewBody::File(name) => Some(frame::write(&key, number, &Body::File(name))),
                NewBody::Removed => None,
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

/// Syncs a folder so that its entries survive a power loss.
fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}
