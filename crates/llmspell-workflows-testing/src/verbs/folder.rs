use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Difference, process::copy_folder};

/// A folder in memory, if the system has one.
const IN_MEMORY: &str = "/dev/shm";

/// A temporary folder that contains a home's folder.
#[derive(Debug)]
pub(super) struct Folder {
    _around: TempDir,
    home: PathBuf,
}

impl Folder {
    /// Creates a folder for a new home.
    pub(super) fn new() -> Result<Self, Difference> {
        let place = match std::env::var_os("TMPDIR") {
            // Nothing here needs to survive a power loss, and syncs in memory are free.
            None if Path::new(IN_MEMORY).is_dir() => PathBuf::from(IN_MEMORY),
            _ => std::env::temp_dir(),
        };
        let around = tempfile::Builder::new().prefix("verbs").tempdir_in(place).map_err(Difference::of)?;
        Ok(Self { home: around.path().join("home"), _around: around })
    }

    /// Copies the current home at `from`.
    pub(super) fn copy_of(from: &Path) -> Result<Self, Difference> {
        let copy = Self::new()?;
        if from.exists() {
            copy_folder(from, &copy.home).map_err(Difference::of)?;
        }
        Ok(copy)
    }

    pub(super) fn path(&self) -> &Path {
        &self.home
    }
}
