//! The holder of a folder: the process that locks the file `lock` and writes its own name to the
//! file `holder` next to it.

use std::{
    fs::{self, TryLockError},
    path::{Path, PathBuf},
};

use crate::{
    disk::{FileLock, LockAttempt, acquire_or_identify, private_file, write_private_file},
    store::StoreError,
};

/// The lock on a folder, held until it is dropped or the process dies.
#[derive(Debug)]
pub(super) struct Holder {
    name_path: PathBuf,
    _lock: FileLock,
}

impl Holder {
    pub(super) fn acquire(folder: &Path) -> Result<Self, StoreError> {
        let (path, name_path) = (folder.join("lock"), folder.join("holder"));
        let io_error = |error: std::io::Error| StoreError::io(&path, &error);
        let lock = private_file().write(true).create(true).truncate(false).open(&path).map_err(io_error)?;
        let acquire = || match lock.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(io_error(error)),
        };
        let identify = || {
            let text = fs::read_to_string(&name_path).ok()?;
            let pid = text.strip_prefix("process ")?.split(' ').next()?.parse().ok()?;
            Some((pid, text))
        };
        if let LockAttempt::HeldBy(holder) = acquire_or_identify(acquire, identify)? {
            let holder = holder.unwrap_or_else(|| "an unidentified process".to_owned());
            return Err(StoreError::Held { path: folder.to_owned(), holder });
        }
        write_private_file(&name_path, this_process()).map_err(|error| StoreError::io(&name_path, &error))?;
        Ok(Self { name_path, _lock: FileLock(lock) })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Only the lock decides who holds the folder; the next holder overwrites a leftover name.
        drop(fs::remove_file(&self.name_path));
    }
}

/// Returns this process's description. Arguments after the first may be secret and are left out.
fn this_process() -> String {
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(PathBuf::from).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let first = arguments.next().map(|argument| format!(" {}", argument.to_string_lossy())).unwrap_or_default();
    format!("process {} ({program}{first})", std::process::id())
}
