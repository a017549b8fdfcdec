use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::StoreError;

/// Named checkpoints of runs.
#[async_trait]
pub trait SnapshotStore: Send + Sync + fmt::Debug {
    /// Stores a snapshot, replacing any with the same run and name; it survives a power loss once
    /// the call returns.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn put(&self, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// Returns the snapshot with this name.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    async fn get(&self, run: Uuid, name: &str) -> Result<Option<Snapshot>, StoreError>;

    /// Returns all snapshots of a run, ordered by position and then by name.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    async fn list(&self, run: Uuid) -> Result<Vec<Snapshot>, StoreError>;

    /// Removes a snapshot; returns whether it existed.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn remove(&self, run: Uuid, name: &str) -> Result<bool, StoreError>;

    /// Removes all snapshots of a run and returns their number.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn remove_all(&self, run: Uuid) -> Result<usize, StoreError>;
}

/// The state of a run at a position in its journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The run.
    pub run: Uuid,
    /// The name of the snapshot.
    pub name: String,
    /// The number of the run's records covered by the state.
    pub position: u64,
    /// When the snapshot was made.
    pub at: Timestamp,
    /// The state.
    pub state: Value,
}

/// Sorts snapshots by position and then by name.
pub(crate) fn sort(snapshots: &mut [Snapshot]) {
    snapshots.sort_by(|a, b| (a.position, &a.name).cmp(&(b.position, &b.name)));
}
