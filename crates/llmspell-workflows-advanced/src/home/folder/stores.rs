//! The stores of a folder home, and the marker file that shows that they exist.
//!
//! The marker is next to the store and is written once the store has been created. Without it,
//! a removed or emptied store would look like a store that has never been needed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use llmspell_workflows_state::{
    disk::{create_private_folders, write_private_file},
    store::{StoreError, Stores},
};
use uuid::Uuid;

use super::Folder;
use crate::ExecutorError;

/// The name suffixes of a SQLite store's additional files.
const SUFFIXES: [&str; 2] = ["-wal", "-shm"];

impl Folder {
    pub(super) fn store_path(&self) -> PathBuf {
        self.path.join(self.store)
    }

    fn store_mark(&self) -> PathBuf {
        self.path.join(format!("{}.created", self.store))
    }

    /// Returns whether the home has stores, even if they are lost.
    pub(super) fn has_stores(&self) -> bool {
        self.store_path().exists() || self.store_mark().exists()
    }

    /// Opens the stores, and creates them unless they have been created before.
    pub(super) fn open_stores(&self) -> Result<Stores, ExecutorError> {
        create_private_folders(&self.path).map_err(|error| ExecutorError::file(&self.path, &error))?;
        let (path, mark) = (self.store_path(), self.store_mark());
        let is_marked = mark.exists();
        if is_marked && is_empty(&path).map_err(|error| ExecutorError::file(&path, &error))? {
            return Err(StoreError::Lost { path }.into());
        }
        let stores = (self.open)(&path).map_err(|error| match error {
            // The file was a store once.
            StoreError::Foreign { path, message } if is_marked => {
                StoreError::Damaged { location: path.display().to_string(), message }
            }
            error => error,
        })?;
        if !is_marked {
            let text = "The store in this folder has been created. If it is lost, this file makes the loss an error.\n";
            match write_private_file(&mark, text) {
                // The folder is read-only.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {}
                written => written.map_err(|error| ExecutorError::file(&mark, &error))?,
            }
        }
        Ok(stores)
    }

    /// Moves the lost or damaged stores to the folder of damaged parts; the home then has no stores.
    pub(super) fn set_stores_aside(&self) -> Result<PathBuf, ExecutorError> {
        let folder = self.path.join("damaged");
        create_private_folders(&folder).map_err(|error| ExecutorError::file(&folder, &error))?;
        let to = folder.join(format!("{}-{}", self.store, Uuid::now_v7()));
        create_private_folders(&to).map_err(|error| ExecutorError::file(&to, &error))?;
        // The marker is moved last, so that a partly moved store still counts as lost.
        let names = SUFFIXES.iter().map(|suffix| format!("{}{suffix}", self.store));
        for name in names.chain([self.store.to_owned(), format!("{}.created", self.store)]) {
            let from = self.path.join(&name);
            match fs::rename(&from, to.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved.map_err(|error| ExecutorError::file(&from, &error))?,
            }
        }
        Ok(to)
    }
}

/// The length of the header of a SQLite database. SQLite takes a shorter file for a new database.
const HEADER_BYTES: u64 = 100;

/// Returns whether `path` does not exist, or is an empty folder or a file without a header.
fn is_empty(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => Ok(fs::read_dir(path)?.next().is_none()),
        Ok(metadata) => Ok(metadata.len() < HEADER_BYTES),
    }
}
