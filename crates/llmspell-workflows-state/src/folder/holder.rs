//! Who has a folder: the lock on the file `lock`, and beside it, in `holder`, the process that has it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use crate::{
    disk::{Taken, take_or_tell},
    store::StoreError,
};

/// The lock on a folder, until it is dropped or the process dies.
#[derive(Debug)]
pub(super) struct Holder {
    told_in: PathBuf,
    _lock: File,
}

impl Holder {
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        let (path, told_in) = (folder.join("lock"), folder.join("holder"));
        let told = |error: std::io::Error| StoreError::io(&path, &error);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(told)?;
        let take = || match lock.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(told(error)),
        };
        let says = || {
            let text = fs::read_to_string(&told_in).ok()?;
            let pid = text.strip_prefix("process ")?.split(' ').next()?.parse().ok()?;
            Some((pid, text))
        };
        if let Taken::By(holder) = take_or_tell(take, says)? {
            let holder = holder.unwrap_or_else(|| "a process that has not told its name".to_owned());
            return Err(StoreError::Held { path: folder.to_owned(), holder });
        }
        fs::write(&told_in, this_process()).map_err(|error| StoreError::io(&told_in, &error))?;
        Ok(Self { told_in, _lock: lock })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The lock alone decides; a name that stays behind is written over by who comes next.
        drop(fs::remove_file(&self.told_in));
    }
}

/// The process as others should know it. What follows the first argument may be secret and is left out.
fn this_process() -> String {
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(PathBuf::from).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let first = arguments.next().map(|argument| format!(" {}", argument.to_string_lossy())).unwrap_or_default();
    format!("process {} ({program}{first})", std::process::id())
}
