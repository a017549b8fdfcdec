//! What of sled's own files outlives a power loss.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use ::sled::Db;

use super::{super::StoreError, mark::Mark, sled_error};

/// How many changes are synced, and what it takes to sync more.
#[derive(Debug)]
pub(super) struct Synced {
    folder: PathBuf,
    mark: Mark,
    /// sled's log. Its other files are written when it is opened, but for those of pages that are large.
    log: File,
    /// Those: each is written once.
    pages: HashSet<OsString>,
}

impl Synced {
    /// Syncs what opening sled has written in `folder`.
    pub(super) fn begin(folder: &Path, mark: Mark) -> io::Result<Self> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                File::open(path)?.sync_all()?;
            }
        }
        let log = OpenOptions::new().read(true).write(true).open(folder.join("db"))?;
        let mut synced = Self { folder: folder.to_owned(), mark, log, pages: HashSet::new() };
        synced.sync_pages()?;
        folder.ancestors().take(4).try_for_each(super::sync_dir)?;
        Ok(synced)
    }

    pub(super) fn count(&self) -> u64 {
        self.mark.count()
    }

    /// Returns once all that sled was given outlives a power loss, which are `written` changes at least.
    pub(super) fn sync(&mut self, db: &Db, written: u64) -> Result<(), StoreError> {
        db.flush().map_err(|error| sled_error(&self.folder, &error))?;
        let synced = self.sync_pages().and_then(|()| self.log.sync_data());
        synced.map_err(|error| StoreError::io(&self.folder, &error))?;
        self.mark.set(written)
    }

    /// Syncs the files of large pages that are new.
    fn sync_pages(&mut self) -> io::Result<()> {
        let folder = self.folder.join("blobs");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let names: HashSet<_> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
        let new: Vec<_> = names.difference(&self.pages).collect();
        for name in &new {
            match File::open(folder.join(name)).and_then(|file| file.sync_all()) {
                // sled has removed it by now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
        if !new.is_empty() {
            super::sync_dir(&folder)?;
        }
        self.pages = names;
        Ok(())
    }
}
