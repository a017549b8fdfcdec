use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use super::{StoreError, seal};
use crate::{Record, record::RecordLines};

/// The records of runs that have ended.
///
/// Records survive a power loss once the call that stores them returns, so the journal can then forget the run.
#[async_trait]
pub trait ArchiveStore: Send + Sync + fmt::Debug {
    /// Stores the records of several runs, replacing earlier ones. Either all runs are stored or none, with a single
    /// sync.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn put_all(&self, runs: Vec<(Uuid, RecordLines)>) -> Result<(), StoreError>;

    /// Stores the records of a run, replacing earlier ones.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn put(&self, run: Uuid, records: Vec<Record>) -> Result<(), StoreError> {
        let lines = RecordLines::of(&records).map_err(|error| StoreError::unreadable(location(run), error))?;
        self.put_all(vec![(run, lines)]).await
    }

    /// Returns the records of a run, in order.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read, or the records are damaged.
    async fn get(&self, run: Uuid) -> Result<Option<Vec<Record>>, StoreError>;

    /// Removes the records of a run; returns whether there were any.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn remove(&self, run: Uuid) -> Result<bool, StoreError>;
}

/// Encodes the records of `run` for the archive: one line of JSON per record, and a seal.
pub(crate) fn encode(run: Uuid, records: &RecordLines) -> Vec<u8> {
    seal::seal(run.as_bytes(), records.as_bytes())
}

/// Returns how errors refer to the records of `run`.
fn location(run: Uuid) -> String {
    format!("the archive of run {run}")
}

/// Decodes the records of `run` from the archive.
pub(crate) fn decode(store: &str, run: Uuid, bytes: &[u8]) -> Result<Vec<Record>, StoreError> {
    let location = format!("{} in {store}", location(run));
    let lines = seal::open(&location, run.as_bytes(), bytes)?;
    RecordLines::decode_bytes(lines).map_err(|error| StoreError::unreadable(&*location, error))
}
