use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::WorkflowState;
use llmspell_workflows_state::store::Snapshot;
use serde_json::{Value, json};
use uuid::Uuid;

use super::state_with_keys;
use crate::{ExecutorError, Home};

/// Stores states by name; they outlive their runs.
#[async_trait]
pub trait StateStorage: Send + Sync + fmt::Debug {
    /// Stores `state` under `workflow_id`, replacing any earlier state.
    ///
    /// # Errors
    /// Returns an error if the state cannot be written.
    async fn save(&self, workflow_id: &str, state: &WorkflowState) -> Result<(), ExecutorError>;

    /// Returns the state stored under `workflow_id`, without its history.
    ///
    /// # Errors
    /// Returns an error if the state cannot be read.
    async fn load(&self, workflow_id: &str) -> Result<Option<WorkflowState>, ExecutorError>;

    /// Removes the state stored under `workflow_id`; returns whether it existed.
    ///
    /// # Errors
    /// Returns an error if the removal cannot be written.
    async fn remove(&self, workflow_id: &str) -> Result<bool, ExecutorError>;
}

/// Stores states in the snapshot store of a home; saved states survive a power loss.
#[derive(Debug, Clone)]
pub struct StoredStates(Arc<dyn Home>);

impl StoredStates {
    /// Returns a state storage that uses the stores of `home`.
    #[must_use]
    pub fn new(home: impl Into<Arc<dyn Home>>) -> Self {
        Self(home.into())
    }
}

/// The run id under which states are stored as snapshots, since they do not belong to a run.
const NO_RUN: Uuid = Uuid::nil();

#[async_trait]
impl StateStorage for StoredStates {
    async fn save(&self, workflow_id: &str, state: &WorkflowState) -> Result<(), ExecutorError> {
        let input = state.key("$input").cloned().unwrap_or_default();
        let state = json!({"input": input, "state": state.to_value()});
        let snapshot = Snapshot { run: NO_RUN, name: workflow_id.to_owned(), position: 0, at: Timestamp::now(), state };
        Ok(self.0.stores().await?.snapshots.put(&snapshot).await?)
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<WorkflowState>, ExecutorError> {
        let found = self.0.stores().await?.snapshots.get(NO_RUN, workflow_id).await?;
        Ok(found.map(|mut found| {
            let input = found.state.get_mut("input").map(Value::take).unwrap_or_default();
            state_with_keys(input, &found.state["state"])
        }))
    }

    async fn remove(&self, workflow_id: &str) -> Result<bool, ExecutorError> {
        Ok(self.0.stores().await?.snapshots.remove(NO_RUN, workflow_id).await?)
    }
}
