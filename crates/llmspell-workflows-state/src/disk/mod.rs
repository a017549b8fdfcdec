//! The log's file operations, as a trait so that tests can pass a disk that loses unsynced data.

mod private;
mod process;
mod system;

use std::{fmt, io, path::Path};

pub use private::{create_private_folders, private_file, write_private_file};
pub use process::{LockAttempt, acquire_or_identify};
#[cfg(any(feature = "fjall", feature = "sled"))]
pub(crate) use system::FileLock;
pub use system::SystemDisk;

/// Runs `work`, which may block on a disk, on a blocking thread of the runtime.
///
/// # Panics
/// Panics if `work` panics, or if called outside a tokio runtime.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down, so the waiting task is never polled again.
        Err(_) => std::future::pending().await,
    }
}

/// A file system.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Creates a folder if it is missing; the folder survives a power loss.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Returns the sorted names of the files in a folder. The list is empty if the folder does not
    /// exist.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Creates a file of `length` zeros; the file and its length survive a power loss.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one or the file already exists.
    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file for reading.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }

    /// Returns the version of a file, which changes when the file is written.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn version(&self, path: &Path) -> io::Result<FileVersion> {
        Ok(FileVersion { length: self.open_to_read(path)?.length()?, modified: 0 })
    }

    /// Writes `bytes` at the beginning of a file without a sync; creates the file if it is missing.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Locks the file at `path` until the returned guard is dropped or the process dies. Returns
    /// `None` if another process holds the lock.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;
}

/// The version of a file, which changes when the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileVersion {
    /// The length of the file in bytes.
    pub length: u64,
    /// When the file was last written, in nanoseconds since 1970; 0 if unknown.
    pub modified: u64,
}

/// A lock on a file, held until it is dropped.
pub trait DiskLock: Send + Sync {
    /// Returns whether the lock's file is still in place. Other processes do not see the lock if
    /// its file was removed or replaced.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn is_in_place(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Blocks until all data written to the file is durable against power loss.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one. Data written since the last successful sync may then be
    /// lost, even if a later sync succeeds.
    fn sync(&self) -> io::Result<()>;

    /// Returns the `length` bytes at `offset`.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one or the file is too short.
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Frees the space taken by the zeros from `offset` to the end of the file, if the system
    /// supports this. The file's length and contents stay the same.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn free_zeros(&self, offset: u64) -> io::Result<()> {
        let _ = offset;
        Ok(())
    }

    /// Returns the length of the file in bytes.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn length(&self) -> io::Result<u64>;

    /// Returns whether a folder still contains the file. This is false once the file has been
    /// removed or replaced.
    ///
    /// # Errors
    /// Returns an error if the operating system reports one.
    fn is_in_place(&self) -> io::Result<bool> {
        Ok(true)
    }
}
