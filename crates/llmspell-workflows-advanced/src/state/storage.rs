use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::WorkflowState;
use llmspell_workflows_state::store::Snapshot;
use serde_json::{Value, json};
use uuid::Uuid;

use super::state_with_keys;
use crate::{ExecutorError, Home};

/// Keeps states under names, from one run to the next.
#[async_trait]
pub trait StateStorage: Send + Sync + fmt::Debug {
    /// Keeps `state` under `workflow_id`, in place of what was kept there.
    ///
    /// # Errors
    /// It cannot be written.
    async fn save(&self, workflow_id: &str, state: &WorkflowState) -> Result<(), ExecutorError>;

    /// What is kept under `workflow_id`; its history is not.
    ///
    /// # Errors
    /// It cannot be read.
    async fn load(&self, workflow_id: &str) -> Result<Option<WorkflowState>, ExecutorError>;

    /// Forgets what is kept under `workflow_id`; whether there was something.
    ///
    /// # Errors
    /// It cannot be written.
    async fn remove(&self, workflow_id: &str) -> Result<bool, ExecutorError>;
}

/// States beside the runs of a home, in its store of snapshots; what was saved outlives a power loss.
#[derive(Debug, Clone)]
pub struct StoredStates(Arc<dyn Home>);

impl StoredStates {
    /// States in the stores of `home`.
    #[must_use]
    pub fn new(home: impl Into<Arc<dyn Home>>) -> Self {
        Self(home.into())
    }
}

/// Whose snapshots they are: no run's.
const NOBODY: Uuid = Uuid::nil();

#[async_trait]
impl StateStorage for StoredStates {
    async fn save(&self, workflow_id: &str, state: &WorkflowState) -> Result<(), ExecutorError> {
        let input = state.key("$input").cloned().unwrap_or_default();
        let state = json!({"input": input, "state": state.to_value()});
        let snapshot = Snapshot { run: NOBODY, name: workflow_id.to_owned(), position: 0, at: Timestamp::now(), state };
        Ok(self.0.stores().await?.snapshots.put(&snapshot).await?)
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<WorkflowState>, ExecutorError> {
        let found = self.0.stores().await?.snapshots.get(NOBODY, workflow_id).await?;
        Ok(found.map(|mut found| {
            let input = found.state.get_mut("input").map(Value::take).unwrap_or_default();
            state_with_keys(input, &found.state["state"])
        }))
    }

    async fn remove(&self, workflow_id: &str) -> Result<bool, ExecutorError> {
        Ok(self.0.stores().await?.snapshots.remove(NOBODY, workflow_id).await?)
    }
}
