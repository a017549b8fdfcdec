use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use super::{StoreError, seal};
use crate::Record;

/// The records of runs that have ended.
///
/// What is put outlives a power loss when the call returns, so that the journal may forget the run.
#[async_trait]
pub trait ArchiveStore: Send + Sync + fmt::Debug {
    /// Keeps the records of some runs, each instead of what was kept of it; all or none of them, with one sync.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn put_all(&self, runs: Vec<(Uuid, Vec<Record>)>) -> Result<(), StoreError>;

    /// Keeps the records of a run instead of what was kept of it.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn put(&self, run: Uuid, records: Vec<Record>) -> Result<(), StoreError> {
        self.put_all(vec![(run, records)]).await
    }

    /// The records of a run, in order.
    ///
    /// # Errors
    /// The store cannot be read, or what is kept is not what was put.
    async fn get(&self, run: Uuid) -> Result<Option<Vec<Record>>, StoreError>;

    /// Forgets the records of a run; whether there were any.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn remove(&self, run: Uuid) -> Result<bool, StoreError>;
}

/// The records of `run` as they are kept: sealed, a line of JSON each.
pub(crate) fn encode(run: Uuid, records: &[Record]) -> Vec<u8> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record).expect("a record holds nothing that JSON cannot");
        lines.push(b'\n');
    }
    seal::seal(run.as_bytes(), &lines)
}

/// The records of `run` out of what was kept of it.
pub(crate) fn decode(place: &str, run: Uuid, bytes: &[u8]) -> Result<Vec<Record>, StoreError> {
    let place = format!("the archive of the run {run} in {place}");
    let lines = seal::open(&place, run.as_bytes(), bytes)?;
    let record = |line: &[u8]| Record::decode(line).map_err(|error| StoreError::unreadable(&*place, error));
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(record).collect()
}
