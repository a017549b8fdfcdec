//! Finds undone steps, whose results are useless to a run that continues.

use llmspell_workflows_basic::StepPath;
use uuid::Uuid;

use super::{Cause, Rewinding, StepState};
use crate::record::End;

impl Rewinding<'_> {
    /// Returns the steps whose compensation steps have completed.
    #[must_use]
    pub fn undone(&self) -> Vec<StepPath> {
        let undone = self.completed().filter_map(|(path, _)| {
            let (last, step) = path.segments().split_last()?;
            (last.id.as_str() == "$undo").then(|| StepPath::new(step.to_vec()))
        });
        undone.filter(|path| self.counts(path)).collect()
    }

    /// Returns the completed sub-workflow steps, each with its run.
    #[must_use]
    pub fn completed_children(&self) -> Vec<(StepPath, Uuid)> {
        let children = self.completed().filter_map(|(path, step)| Some((path, step.child()?)));
        children.filter(|(path, _)| self.counts(path)).collect()
    }

    /// Runs the undone step at `path` and all following steps again.
    pub fn repeat_undone(&mut self, path: &StepPath) {
        self.again.cause = Cause::Undone;
        self.redo(path);
        self.again.cause = Cause::Follows(path.to_string());
        self.reopen_around(path);
        self.again.cause = Cause::Requested;
    }

    fn completed(&self) -> impl Iterator<Item = (StepPath, &StepState)> {
        let completed = self.state.steps().filter(|(_, step)| matches!(step.end(), Some(End::Completed { .. })));
        completed.filter_map(|(path, step)| Some((path.parse().ok()?, step)))
    }

    /// Returns whether the step's records are valid and neither the step nor an enclosing block has
    /// restarted since, as a block does for each of its attempts.
    fn counts(&self, path: &StepPath) -> bool {
        let is_last = |length: usize| {
            let prefix = StepPath::new(path.segments()[..length].to_vec());
            let last = self.generations.get(&prefix.with_generation(1).to_string());
            last.is_none_or(|last| *last == path.segments()[length - 1].generation)
        };
        self.first.contains_key(path) && (1..=path.segments().len()).all(is_last)
    }
}
