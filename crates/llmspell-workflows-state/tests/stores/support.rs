use std::path::{Path, PathBuf};

use llmspell_workflows_state::store::{StoreError, Stores};
use tempfile::TempDir;

/// An adapter that stores its data on the disk.
pub(crate) struct OnDisk {
    pub(crate) name: &'static str,
    open: fn(&Path) -> Result<Stores, StoreError>,
}

pub(crate) const SQLITE: OnDisk = OnDisk { name: "sqlite", open: |path| Stores::sqlite(path) };

pub(crate) const SLED: OnDisk = OnDisk { name: "sled", open: |path| Stores::sled(path) };

pub(crate) const ON_DISK: [OnDisk; 2] = [SQLITE, SLED];

impl OnDisk {
    /// Opens or creates the stores in a folder.
    pub(crate) fn open_in(&self, folder: &Path) -> Result<Stores, StoreError> {
        (self.open)(&self.path(folder))
    }

    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join("store").join(self.name)
    }
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}
