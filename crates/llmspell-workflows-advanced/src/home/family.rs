//! Runs and their sub-workflows.

use llmspell_workflows_state::{RunState, StepState};

use super::{Home, KnownRun};
use crate::ExecutorError;

/// The run of a sub-workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct SubRun {
    /// The path of its `workflow` step, prefixed with the paths of the enclosing sub-workflow steps.
    pub path: String,
    /// The run.
    pub run: KnownRun,
}

impl dyn Home {
    /// Returns the runs of a run's sub-workflows, at any depth, in the order in which they were
    /// started. For a retried `workflow` step, only the last run is returned.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    pub async fn sub_runs(&self, run: &KnownRun) -> Result<Vec<SubRun>, ExecutorError> {
        let mut found: Vec<SubRun> = Vec::new();
        let mut next = vec![SubRun { path: String::new(), run: run.clone() }];
        while let Some(SubRun { path: around, run }) = next.pop() {
            let state = RunState::read_outline(&self.records(&run).await?);
            for (path, step) in state.steps() {
                let Some(child) = StepState::child(step) else { continue };
                if let Some(run) = self.get(child).await? {
                    let sub = SubRun { path: format!("{around}{path}"), run };
                    next.push(sub.clone());
                    found.push(sub);
                }
            }
        }
        found.sort_by(|one, other| {
            let key = |sub: &SubRun| (sub.run.summary.started_at, sub.path.len());
            key(one).cmp(&key(other)).then_with(|| one.path.cmp(&other.path))
        });
        Ok(found)
    }

    /// Returns all sub-workflows of a run, at any depth, parents first.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    pub async fn descendants(&self, run: &KnownRun) -> Result<Vec<KnownRun>, ExecutorError> {
        let mut found: Vec<KnownRun> = Vec::new();
        let mut next = vec![run.clone()];
        while let Some(run) = next.pop() {
            let state = RunState::read_outline(&self.records(&run).await?);
            for child in state.children() {
                if found.iter().any(|known| known.id() == child) {
                    continue;
                }
                if let Some(child) = self.get(child).await? {
                    next.push(child.clone());
                    found.push(child);
                }
            }
        }
        Ok(found)
    }

    /// Returns the top-level run that contains `run`: `run` itself, unless it is a sub-workflow.
    ///
    /// # Errors
    /// Returns an error if a journal or the store cannot be read.
    pub async fn root_of(&self, run: &KnownRun) -> Result<KnownRun, ExecutorError> {
        let mut root = run.clone();
        while let Some(parent) = root.summary.parent {
            match self.get(parent).await? {
                Some(parent) => root = parent,
                None => break,
            }
        }
        Ok(root)
    }
}
