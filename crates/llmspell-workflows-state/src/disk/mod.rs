//! The file operations that the log needs, as a trait, so that tests can pass a disk that loses unsynced data.

mod process;
mod system;

use std::{fmt, io, path::Path};

pub use process::{LockAttempt, acquire_or_identify};
pub use system::SystemDisk;

/// Runs `work`, which may block for a disk, on a blocking thread of the runtime.
///
/// # Panics
/// `work` panics, or there is no tokio runtime.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// A file system.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Creates a folder if it is missing; the folder survives a power loss.
    ///
    /// # Errors
    /// The operating system reports an error.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Returns the sorted names of the files in a folder; none if the folder does not exist.
    ///
    /// # Errors
    /// The operating system reports an error.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Creates a file of `length` zeros; the file and its length survive a power loss.
    ///
    /// # Errors
    /// The operating system reports an error, or the file already exists.
    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file.
    ///
    /// # Errors
    /// The operating system reports an error.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Removes a file.
    ///
    /// # Errors
    /// The operating system reports an error.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Locks the file at `path` until the returned guard is dropped or the process dies; returns `None` if another
    /// process has it locked.
    ///
    /// # Errors
    /// The operating system reports an error.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The operating system reports an error.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns once everything written survives a power loss.
    ///
    /// # Errors
    /// The operating system reports an error. Data written since the last successful sync may then be lost, and syncing
    /// again proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// Returns the `length` bytes at `offset`.
    ///
    /// # Errors
    /// The operating system reports an error, or the file ends earlier.
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Returns the length of the file in bytes.
    ///
    /// # Errors
    /// The operating system reports an error.
    fn length(&self) -> io::Result<u64>;
}
