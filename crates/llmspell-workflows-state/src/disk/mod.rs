//! The few things that the log asks of a disk, so that tests can give it one that loses what was not synced.

mod process;
mod system;

use std::{fmt, io, path::Path};

pub use process::{Taken, take_or_tell};
pub use system::SystemDisk;

/// Runs `work`, which may wait for a disk, on a thread of the runtime that may block.
///
/// # Panics
/// `work` panics, or there is no tokio runtime.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Where files are.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Makes sure that the folder is there, also after a power loss.
    ///
    /// # Errors
    /// The system's.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a folder, sorted; none if there is no such folder.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// A new file of `length` zeros, which is there with its length also after a power loss.
    ///
    /// # Errors
    /// The system's; there is one of that name.
    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn DiskFile>>;

    /// A file that is there.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock that the file stands for, until the answer is dropped or the process dies; `None`: another
    /// process has it.
    ///
    /// # Errors
    /// The system's.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns once all that was written is there also after a power loss.
    ///
    /// # Errors
    /// The system's. What was written since the last success may or may not be there then, and asking again proves
    /// nothing.
    fn sync(&self) -> io::Result<()>;

    /// The `length` bytes at `offset`.
    ///
    /// # Errors
    /// The system's; the file ends before.
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// How many bytes it has.
    ///
    /// # Errors
    /// The system's.
    fn length(&self) -> io::Result<u64>;
}
