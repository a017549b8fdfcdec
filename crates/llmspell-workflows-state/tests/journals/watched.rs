//! A disk that reports file operations before performing them.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmspell_workflows_state::disk::{Disk, DiskFile, DiskLock, FileVersion};

/// An operation on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileOperation {
    Write,
    Sync,
    /// A read of this many bytes.
    Read(usize),
}

type Watch = Arc<dyn Fn(&Path, FileOperation) + Send + Sync>;

/// Calls a function with the file's path before each write, sync and read on the disk `below`; the operation waits for
/// the function.
pub(crate) struct WatchedDisk {
    below: Arc<dyn Disk>,
    watch: Watch,
}

struct WatchedFile {
    path: PathBuf,
    below: Box<dyn DiskFile>,
    watch: Watch,
}

impl WatchedDisk {
    pub(crate) fn new(below: impl Disk, watch: impl Fn(&Path, FileOperation) + Send + Sync + 'static) -> Self {
        Self { below: Arc::new(below), watch: Arc::new(watch) }
    }

    fn watched(&self, path: &Path, below: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(WatchedFile { path: path.to_owned(), below, watch: self.watch.clone() })
    }
}

impl fmt::Debug for WatchedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watched {:?}", self.below)
    }
}

impl Disk for WatchedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.below.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.below.list(path)
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn DiskFile>> {
        self.below.create(path, length).map(|file| self.watched(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.below.open(path).map(|file| self.watched(path, file))
    }

    fn version(&self, path: &Path) -> io::Result<FileVersion> {
        self.below.version(path)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.below.put(path, bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.below.remove(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.below.lock(path)
    }
}

impl DiskFile for WatchedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (self.watch)(&self.path, FileOperation::Write);
        self.below.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        (self.watch)(&self.path, FileOperation::Sync);
        self.below.sync()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        (self.watch)(&self.path, FileOperation::Read(length));
        self.below.read_at(offset, length)
    }

    fn length(&self) -> io::Result<u64> {
        self.below.length()
    }
}
