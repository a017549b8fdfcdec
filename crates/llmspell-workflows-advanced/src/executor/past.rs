//! Queries about a run's past states and steps, which need the run's plan.

use std::sync::Arc;

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_state::Rewinding;
use serde_json::Value;

use super::Executor;
use crate::{ExecutorError, KnownRun};

impl Executor {
    /// Returns the definition of a run; resuming the run later does not read it again.
    ///
    /// # Errors
    /// Returns an error if the definition is missing from the home or cannot run on this executor.
    pub async fn definition(&self, known: &KnownRun) -> Result<Arc<Definition>, ExecutorError> {
        Ok(self.inner.prepared_by_hash(&known.summary.definition).await?.definition)
    }

    /// Returns the state of a run after the step `at`, or the current state if `at` is `None`.
    ///
    /// `at` is the step's path or a suffix of it.
    ///
    /// # Errors
    /// Returns an error if the step does not exist, this executor cannot run the definition, or the journal cannot be
    /// read.
    pub async fn state(&self, known: &KnownRun, at: Option<&str>) -> Result<Value, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.prepared_by_hash(&known.summary.definition).await?.plan;
        let rewinding = Rewinding::new(&plan, &records)?;
        let at = at.map(|given| rewinding.find(given)).transpose()?;
        Ok(rewinding.state(at.as_ref())?)
    }

    /// Returns the full path of the step that `given` identifies; `given` is the step's path or a suffix of it.
    ///
    /// # Errors
    /// Returns an error if no step or more than one step matches `given`. Also fails like [`Self::state`].
    pub async fn find_step(&self, known: &KnownRun, given: &str) -> Result<String, ExecutorError> {
        let records = self.inner.home.records(known).await?;
        let plan = self.inner.prepared_by_hash(&known.summary.definition).await?.plan;
        Ok(Rewinding::new(&plan, &records)?.find(given)?.to_string())
    }
}
