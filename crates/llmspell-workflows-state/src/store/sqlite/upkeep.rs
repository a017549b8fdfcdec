//! The database as a whole: copied, compacted, read through.

use std::{fs, path::Path};

use rusqlite::params;
use uuid::Uuid;

use super::{
    super::{StoreError, Verified},
    Sqlite, sync_dir,
};
use crate::store::blocking::{ArchiveStore, BlobStore, DefinitionStore, InboxStore, RunStore, SnapshotStore};

impl Sqlite {
    pub(super) fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let told = |error: std::io::Error| StoreError::Io { path: to.to_owned(), message: error.to_string() };
        let name = to.to_str().ok_or_else(|| told(std::io::Error::other("the path is not UTF-8")))?;
        {
            let held = self.held();
            held.connection.execute("VACUUM INTO ?", [name]).map_err(|error| self.error(&error))?;
        }
        fs::File::open(to).and_then(|file| file.sync_all()).map_err(told)?;
        to.parent().map_or(Ok(()), sync_dir).map_err(told)
    }

    pub(super) fn vacuum(&self) -> Result<(), StoreError> {
        let held = self.held();
        let vacuumed = held.connection.execute_batch("VACUUM");
        vacuumed.map_err(|error| self.error(&error))?;
        // What other processes still read stays in the log, and is moved by whoever comes next.
        let checkpoint = held.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        checkpoint.map_err(|error| self.error(&error))
    }

    pub(super) fn read_through(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        let said: Vec<String> = self.rows("PRAGMA integrity_check", [], |row| row.get(0))?;
        let broken = said.into_iter().filter(|line| line != "ok");
        verified.damage.extend(broken.map(|line| StoreError::damaged(self.place(), line)));
        for run in self.keys("SELECT id FROM runs")? {
            if verified.note(RunStore::get(self, run)) {
                verified.summaries.insert(run);
            }
        }
        for run in self.keys("SELECT run FROM archive")? {
            if verified.note(ArchiveStore::get(self, run)) {
                verified.archived.insert(run);
            }
        }
        for hash in self.rows("SELECT hash FROM definitions", [], |row| row.get::<_, String>(0))? {
            verified.others += u64::from(verified.note(DefinitionStore::get(self, &hash)));
        }
        for hash in self.rows("SELECT hash FROM blobs", [], |row| row.get::<_, String>(0))? {
            verified.others += u64::from(verified.note(BlobStore::get(self, &hash)));
        }
        for run in self.keys("SELECT DISTINCT run FROM snapshots")? {
            verified.others += u64::from(verified.note(SnapshotStore::list(self, run)));
        }
        for run in self.keys("SELECT DISTINCT run FROM messages")? {
            let last: u64 = self
                .row("SELECT max(number) FROM messages WHERE run = ?", params![run.as_bytes()], |row| row.get(0))?
                .unwrap_or_default();
            let mut after = 0;
            while after < last {
                let page = InboxStore::next(self, run, after);
                after = page.as_ref().ok().and_then(|page| page.last()).map_or(last, |(number, _)| *number);
                verified.others += u64::from(verified.note(page));
            }
        }
        Ok(verified)
    }

    fn keys(&self, sql: &str) -> Result<Vec<Uuid>, StoreError> {
        let keys: Vec<Vec<u8>> = self.rows(sql, [], |row| row.get(0))?;
        let read = |key: Vec<u8>| {
            Uuid::from_slice(&key).map_err(|_| StoreError::damaged(self.place(), "the id of a run is none"))
        };
        keys.into_iter().map(read).collect()
    }
}
