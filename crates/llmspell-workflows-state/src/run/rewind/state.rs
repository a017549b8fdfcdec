//! The state that the records come to.

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
    /// The run's state as what stands after the step at `at` sees it; `None`: as the run itself does by now.
    ///
    /// A step sees the changes of what came before it in the lists, routes and loops around it, and of what it depends
    /// on in a graph. Those of other branches come with their join.
    ///
    /// # Errors
    /// The records make no sense.
    pub fn state(&self, at: Option<&StepPath>) -> Result<Value, RewindError> {
        let mut fold = Fold { rewinding: self, state: self.state.first_state() };
        let roots: Vec<StepPath> = self.first.keys().filter(|path| path.segments().len() == 1).cloned().collect();
        for root in roots.iter().filter(|root| self.around(root).is_none()) {
            fold.take_in(root, at)?;
        }
        Ok(fold.state.to_value())
    }
}

impl RunState {
    /// The state before any step.
    pub(super) fn first_state(&self) -> WorkflowState {
        let mut state = WorkflowState::new(Value::Null);
        for (key, value) in self.started().iter().flat_map(|started| &started.state) {
            // A whole key can always be set.
            let _ = state.apply(Change::key(key, value.clone()), Timestamp::UNIX_EPOCH);
        }
        state
    }

    /// Makes the changes of the step at `path`, which has ended.
    pub(super) fn apply_changes(&self, path: &StepPath, state: &mut WorkflowState) -> Result<(), RewindError> {
        let step = path.to_string();
        let Some(End::Completed { changes, .. }) = self.end(&step) else { return Ok(()) };
        let changes = self.known.changes(&step, changes);
        let changes = changes.map_err(|missing| RewindError::Damaged(format!("{path} refers to {missing}")))?;
        for change in changes {
            let applied = state.apply(change, Timestamp::UNIX_EPOCH);
            applied.map_err(|error| RewindError::Damaged(format!("a change of {path} cannot be made: {error}")))?;
        }
        Ok(())
    }
}

/// The state so far.
struct Fold<'r, 'a> {
    rewinding: &'r Rewinding<'a>,
    state: WorkflowState,
}

impl Fold<'_, '_> {
    /// Takes in what the step at `path` changed, up to the step at `at` where that is inside.
    fn take_in(&mut self, path: &StepPath, at: Option<&StepPath>) -> Result<(), RewindError> {
        match at {
            Some(at) if at != path && encloses(path, at) => self.up_to(path, at),
            _ if self.rewinding.end(&path.to_string()).is_some() => self.apply(path),
            _ => self.so_far(path),
        }
    }

    /// What the step at `path`, which has ended, changed as a whole.
    fn apply(&mut self, path: &StepPath) -> Result<(), RewindError> {
        self.rewinding.state.apply_changes(path, &mut self.state)
    }

    /// What the block at `path` changed before and at the step `at`, which is inside.
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
        self.take_in(way, Some(at))
    }

    /// What the block at `path`, which has not ended, changed by now.
    fn so_far(&mut self, path: &StepPath) -> Result<(), RewindError> {
        let is_joined_later = |step: &Step| step.kind.pattern().joins();
        let in_turn = matches!(self.rewinding.order(path, None), Some(Order::Sequential));
        if !in_turn && self.rewinding.plan.step(path).is_some_and(is_joined_later) {
            return Ok(());
        }
        self.children(path).iter().try_for_each(|(child, _)| self.take_in(child, None))
    }

    /// The steps directly inside of `path`: those of a list as it has them, others as they began.
    fn children(&self, path: &StepPath) -> Vec<(StepPath, u64)> {
        let mut children = self.rewinding.inside(path);
        let kind = self.rewinding.plan.step(path).map(|step| &step.kind);
        let steps = kind.filter(|kind| kind.pattern() == Pattern::List).and_then(StepKind::list);
        let place = |child: &StepPath| {
            let id = child.id()?;
            steps?.iter().position(|step| step.id == id.as_str())
        };
        children.sort_by_key(|(child, first)| (place(child), *first));
        children
    }
}
