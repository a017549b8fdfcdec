//! Finds the steps that a retry runs again.

use llmspell_workflows_basic::{Order, StepPath};

use super::{RewindError, Rewinding, encloses, is_in_finally};
use crate::record::End;

impl Rewinding<'_> {
    /// Runs all steps that failed for good again, or, if there are none, the steps stopped by a
    /// cancellation of the run.
    ///
    /// `finally` runs again as a whole, since it is part of the run's end. If only steps of
    /// `finally` failed, only these steps run again.
    ///
    /// # Errors
    /// Returns an error if no step failed and the run was not cancelled.
    pub fn retry(&mut self) -> Result<(), RewindError> {
        if matches!(self.root_end(), Some(End::Cancelled(_))) {
            return self.retry_cancelled();
        }
        let (cleanup, steps): (Vec<_>, Vec<_>) = self.innermost_failed().into_iter().partition(is_in_finally);
        if steps.is_empty() && cleanup.is_empty() {
            return self.retry_cancelled();
        }
        if steps.is_empty() {
            self.retry_in_finally(&cleanup);
        }
        for target in &steps {
            let target = self.leaf_handled_by(target).unwrap_or_else(|| target.clone());
            self.retry_at(&target);
            self.reopen_around(&target);
        }
        Ok(())
    }

    /// Runs the failed steps of `finally` again, in a run that stays cancelled or compensated.
    ///
    /// # Errors
    /// Returns an error if no step of `finally` failed.
    pub fn retry_cleanup(&mut self) -> Result<(), RewindError> {
        let cleanup: Vec<_> = self.innermost_failed().into_iter().filter(is_in_finally).collect();
        if cleanup.is_empty() || self.root_end().is_none() {
            return Err(RewindError::NothingFailed);
        }
        self.retry_in_finally(&cleanup);
        Ok(())
    }

    fn root_end(&self) -> Option<&End> {
        let root = self.first.keys().find(|path| path.segments().len() == 1)?;
        self.end(&root.to_string())
    }

    fn retry_in_finally(&mut self, targets: &[StepPath]) {
        for target in targets {
            self.retry_at(target);
            self.reopen_in_finally(target);
        }
    }

    /// Returns the leaf whose handler contains the step at `path`. The leaf runs again together
    /// with its handler, which has nothing to handle if the leaf succeeds.
    fn leaf_handled_by(&self, path: &StepPath) -> Option<StepPath> {
        let segments = path.segments();
        let handlers = (2..segments.len()).filter(|at| segments[*at].id.as_str() == "$on_error");
        let mut owners = handlers.map(|at| StepPath::new(segments[..at].to_vec()));
        owners.find(|owner| matches!(self.order(owner, None), Some(Order::Leaf) | None))
    }

    fn retry_at(&mut self, target: &StepPath) {
        match self.order(target, None) {
            Some(Order::Leaf) | None => self.redo(target),
            Some(_) => self.reopen_failed(target),
        }
    }

    /// Returns the steps that failed for good, without the blocks that failed because of an inner
    /// step.
    fn innermost_failed(&self) -> Vec<StepPath> {
        let failed: Vec<StepPath> = self.first.keys().filter(|path| self.failed_for_good(path)).cloned().collect();
        let has_failed_inside = |path: &StepPath| {
            let is_inside = |other: &&StepPath| *other != path && encloses(path, other);
            failed.iter().filter(is_inside).any(|other| is_in_finally(path) || !is_in_finally(other))
        };
        failed.iter().filter(|path| !has_failed_inside(path)).cloned().collect()
    }

    fn retry_cancelled(&mut self) -> Result<(), RewindError> {
        let is_run_cancelled = matches!(self.state.closed().map(|closed| &closed.end), Some(End::Cancelled(_)));
        let root = self.first.keys().find(|path| path.segments().len() == 1).cloned();
        let root_end = root.as_ref().and_then(|root| self.end(&root.to_string()));
        match (root, root_end) {
            (Some(root), Some(End::Cancelled(_))) => self.reopen_failed(&root),
            _ if !is_run_cancelled => return Err(RewindError::NothingFailed),
            // The run was cancelled in its `finally`.
            (Some(root), Some(_)) => self.redo_cancelled_handlers(&root),
            // The run was cancelled before its process entered the root.
            (Some(root), None) => self.redo_if_cancelled(&root),
            (None, _) => {}
        }
        Ok(())
    }
}
