use std::sync::Arc;

use llmspell_workflows_basic::{
    WorkflowState,
    state::{Difference, differences},
};
use llmspell_workflows_state::{JournalError, Record, store::Snapshot};
use uuid::Uuid;

use super::state_of;
use crate::{ExecutorError, Home, KnownRun};

/// Reads the current and past states of runs.
///
/// [`Executor::checkpoint`](crate::Executor::checkpoint) creates checkpoints, and
/// [`Executor::rollback`](crate::Executor::rollback) rolls a run back to a checkpoint.
#[derive(Debug, Clone)]
pub struct StateManager {
    home: Arc<dyn Home>,
}

impl StateManager {
    /// Returns a manager for the runs in `home`.
    #[must_use]
    pub fn new(home: impl Into<Arc<dyn Home>>) -> Self {
        Self { home: home.into() }
    }

    /// Returns the home of the runs.
    #[must_use]
    pub fn home(&self) -> &Arc<dyn Home> {
        &self.home
    }

    /// Returns the current state of `run`, with the changes of the completed steps directly below the root.
    ///
    /// The changes of a block are included once the block has ended.
    ///
    /// # Errors
    /// Returns an error if the journal of the run cannot be read.
    pub async fn state(&self, run: &KnownRun) -> Result<WorkflowState, ExecutorError> {
        state_from_records(run.id(), &self.home.records(run).await?)
    }

    /// Returns the state of `run` after its first `position` records.
    ///
    /// # Errors
    /// Returns an error if the journal of the run cannot be read.
    pub async fn state_at(&self, run: &KnownRun, position: u64) -> Result<WorkflowState, ExecutorError> {
        let records = self.home.records(run).await?;
        state_from_records(run.id(), &records[..records.len().min(usize::try_from(position).unwrap_or(usize::MAX))])
    }

    /// Returns the checkpoints of `run`, ordered by position and then by name.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub async fn checkpoints(&self, run: Uuid) -> Result<Vec<Snapshot>, ExecutorError> {
        Ok(self.home.stores().await?.snapshots.list(run).await?)
    }

    /// Returns the checkpoint `name` of `run`.
    ///
    /// # Errors
    /// Returns an error if the checkpoint does not exist or the store cannot be read.
    pub async fn find_checkpoint(&self, run: Uuid, name: &str) -> Result<Snapshot, ExecutorError> {
        let found = self.home.stores().await?.snapshots.get(run, name).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        let known = self.checkpoints(run).await?.into_iter().map(|snapshot| snapshot.name).collect();
        Err(ExecutorError::UnknownCheckpoint { run, name: name.to_owned(), known })
    }

    /// Returns the changes to the state of `run` since the checkpoint `name`.
    ///
    /// # Errors
    /// Returns an error if the checkpoint does not exist, or if the journal or the store cannot be read.
    pub async fn changed_since(&self, run: &KnownRun, name: &str) -> Result<Vec<Difference>, ExecutorError> {
        let before = self.find_checkpoint(run.id(), name).await?.state;
        Ok(differences(&before, &self.state(run).await?.to_value()))
    }
}

pub(crate) fn state_from_records(run: Uuid, records: &[Record]) -> Result<WorkflowState, ExecutorError> {
    state_of(records).map_err(|message| JournalError::Damaged { run, message }.into())
}
