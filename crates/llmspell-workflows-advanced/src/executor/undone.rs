//! Finds undone sub-workflows, which a retry or a fork has to repeat.

use llmspell_workflows_basic::{Plan, RunStatus, StepPath};
use llmspell_workflows_state::Rewinding;
use uuid::Uuid;

use super::Executor;
use crate::ExecutorError;

impl Executor {
    /// Repeats the undone steps of a run and the steps after them, because the results of undone steps are gone.
    ///
    /// Returns the completed sub-workflow steps that are only partly undone, each with its run.
    pub(super) async fn repeat_undone(
        &self,
        plan: &Plan,
        rewinding: &mut Rewinding<'_>,
    ) -> Result<Vec<(StepPath, Uuid)>, ExecutorError> {
        let mut undone = rewinding.undone();
        let mut partly_undone = Vec::new();
        for (path, child) in rewinding.completed_children() {
            if !plan.undoes_child_at(&path) {
                continue;
            }
            match self.inner.home.get(child).await?.map(|child| child.status()) {
                Some(RunStatus::Compensated) => undone.push(path),
                // The child of a completed step has completed; it was cancelled when its parent undid it.
                Some(RunStatus::Cancelled) => partly_undone.push((path, child)),
                _ => {}
            }
        }
        undone.iter().for_each(|step| rewinding.repeat_undone(step));
        Ok(partly_undone)
    }
}
