//! The state as another version of the definition has it.

use std::collections::{HashMap, HashSet};

use llmspell_workflows_basic::{
    Order, StepPath, WorkflowState,
    state::{Key, changes_between},
};
use serde_json::Value;

use super::{RewindError, Rewinding};
use crate::{
    record::{End, KeptChange, Migrated, Record},
    run::replay::Replay,
};

impl Rewinding<'_> {
    /// What the records come to where `migrate` makes a state of another version of each state that a step has seen or
    /// left; the plan is that of the version so far. `carried` says what a top-level key is called where its value stays
    /// what it is: what steps did to it stays as it is recorded.
    ///
    /// # Errors
    /// Those of `migrate`; or the records make no sense.
    pub fn migrated<E: From<RewindError>>(
        &self,
        migrate: impl FnMut(Value) -> Result<Value, E>,
        carried: impl Fn(&str) -> Option<String>,
    ) -> Result<Migrated, E> {
        let replay = Replay::read(self.records.to_vec()).map_err(RewindError::Damaged)?;
        let mut ended = HashMap::new();
        for (number, record) in self.records.iter().enumerate() {
            if let Record::Ended { path, .. } = record {
                ended.insert(&**path, number);
            }
        }
        let first = replay.first_state();
        let mut walk = Walk { rewinding: self, replay, ended, migrate, carried, migrated: Migrated::default() };
        walk.begin(&first)?;
        let mut migrated = walk.migrated;
        migrated.undecided = self.open_conflicts();
        Ok(migrated)
    }

    /// What was chosen between states that branches have left which have not come together: they do so again.
    fn open_conflicts(&self) -> Vec<(String, String, u64)> {
        let is_open = |path: &str, kind: &str| kind == "resolved" && !self.ends.contains_key(path);
        let open = self.decisions.iter().filter(|(path, kind, ..)| is_open(path, kind));
        open.map(|(path, kind, index, _)| ((*path).to_owned(), (*kind).to_owned(), *index)).collect()
    }
}

/// On the way through the steps, each with the state that it saw.
struct Walk<'r, 'a, F, C> {
    rewinding: &'r Rewinding<'a>,
    replay: Replay,
    /// With which record each step ended.
    ended: HashMap<&'a str, usize>,
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

    /// The step at `path`, which saw the state `before`, and all inside of it.
    fn step(&mut self, path: &StepPath, before: &WorkflowState) -> Result<(), E> {
        self.changes(path, before)?;
        let mut inside = self.rewinding.inside(path);
        inside.sort_by_key(|(_, first)| *first);
        match self.rewinding.order(path, None) {
            Some(Order::InTurn) => self.in_turn(&inside, before),
            _ if self.is_graph(path, &inside) => {
                inside.iter().try_for_each(|(child, _)| self.apart(path, child, &inside, before))
            }
            _ => inside.iter().try_for_each(|(child, _)| self.step(child, before)),
        }
    }

    fn is_graph(&self, path: &StepPath, inside: &[(StepPath, usize)]) -> bool {
        let order = |child: &StepPath| self.rewinding.order(path, Some(child));
        inside.iter().any(|(child, _)| matches!(order(child), Some(Order::Graph(_))))
    }

    /// One after the other: each sees what had ended when it began.
    fn in_turn(&mut self, inside: &[(StepPath, usize)], before: &WorkflowState) -> Result<(), E> {
        let mut moments: Vec<(usize, bool, &StepPath)> = Vec::new();
        for (child, first) in inside {
            moments.push((*first, false, child));
            if let Some(end) = self.ended.get(&*child.to_string()) {
                moments.push((*end, true, child));
            }
        }
        moments.sort_unstable_by_key(|(number, is_end, _)| (*number, *is_end));
        let mut state = before.clone();
        for (_, is_end, child) in moments {
            match is_end {
                true => self.replay.apply(child, &mut state)?,
                false => self.step(child, &state)?,
            }
        }
        Ok(())
    }

    /// At the same time as others: it sees what it depends on.
    fn apart(
        &mut self,
        path: &StepPath,
        child: &StepPath,
        inside: &[(StepPath, usize)],
        before: &WorkflowState,
    ) -> Result<(), E> {
        let mut state = before.clone();
        for (other, _) in inside.iter().filter(|(other, _)| other != child) {
            if let Some(Order::Graph(dependents)) = self.rewinding.order(path, Some(other))
                && child.id().is_some_and(|id| dependents.contains(id))
            {
                self.replay.apply(other, &mut state)?;
            }
        }
        self.step(child, &state)
    }

    /// Notes what the step at `path` changes in the migrated state, where that is something else.
    fn changes(&mut self, path: &StepPath, before: &WorkflowState) -> Result<(), E> {
        let name = path.to_string();
        let Some(End::Completed { changes, .. }) = self.replay.end(&name).filter(|_| self.ended.contains_key(&*name))
        else {
            return Ok(());
        };
        if changes.is_empty() {
            return Ok(());
        }
        let changes = changes.clone();
        let mut after = before.clone();
        self.replay.apply(path, &mut after)?;
        let (before, after) = (before.to_value(), after.to_value());
        let (new_before, new_after) = ((self.migrate)(before.clone())?, (self.migrate)(after.clone())?);
        let is_same =
            |old: &str, new: &str| new_before.get(new) == before.get(old) && new_after.get(new) == after.get(old);
        let kept = |change: &KeptChange| {
            let new = (self.carried)(root(change)).filter(|new| is_same(root(change), new))?;
            Some(KeptChange { path: change.path.with_root(new), edit: change.edit.clone() })
        };
        // What the migration does not compute stays as it is recorded: branches come together by what they did.
        let kept: Vec<KeptChange> = changes.iter().filter_map(kept).collect();
        let roots: HashSet<&str> = kept.iter().map(root).collect();
        let others = changes_between(&new_before, &new_after);
        let others = others.iter().map(KeptChange::whole).filter(|change| !roots.contains(root(change)));
        let migrated: Vec<KeptChange> = kept.iter().cloned().chain(others).collect();
        if migrated != changes {
            self.migrated.changes.insert(name, migrated);
        }
        Ok(())
    }
}

/// The top-level key that a change is about.
fn root(change: &KeptChange) -> &str {
    match change.path.keys().first() {
        Some(Key::Name(name)) => name,
        _ => "",
    }
}
