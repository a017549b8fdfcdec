//! Backup, compaction and verification of the database.

use std::{fs, path::Path};

use rusqlite::params;
use uuid::Uuid;

use super::{
    super::{StoreError, Verified},
    Sqlite, sync_dir,
};
use crate::disk::private_file;
use crate::store::blocking::{ArchiveStore, BlobStore, DefinitionStore, InboxStore, RunStore, SnapshotStore};

impl Sqlite {
    pub(super) fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let io_error = |error: std::io::Error| StoreError::Io { path: to.to_owned(), message: error.to_string() };
        let name = to.to_str().ok_or_else(|| io_error(std::io::Error::other("the path is not UTF-8")))?;
        {
            // SQLite accepts an empty file, and keeps its mode.
            drop(private_file().write(true).create_new(true).open(to).map_err(io_error)?);
            let connection = self.connection();
            connection.connection.execute("VACUUM INTO ?", [name]).map_err(|error| self.error(&error))?;
        }
        fs::File::open(to).and_then(|file| file.sync_all()).map_err(io_error)?;
        to.parent().map_or(Ok(()), sync_dir).map_err(io_error)
    }

    pub(super) fn vacuum(&self) -> Result<(), StoreError> {
        let connection = self.connection();
        let vacuumed = connection.connection.execute_batch("VACUUM");
        vacuumed.map_err(|error| self.error(&error))?;
        // Data that other processes are still reading stays in the log until the next checkpoint moves it.
        let checkpoint = connection.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        checkpoint.map_err(|error| self.error(&error))
    }

    pub(super) fn verify_all(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        let messages: Vec<String> = self.rows("PRAGMA integrity_check", [], |row| row.get(0))?;
        let broken = messages.into_iter().filter(|line| line != "ok");
        verified.damage.extend(broken.map(|line| StoreError::damaged(self.location(), line)));
        for run in self.keys("SELECT id FROM runs")? {
            if verified.add_result(RunStore::get(self, run)) {
                verified.summaries.insert(run);
            }
        }
        for run in self.keys("SELECT run FROM archive")? {
            if verified.add_result(ArchiveStore::get(self, run)) {
                verified.archived.insert(run);
            }
        }
        for hash in self.rows("SELECT hash FROM definitions", [], |row| row.get::<_, String>(0))? {
            verified.others += u64::from(verified.add_result(DefinitionStore::get(self, &hash)));
        }
        for hash in self.rows("SELECT hash FROM blobs", [], |row| row.get::<_, String>(0))? {
            verified.others += u64::from(verified.add_result(BlobStore::get(self, &hash)));
        }
        for run in self.keys("SELECT DISTINCT run FROM snapshots")? {
            verified.others += u64::from(verified.add_result(SnapshotStore::list(self, run)));
        }
        for run in self.keys("SELECT DISTINCT run FROM messages")? {
            let last: u64 = self
                .row("SELECT max(number) FROM messages WHERE run = ?", params![run.as_bytes()], |row| row.get(0))?
                .unwrap_or_default();
            let mut after = 0;
            while after < last {
                let page = InboxStore::next(self, run, after);
                after = page.as_ref().ok().and_then(|page| page.last()).map_or(last, |(number, _)| *number);
                verified.others += u64::from(verified.add_result(page));
            }
        }
        Ok(verified)
    }

    fn keys(&self, sql: &str) -> Result<Vec<Uuid>, StoreError> {
        let keys: Vec<Vec<u8>> = self.rows(sql, [], |row| row.get(0))?;
        let read = |key: Vec<u8>| {
            Uuid::from_slice(&key).map_err(|_| StoreError::damaged(self.location(), "a run id is invalid"))
        };
        keys.into_iter().map(read).collect()
    }
}
