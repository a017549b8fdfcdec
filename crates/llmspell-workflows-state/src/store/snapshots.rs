use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::StoreError;

/// Named checkpoints of runs: places to go back to.
#[async_trait]
pub trait SnapshotStore: Send + Sync + fmt::Debug {
    /// Keeps a snapshot instead of the one of its run and name; it outlives a power loss when the call returns.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn put(&self, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// The snapshot of this name.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn get(&self, run: Uuid, name: &str) -> Result<Option<Snapshot>, StoreError>;

    /// All snapshots of a run, by position and then by name.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn list(&self, run: Uuid) -> Result<Vec<Snapshot>, StoreError>;

    /// Forgets a snapshot; whether there was one.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn remove(&self, run: Uuid, name: &str) -> Result<bool, StoreError>;

    /// Forgets all snapshots of a run; how many there were.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn remove_all(&self, run: Uuid) -> Result<usize, StoreError>;
}

/// The state of a run at a place in its journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Whose.
    pub run: Uuid,
    /// What it is called.
    pub name: String,
    /// How many records of the run's journal it stands for.
    pub position: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The state.
    pub state: Value,
}

/// The order of a list.
pub(crate) fn sort(snapshots: &mut [Snapshot]) {
    snapshots.sort_by(|a, b| (a.position, &a.name).cmp(&(b.position, &b.name)));
}
