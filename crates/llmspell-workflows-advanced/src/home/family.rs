//! Runs and their sub-workflows.

use llmspell_workflows_basic::engine::Awaited;
use llmspell_workflows_state::{RunState, StepState};
use uuid::Uuid;

use super::{Home, KnownRun};
use crate::ExecutorError;

/// A step of a run, or of one of its sub-workflows, that waits for a signal or a time.
#[derive(Debug, Clone, PartialEq)]
pub struct RunWait {
    /// The run that the step belongs to.
    pub run: Uuid,
    /// The path of the step, prefixed with the paths of the enclosing sub-workflow steps.
    pub path: String,
    /// What the step waits for.
    pub awaited: Awaited,
}

/// The run of a sub-workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct SubRun {
    /// The path of its `workflow` step, prefixed with the paths of the enclosing sub-workflow steps.
    pub path: String,
    /// The run.
    pub run: KnownRun,
}

impl dyn Home {
    /// Returns the runs of the sub-workflows of a run, at any depth, in the order in which they were started. For a
    /// `workflow` step that was retried, this is the last run.
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

    /// Returns what the steps of a run and of its sub-workflows wait for, ordered by path.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    pub async fn waits(&self, run: &KnownRun) -> Result<Vec<RunWait>, ExecutorError> {
        let mut waits = Vec::new();
        self.collect_waits(run, "", &mut waits).await?;
        waits.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(waits)
    }

    async fn collect_waits(&self, run: &KnownRun, around: &str, all: &mut Vec<RunWait>) -> Result<(), ExecutorError> {
        if run.status().has_ended() {
            return Ok(());
        }
        let state = RunState::read_outline(&self.records(run).await?);
        let mut children = Vec::new();
        for (path, step) in state.steps() {
            let path = format!("{around}{path}");
            if let Some(awaited) = step.waits() {
                all.push(RunWait { run: run.id(), path: path.clone(), awaited });
            }
            children.extend(StepState::child(step).filter(|_| step.end().is_none()).map(|child| (path, child)));
        }
        for (path, child) in children {
            if let Some(child) = self.get(child).await? {
                Box::pin(self.collect_waits(&child, &path, all)).await?;
            }
        }
        Ok(())
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

    /// Returns the run that `run` is a part of: `run` itself, unless it is a sub-workflow.
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
