use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::{
    super::{StoreError, blob_hash, blobs},
    Sqlite, Sync, execute,
};
use crate::store::blocking::BlobStore;

impl Sqlite {
    fn own(&self, transaction: &Transaction<'_>, owner: Uuid, hash: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO blob_owners (hash, owner) VALUES (?, ?) ON CONFLICT DO NOTHING";
        execute(transaction, sql, params![hash, owner.as_bytes()]).map(drop).map_err(|error| self.error(&error))
    }
}

impl BlobStore for Sqlite {
    fn put(&self, owner: Uuid, bytes: &[u8]) -> Result<String, StoreError> {
        let hash = blob_hash(bytes);
        self.write(Sync::Yes, |transaction| {
            let sql = "INSERT INTO blobs (hash, bytes) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING";
            execute(transaction, sql, params![hash, bytes]).map_err(|error| self.error(&error))?;
            self.own(transaction, owner, &hash)
        })?;
        Ok(hash)
    }

    fn get(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.row("SELECT bytes FROM blobs WHERE hash = ?", [hash], |row| row.get(0))?;
        bytes.map(|bytes| blobs::checked(&self.location(), hash, bytes)).transpose()
    }

    fn share(&self, owner: Uuid, hash: &str) -> Result<(), StoreError> {
        self.write(Sync::Yes, |transaction| {
            let sql = "SELECT count(*) FROM blobs WHERE hash = ?";
            let count: i64 =
                transaction.query_row(sql, [hash], |row| row.get(0)).map_err(|error| self.error(&error))?;
            if count == 0 {
                return Err(StoreError::NoBlob { hash: hash.to_owned() });
            }
            self.own(transaction, owner, hash)
        })
    }

    fn owners(&self, hash: &str) -> Result<usize, StoreError> {
        let count = self.row("SELECT count(*) FROM blob_owners WHERE hash = ?", [hash], |row| row.get(0))?;
        Ok(count.unwrap_or_default())
    }

    fn owned(&self, owner: Uuid) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT hash FROM blob_owners WHERE owner = ? ORDER BY hash";
        self.rows(sql, [owner.as_bytes()], |row| row.get(0))
    }

    fn release(&self, owner: Uuid) -> Result<usize, StoreError> {
        self.write(Sync::Yes, |transaction| {
            let change = |sql: &str| execute(transaction, sql, [owner.as_bytes()]).map_err(|error| self.error(&error));
            let forgotten = change(
                "DELETE FROM blobs WHERE hash IN (SELECT hash FROM blob_owners WHERE owner = ?1) AND NOT EXISTS
                    (SELECT 1 FROM blob_owners o WHERE o.hash = blobs.hash AND o.owner <> ?1)",
            )?;
            change("DELETE FROM blob_owners WHERE owner = ?")?;
            Ok(forgotten)
        })
    }
}
