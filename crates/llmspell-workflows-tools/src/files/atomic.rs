use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File, OpenOptions};
use uuid::Uuid;

use super::entry::{exists, not_a_file};
use crate::{Located, ToolError};

/// Writes a file as a whole or not at all, and says whether it is new.
///
/// The content goes to a new file beside it, is synced to disk and takes the old one's place by a rename, so a reader
/// sees the old content or the new one, also after a crash. The old one's permissions are kept; a link is followed.
pub(super) fn replace(
    located: &Located,
    write: impl FnOnce(&mut File) -> Result<(), ToolError>,
) -> Result<bool, ToolError> {
    let dir = located.dir();
    let failed = |error: io::Error| located.error("write", &error);
    let place = match dir.canonicalize(located.relative()) {
        Ok(place) => place,
        Err(error) if error.kind() == io::ErrorKind::NotFound => normal(located.relative()),
        Err(error) => return Err(failed(error)),
    };
    let old = match dir.metadata(&place) {
        Ok(metadata) if !metadata.is_file() => return Err(not_a_file(located)),
        Ok(metadata) => Some(metadata),
        Err(_) => None,
    };
    let Some(name) = place.file_name() else {
        return Err(not_a_file(located));
    };
    let temporary = place.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), Uuid::now_v7().simple()));
    let guard = Temporary { dir, path: &temporary };
    let mut file = dir.open_with(&temporary, OpenOptions::new().write(true).create_new(true)).map_err(failed)?;
    write(&mut file)?;
    if let Some(old) = &old {
        file.set_permissions(old.permissions()).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    dir.rename(&temporary, dir, &place).map_err(failed)?;
    std::mem::forget(guard);
    Ok(old.is_none())
}

/// Makes the folders above a path.
pub(super) fn create_parents(located: &Located) -> Result<(), ToolError> {
    match located.relative().parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !located.dir().is_dir(parent) => {
            located.dir().create_dir_all(parent).map_err(|error| located.error("create the folders of", &error))
        }
        _ => Ok(()),
    }
}

/// Refuses a path whose folder does not exist, with a hint that fits better than that of the system.
pub(super) fn check_parent(located: &Located) -> Result<(), ToolError> {
    match located.relative().parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !located.dir().is_dir(parent) && !exists(located) => {
            let error = io::Error::from(io::ErrorKind::NotFound);
            Err(located.error("write", &error).with_help("its folder does not exist; `recursive: true` makes it"))
        }
        _ => Ok(()),
    }
}

/// The path without `.` in it.
pub(super) fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}

/// A file that goes away unless it took its place.
struct Temporary<'d> {
    dir: &'d Dir,
    path: &'d Path,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // It may not have been made yet; what cannot be removed is left with a name that says what it is.
        let _ = self.dir.remove_file(self.path);
    }
}
