use std::io;

use cap_std::fs::{File, Permissions};

use super::entry::{exists, not_a_file};
use super::temporary::Temporary;
use crate::sandbox::{Entry, Links};
use crate::{SandboxPath, ToolError};

/// Writes a file atomically and returns whether the file is new; see [`NewVersion`].
pub(super) fn replace(
    target: &SandboxPath,
    write: impl FnOnce(&mut File) -> Result<(), ToolError>,
) -> Result<bool, ToolError> {
    let (version, mut file) = NewVersion::create(target)?;
    write(&mut file)?;
    version.commit(&file)
}

/// A new version of a file, which replaces the old version on commit.
///
/// The content goes to a temporary file in the same directory, which is synced and then renamed
/// over the old file. A reader sees either the old or the new content, even after a crash. The old
/// file's permissions are kept, and links are followed. A version dropped before it is committed is
/// deleted. The next writer of the same file deletes the leftover version of a killed process.
pub(crate) struct NewVersion {
    target: SandboxPath,
    entry: Entry,
    temporary: Temporary,
    old: Option<Permissions>,
}

impl NewVersion {
    /// Creates the temporary file; fails if the target is a directory or a special file.
    pub(crate) fn create(target: &SandboxPath) -> Result<(Self, File), ToolError> {
        let entry = target.entry(Links::Follow, "write")?;
        let old = match entry.dir.symlink_metadata(&entry.name) {
            Ok(metadata) if metadata.is_symlink() => None,
            Ok(metadata) if !metadata.is_file() => return Err(not_a_file(target)),
            Ok(metadata) => Some(metadata.permissions()),
            Err(_) => None,
        };
        let name = entry.name.file_name().ok_or_else(|| not_a_file(target))?;
        let (temporary, file) = Temporary::file(&entry.dir, name).map_err(|error| target.error("write", &error))?;
        Ok((Self { target: target.clone(), entry, temporary, old }, file))
    }

    /// Replaces the old version with the content of `file`, and returns whether the file is new.
    pub(crate) fn commit(self, file: &File) -> Result<bool, ToolError> {
        let failed = |error: io::Error| self.target.error("write", &error);
        if let Some(permissions) = &self.old {
            file.set_permissions(permissions.clone()).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        self.temporary.rename(&self.entry.name).map_err(failed)?;
        Ok(self.old.is_none())
    }
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
