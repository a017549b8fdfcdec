use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File, OpenOptions};
use uuid::Uuid;

use super::entry::{exists, not_a_file};
use crate::sandbox::{Entry, Links};
use crate::{SandboxPath, ToolError};

/// Writes a file atomically and returns whether the file is new.
///
/// The content goes to a temporary file in the same directory, which is synced and then renamed over the old file. A
/// reader sees either the old or the new content, even after a crash. The old file's permissions are kept, and links
/// are followed.
pub(super) fn replace(
    target: &SandboxPath,
    write: impl FnOnce(&mut File) -> Result<(), ToolError>,
) -> Result<bool, ToolError> {
    let failed = |error: io::Error| target.error("write", &error);
    let Entry { dir, name } = target.entry(Links::Follow, "write")?;
    let old = match dir.symlink_metadata(&name) {
        Ok(metadata) if metadata.is_symlink() => None,
        Ok(metadata) if !metadata.is_file() => return Err(not_a_file(target)),
        Ok(metadata) => Some(metadata),
        Err(_) => None,
    };
    let shown = name.file_name().ok_or_else(|| not_a_file(target))?.to_string_lossy();
    let temporary = PathBuf::from(format!(".{shown}.{}.tmp", Uuid::now_v7().simple()));
    let guard = TemporaryFile { dir: &dir, path: &temporary };
    let mut file = dir.open_with(&temporary, OpenOptions::new().write(true).create_new(true)).map_err(failed)?;
    write(&mut file)?;
    if let Some(old) = &old {
        file.set_permissions(old.permissions()).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    dir.rename(&temporary, &dir, &name).map_err(failed)?;
    std::mem::forget(guard);
    Ok(old.is_none())
}

/// Fails if the parent directory does not exist, with a more helpful hint than the system's error.
pub(super) fn check_parent(target: &SandboxPath) -> Result<(), ToolError> {
    match target.relative().parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !target.dir().is_dir(parent) && !exists(target) => {
            let error = io::Error::from(io::ErrorKind::NotFound);
            Err(target.error("write", &error).with_help("its directory does not exist; `recursive: true` creates it"))
        }
        _ => Ok(()),
    }
}

/// A file that is deleted on drop unless it was renamed to its final name.
struct TemporaryFile<'d> {
    dir: &'d Dir,
    path: &'d Path,
}

impl Drop for TemporaryFile<'_> {
    fn drop(&mut self) {
        // The file may not exist yet. If it cannot be removed, its name shows that it is temporary.
        let _ = self.dir.remove_file(self.path);
    }
}
