use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
};

use super::{Disk, DiskFile, DiskLock, FileVersion, create_private_folders, private_file};

/// The file system of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

/// A block of zeros for filling new files.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl Disk for SystemDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        // A new folder is durable once its parent has been synced; existing folders are already durable.
        let missing: Vec<&Path> = path.ancestors().take_while(|folder| !is_folder(folder)).collect();
        create_private_folders(path)?;
        missing.into_iter().filter_map(Path::parent).try_for_each(sync_dir)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = private_file().read(true).write(true).create_new(true).open(path)?;
        let mut at = 0;
        while at < length {
            let part = usize::try_from(length - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            write_at(&file, at, &ZEROS[..part])?;
            at += part as u64;
        }
        file.sync_all()?;
        path.parent().map_or(Ok(()), sync_dir)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn version(&self, path: &Path) -> io::Result<FileVersion> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(FileVersion { length: metadata.len(), modified: u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX) })
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        write_at(&private_file().write(true).create(true).truncate(false).open(path)?, 0, bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        loop {
            let file = match private_file().write(true).create(true).truncate(false).open(path) {
                // The folder was empty and has been removed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    path.parent().map_or(Err(error), |folder| self.create_dir(folder))?;
                    continue;
                }
                file => file?,
            };
            if is_free(file.try_lock())? {
                if is_at(&file, path)? {
                    return Ok(Some(Box::new(FileLock(file))));
                }
                continue;
            }
            // A process testing the lock briefly holds it in shared mode.
            if !is_free(file.try_lock_shared())? {
                return Ok(None);
            }
            file.unlock()?;
            std::thread::yield_now();
        }
    }
}

impl SystemDisk {
    /// Returns whether any process holds the lock on `path`, without preventing others from locking
    /// the file.
    pub(crate) fn is_locked(path: &Path) -> io::Result<bool> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            file => Ok(!is_free(file?.try_lock_shared())?),
        }
    }
}

/// A locked file, unlocked on drop.
///
/// Closing the file is not enough: a forked child process that has not yet executed its program
/// also has the file open, and would keep it locked.
#[derive(Debug)]
pub(crate) struct FileLock(pub(crate) File);

impl Drop for FileLock {
    fn drop(&mut self) {
        // If this fails, the file is unlocked when the last process closes it.
        let _ = self.0.unlock();
    }
}

impl DiskLock for FileLock {
    fn is_in_place(&self) -> io::Result<bool> {
        is_linked(&self.0)
    }
}

/// Returns whether a folder still contains the file, without the slower lookup of its path.
///
/// Requests only the link count. After any process has read the time of the last change, Linux
/// (6.13 and later) must update that time on the next write, which makes each sync of the file a
/// third slower.
#[cfg(target_os = "linux")]
fn is_linked(file: &File) -> io::Result<bool> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    Ok(statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::NLINK)?.stx_nlink > 0)
}

/// Returns whether a folder still contains the file, without the slower lookup of its path.
#[cfg(all(unix, not(target_os = "linux")))]
fn is_linked(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() > 0)
}

/// Returns whether `file` is still at `path`; if not, other processes do not see the lock.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        current => {
            current.and_then(|at| Ok((at.dev(), at.ino()) == file.metadata().map(|own| (own.dev(), own.ino()))?))
        }
    }
}

fn is_free(result: Result<(), TryLockError>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl DiskFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        write_at(self, offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        read_at(self, offset, &mut bytes)?;
        Ok(bytes)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(target_os = "linux")]
    fn free_zeros(&self, offset: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        let length = self.length()?.saturating_sub(offset);
        if length > 0 {
            fallocate(self, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, length)?;
        }
        Ok(())
    }

    fn is_in_place(&self) -> io::Result<bool> {
        is_linked(self)
    }
}

#[cfg(unix)]
fn write_at(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

fn is_folder(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.is_dir()
}

/// Syncs a folder so that its entries survive a power loss.
fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_is_free_even_if_a_copy_of_its_file_is_open() {
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        let path = folder.path().join("lock");
        let file = File::create(&path).expect("the folder is writable");
        file.try_lock().expect("the file is free");
        // A forked process has such a copy until it executes its program.
        let copy = file.try_clone().expect("the file is open");
        drop(FileLock(file));
        assert!(SystemDisk.lock(&path).expect("the folder is accessible").is_some());
        drop(copy);
    }
}
