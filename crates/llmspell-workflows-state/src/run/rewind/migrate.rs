//! Migrates the recorded state to another version of the definition.

use std::collections::HashSet;

use llmspell_workflows_basic::{
    Order, StepPath, WorkflowState,
    engine::DecisionKey,
    state::{Key, changes_between},
};
use serde_json::Value;

use super::{RewindError, Rewinding};
use crate::{
    record::{ChoiceRef, End, Migrated, StoredChange},
    run::StepState,
};

impl Rewinding<'_> {
    /// Returns the recorded state, migrated to another version of the definition. `migrate`
    /// converts each state before or after a step. This rewind uses the plan of the old version.
    ///
    /// `carried` returns the new name of a top-level key whose value stays the same. Recorded
    /// changes to such a value are kept.
    ///
    /// # Errors
    /// Returns an error if `migrate` fails or the records are inconsistent.
    pub fn migrated<E: From<RewindError>>(
        &self,
        migrate: impl FnMut(Value) -> Result<Value, E>,
        carried: impl Fn(&str) -> Option<String>,
    ) -> Result<Migrated, E> {
        let first = self.state.first_state();
        let mut walk = Walk { rewinding: self, migrate, carried, migrated: Migrated::default() };
        walk.begin(&first)?;
        let mut migrated = walk.migrated;
        migrated.undecided = self.open_conflicts();
        Ok(migrated)
    }

    /// Returns the conflict resolutions of unfinished blocks, whose branches will be joined
    /// again.
    fn open_conflicts(&self) -> Vec<ChoiceRef> {
        let open = self.state.steps().filter(|(_, step)| step.end().is_none());
        let conflicts = open.flat_map(|(path, step)| {
            let keys = step.decisions.keys().filter(|key| matches!(key, DecisionKey::Resolved(_)));
            keys.map(move |key| ChoiceRef { path: path.to_owned(), key: key.clone() })
        });
        let mut conflicts: Vec<ChoiceRef> = conflicts.collect();
        conflicts.sort_unstable();
        conflicts
    }
}

/// A walk over the steps, with the state that each step saw.
struct Walk<'r, 'a, F, C> {
    rewinding: &'r Rewinding<'a>,
    migrate: F,
    carried: C,
    migrated: Migrated,
}

impl<E, F, C> Walk<'_, '_, F, C>
where
    E: From<RewindError>,
    F: FnMut(Value) -> Result<Value, E>,
    C: Fn(&str) -> Option<String>,
{
    fn begin(&mut self, first: &WorkflowState) -> Result<(), E> {
        if let Value::Object(state) = (self.migrate)(first.to_value())? {
            self.migrated.state = state;
        }
        let roots = self.rewinding.first.keys().filter(|path| path.segments().len() == 1);
        let roots: Vec<StepPath> = roots.filter(|root| self.rewinding.around(root).is_none()).cloned().collect();
        roots.iter().try_for_each(|root| self.step(root, first))
    }

    /// Visits the step at `path`, which saw the state `before`, and all steps inside it.
    fn step(&mut self, path: &StepPath, before: &WorkflowState) -> Result<(), E> {
        self.changes(path, before)?;
        let mut inside = self.rewinding.inside(path);
        inside.sort_by_key(|(_, first)| *first);
        match self.rewinding.order(path, None) {
            Some(Order::Sequential) => self.in_turn(&inside, before),
            _ if self.is_graph(path, &inside) => {
                inside.iter().try_for_each(|(child, _)| self.concurrent(path, child, &inside, before))
            }
            _ => inside.iter().try_for_each(|(child, _)| self.step(child, before)),
        }
    }

    fn is_graph(&self, path: &StepPath, inside: &[(StepPath, u64)]) -> bool {
        let order = |child: &StepPath| self.rewinding.order(path, Some(child));
        inside.iter().any(|(child, _)| matches!(order(child), Some(Order::Graph(_))))
    }

    /// Visits sequential steps: each step sees the changes of the steps that ended before it began.
    fn in_turn(&mut self, inside: &[(StepPath, u64)], before: &WorkflowState) -> Result<(), E> {
        let mut moments: Vec<(u64, bool, &StepPath)> = Vec::new();
        for (child, first) in inside {
            moments.push((*first, false, child));
            let step = self.rewinding.state.step(&child.to_string());
            if let Some(end) = step.and_then(StepState::end_number) {
                moments.push((end, true, child));
            }
        }
        moments.sort_unstable_by_key(|(number, is_end, _)| (*number, *is_end));
        let mut state = before.clone();
        for (_, is_end, child) in moments {
            match is_end {
                true => self.rewinding.state.apply_changes(child, &mut state)?,
                false => self.step(child, &state)?,
            }
        }
        Ok(())
    }

    /// Visits a step that runs concurrently with others and sees the changes of its dependencies.
    fn concurrent(
        &mut self,
        path: &StepPath,
        child: &StepPath,
        inside: &[(StepPath, u64)],
        before: &WorkflowState,
    ) -> Result<(), E> {
        let mut state = before.clone();
        for (other, _) in inside.iter().filter(|(other, _)| other != child) {
            if let Some(Order::Graph(dependents)) = self.rewinding.order(path, Some(other))
                && child.id().is_some_and(|id| dependents.contains(id))
            {
                self.rewinding.state.apply_changes(other, &mut state)?;
            }
        }
        self.step(child, &state)
    }

    /// Stores the changes of the step at `path` to the migrated state, if they differ from the
    /// recorded ones.
    fn changes(&mut self, path: &StepPath, before: &WorkflowState) -> Result<(), E> {
        let name = path.to_string();
        let Some(End::Completed { changes, .. }) = self.rewinding.end(&name) else { return Ok(()) };
        if changes.is_empty() {
            return Ok(());
        }
        let changes = changes.clone();
        let mut after = before.clone();
        self.rewinding.state.apply_changes(path, &mut after)?;
        let (before, after) = (before.to_value(), after.to_value());
        let (new_before, new_after) = ((self.migrate)(before.clone())?, (self.migrate)(after.clone())?);
        let is_same =
            |old: &str, new: &str| new_before.get(new) == before.get(old) && new_after.get(new) == after.get(old);
        let kept = |change: &StoredChange| {
            let new = (self.carried)(root(change)).filter(|new| is_same(root(change), new))?;
            Some(StoredChange { path: change.path.with_root(new), edit: change.edit.clone() })
        };
        // Changes that the migration does not recompute stay as recorded, since branches are joined by their changes.
        let kept: Vec<StoredChange> = changes.iter().filter_map(kept).collect();
        let roots: HashSet<&str> = kept.iter().map(root).collect();
        let others = changes_between(&new_before, &new_after);
        let others = others.iter().map(StoredChange::whole).filter(|change| !roots.contains(root(change)));
        let migrated: Vec<StoredChange> = kept.iter().cloned().chain(others).collect();
        if migrated != changes {
            self.migrated.changes.insert(name, migrated);
        }
        Ok(())
    }
}

/// Returns the top-level key that a change affects.
fn root(change: &StoredChange) -> &str {
    match change.path.keys().first() {
        Some(Key::Name(name)) => name,
        _ => "",
    }
}
