use std::sync::Arc;

use llmspell_workflows_basic::{
    WorkflowState,
    state::{Difference, differences},
};
use llmspell_workflows_state::{JournalError, Record, store::Snapshot};
use uuid::Uuid;

use super::state_of;
use crate::{ExecutorError, Home, KnownRun};

/// Reads the states of runs, as they are and as they were.
///
/// Checkpoints are made by [`Executor::checkpoint`](crate::Executor::checkpoint), and runs go back to them by
/// [`Executor::rollback`](crate::Executor::rollback).
#[derive(Debug, Clone)]
pub struct StateManager {
    home: Arc<dyn Home>,
}

impl StateManager {
    /// The states of the runs in `home`.
    #[must_use]
    pub fn new(home: impl Into<Arc<dyn Home>>) -> Self {
        Self { home: home.into() }
    }

    /// Where the runs are.
    #[must_use]
    pub fn home(&self) -> &Arc<dyn Home> {
        &self.home
    }

    /// The state of `run` now: what its completed steps directly below the root have changed. A block counts once it
    /// has ended.
    ///
    /// # Errors
    /// Its journal cannot be read.
    pub async fn state(&self, run: &KnownRun) -> Result<WorkflowState, ExecutorError> {
        state_from_records(run.id(), &self.home.records(run).await?)
    }

    /// The state of `run` after its first `position` records.
    ///
    /// # Errors
    /// Its journal cannot be read.
    pub async fn state_at(&self, run: &KnownRun, position: u64) -> Result<WorkflowState, ExecutorError> {
        let records = self.home.records(run).await?;
        state_from_records(run.id(), &records[..records.len().min(usize::try_from(position).unwrap_or(usize::MAX))])
    }

    /// The checkpoints of `run`, by position and then by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn checkpoints(&self, run: Uuid) -> Result<Vec<Snapshot>, ExecutorError> {
        Ok(self.home.stores().await?.snapshots.list(run).await?)
    }

    /// The checkpoint `name` of `run`.
    ///
    /// # Errors
    /// There is none, or the store cannot be read.
    pub async fn find_checkpoint(&self, run: Uuid, name: &str) -> Result<Snapshot, ExecutorError> {
        let found = self.home.stores().await?.snapshots.get(run, name).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        let known = self.checkpoints(run).await?.into_iter().map(|snapshot| snapshot.name).collect();
        Err(ExecutorError::UnknownCheckpoint { run, name: name.to_owned(), known })
    }

    /// What has changed in the state of `run` since the checkpoint `name`.
    ///
    /// # Errors
    /// There is no such checkpoint, or its journal or the store cannot be read.
    pub async fn changed_since(&self, run: &KnownRun, name: &str) -> Result<Vec<Difference>, ExecutorError> {
        let before = self.find_checkpoint(run.id(), name).await?.state;
        Ok(differences(&before, &self.state(run).await?.to_value()))
    }
}

pub(crate) fn state_from_records(run: Uuid, records: &[Record]) -> Result<WorkflowState, ExecutorError> {
    state_of(records).map_err(|message| JournalError::Damaged { run, message }.into())
}
