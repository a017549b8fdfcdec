//! Computes the state of a run from its records.

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Order, StepPath, WorkflowState,
    model::{Pattern, Step, StepKind},
    state::Change,
};
use serde_json::Value;

use super::{RewindError, Rewinding, encloses};
use crate::{record::End, run::RunState};

impl Rewinding<'_> {
    /// Returns the run's state as seen by a step after the step at `at`. With `None`, returns the
    /// run's current state.
    ///
    /// A step sees the changes of earlier steps in the enclosing lists, routes and loops, and of
    /// its dependencies in a graph. Changes of other branches are visible after their join.
    ///
    /// # Errors
    /// Returns an error if the records are inconsistent.
    pub fn state(&self, at: Option<&StepPath>) -> Result<Value, RewindError> {
        let mut fold = Fold { rewinding: self, state: self.state.first_state() };
        let roots: Vec<StepPath> = self.first.keys().filter(|path| path.segments().len() == 1).cloned().collect();
        for root in roots.iter().filter(|root| self.around(root).is_none()) {
            fold.fold_step(root, at)?;
        }
        Ok(fold.state.to_value())
    }
}

impl RunState {
    /// Returns the state before the first step.
    pub(super) fn first_state(&self) -> WorkflowState {
        let mut state = WorkflowState::new(Value::Null);
        for (key, value) in self.started().iter().flat_map(|started| &started.state) {
            // Setting a whole key always succeeds.
            let _ = state.apply(Change::key(key, value.clone()), Timestamp::UNIX_EPOCH);
        }
        state
    }

    /// Applies the changes of the step at `path`, if it has completed.
    pub(super) fn apply_changes(&self, path: &StepPath, state: &mut WorkflowState) -> Result<(), RewindError> {
        let step = path.to_string();
        let Some(End::Completed { changes, .. }) = self.end(&step) else { return Ok(()) };
        let changes = self.known.changes(&step, changes);
        let changes = changes.map_err(|missing| RewindError::Damaged(format!("{path} refers to {missing}")))?;
        for change in changes {
            let applied = state.apply(change, Timestamp::UNIX_EPOCH);
            applied.map_err(|error| RewindError::Damaged(format!("cannot apply a change of {path}: {error}")))?;
        }
        Ok(())
    }
}

/// The state computed so far.
struct Fold<'r, 'a> {
    rewinding: &'r Rewinding<'a>,
    state: WorkflowState,
}

impl Fold<'_, '_> {
    /// Applies the changes of the step at `path`; if the step at `at` is inside it, applies them only up to that step.
    fn fold_step(&mut self, path: &StepPath, at: Option<&StepPath>) -> Result<(), RewindError> {
        match at {
            Some(at) if at != path && encloses(path, at) => self.up_to(path, at),
            // The state at the failure is that of the steps before it.
            _ if self.rewinding.failed_for_good(path) || self.is_cancelled_root(path) => self.so_far(path),
            _ if self.rewinding.end(&path.to_string()).is_some() => self.apply(path),
            _ => self.so_far(path),
        }
    }

    fn is_cancelled_root(&self, path: &StepPath) -> bool {
        path.segments().len() == 1 && matches!(self.rewinding.end(&path.to_string()), Some(End::Cancelled(_)))
    }

    /// Applies all changes of the step at `path`, which has ended.
    fn apply(&mut self, path: &StepPath) -> Result<(), RewindError> {
        self.rewinding.state.apply_changes(path, &mut self.state)
    }

    /// Applies the changes of the block at `path` up to and including the step at `at`, which is inside the block.
    fn up_to(&mut self, path: &StepPath, at: &StepPath) -> Result<(), RewindError> {
        let children = self.children(path);
        let Some((way, begun)) = children.iter().find(|(child, _)| child == at || encloses(child, at)) else {
            return Ok(());
        };
        for (child, first) in &children {
            let comes_before = match self.rewinding.order(path, Some(child)) {
                Some(Order::Sequential) => first < begun,
                Some(Order::Graph(dependents)) => way.id().is_some_and(|id| dependents.contains(id)),
                _ => false,
            };
            if child != way && comes_before {
                self.apply(child)?;
            }
        }
        self.fold_step(way, Some(at))
    }

    /// Applies the changes made so far by the unfinished block at `path`.
    fn so_far(&mut self, path: &StepPath) -> Result<(), RewindError> {
        let is_joined_later = |step: &Step| step.kind.pattern().joins();
        let in_turn = matches!(self.rewinding.order(path, None), Some(Order::Sequential));
        if !in_turn && self.rewinding.plan.step(path).is_some_and(is_joined_later) {
            return Ok(());
        }
        self.children(path).iter().try_for_each(|(child, _)| self.fold_step(child, None))
    }

    /// Returns the steps directly inside `path`. The steps of a list are in list order; all others
    /// are in the order in which they began.
    fn children(&self, path: &StepPath) -> Vec<(StepPath, u64)> {
        let mut children = self.rewinding.inside(path);
        let kind = self.rewinding.plan.step(path).map(|step| &step.kind);
        let steps = kind.filter(|kind| kind.pattern() == Pattern::List).and_then(StepKind::list);
        let location = |child: &StepPath| {
            let id = child.id()?;
            steps?.iter().position(|step| step.id == id.as_str())
        };
        children.sort_by_key(|(child, first)| (location(child), *first));
        children
    }
}
