//! Stores of whole documents, looked up by key.

use rusqlite::params;
use uuid::Uuid;

use super::{
    super::{Snapshot, StoreError, archive, seal, snapshots},
    Sqlite, Sync, execute,
};
use crate::store::blocking::{ArchiveStore, DefinitionStore, SnapshotStore};
use crate::{Record, record::RecordLines};

impl ArchiveStore for Sqlite {
    fn put_all(&self, runs: &[(Uuid, RecordLines)]) -> Result<(), StoreError> {
        let sealed: Vec<_> = runs.iter().map(|(run, records)| (run, archive::encode(*run, records))).collect();
        self.write(Sync::Yes, |transaction| {
            sealed.iter().try_for_each(|(run, body)| {
                let sql = "INSERT INTO archive (run, body) VALUES (?1, ?2) ON CONFLICT (run) DO UPDATE SET body = ?2";
                execute(transaction, sql, params![run.as_bytes(), body]).map(drop).map_err(|error| self.error(&error))
            })
        })
    }

    fn get(&self, run: Uuid) -> Result<Option<Vec<Record>>, StoreError> {
        let body = self.row("SELECT body FROM archive WHERE run = ?", [run.as_bytes()], |row| row.get(0))?;
        body.map(|body: Vec<u8>| archive::decode(&self.location(), run, &body)).transpose()
    }

    fn remove(&self, run: Uuid) -> Result<bool, StoreError> {
        Ok(self.execute("DELETE FROM archive WHERE run = ?", [run.as_bytes()])? > 0)
    }
}

impl DefinitionStore for Sqlite {
    fn put(&self, hash: &str, definition: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO definitions (hash, body) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING";
        self.execute(sql, params![hash, seal::seal(hash.as_bytes(), definition.as_bytes())]).map(drop)
    }

    fn get(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let body = self.row("SELECT body FROM definitions WHERE hash = ?", [hash], |row| row.get(0))?;
        let location = || format!("the definition {hash} in {}", self.location());
        body.map(|body: Vec<u8>| seal::open_text(&location(), hash.as_bytes(), &body)).transpose()
    }

    fn hashes(&self) -> Result<Vec<String>, StoreError> {
        self.rows("SELECT hash FROM definitions ORDER BY hash", [], |row| row.get(0))
    }

    fn remove(&self, hash: &str) -> Result<bool, StoreError> {
        Ok(self.execute("DELETE FROM definitions WHERE hash = ?", [hash])? > 0)
    }
}

impl Sqlite {
    fn snapshot(&self, run: Uuid, name: &str, body: &[u8]) -> Result<Snapshot, StoreError> {
        let location = format!("the snapshot {name:?} of run {run} in {}", self.location());
        seal::open_json(&location, &snapshot_key(run, name), body)
    }
}

fn snapshot_key(run: Uuid, name: &str) -> Vec<u8> {
    [&run.as_bytes()[..], name.as_bytes()].concat()
}

impl SnapshotStore for Sqlite {
    fn put(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let sql = "INSERT INTO snapshots (run, name, body) VALUES (?1, ?2, ?3)
            ON CONFLICT (run, name) DO UPDATE SET body = ?3";
        let body = seal::seal_json(&snapshot_key(snapshot.run, &snapshot.name), snapshot);
        self.execute(sql, params![snapshot.run.as_bytes(), snapshot.name, body]).map(drop)
    }

    fn get(&self, run: Uuid, name: &str) -> Result<Option<Snapshot>, StoreError> {
        let sql = "SELECT body FROM snapshots WHERE run = ? AND name = ?";
        let body = self.row(sql, params![run.as_bytes(), name], |row| row.get(0))?;
        body.map(|body: Vec<u8>| self.snapshot(run, name, &body)).transpose()
    }

    fn list(&self, run: Uuid) -> Result<Vec<Snapshot>, StoreError> {
        let sql = "SELECT name, body FROM snapshots WHERE run = ?";
        let found: Vec<(String, Vec<u8>)> = self.rows(sql, [run.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut list: Vec<_> =
            found.iter().map(|(name, body)| self.snapshot(run, name, body)).collect::<Result<_, _>>()?;
        snapshots::sort(&mut list);
        Ok(list)
    }

    fn remove(&self, run: Uuid, name: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM snapshots WHERE run = ? AND name = ?";
        Ok(self.execute(sql, params![run.as_bytes(), name])? > 0)
    }

    fn remove_all(&self, run: Uuid) -> Result<usize, StoreError> {
        self.execute("DELETE FROM snapshots WHERE run = ?", [run.as_bytes()])
    }
}
