//! Finds the steps that run again under a corrected definition, and the results to keep.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use llmspell_workflows_basic::{
    Order, Plan, StepId, StepPath,
    engine::DecisionKey,
    model::{ChangedNames, Pattern, StepChange},
};

use super::{
    Rewinding,
    again::{is_deadline, is_handler, is_made_after_steps, place},
    encloses, is_in_finally,
};
use crate::{record::End, run::StepState};

/// A corrected definition, compared with a run's definition. The rewind uses the corrected plan.
#[derive(Debug)]
pub struct Correction<'c> {
    /// The plan of the run.
    pub old: &'c Plan,
    /// The names with a different meaning in the corrected definition.
    pub names: &'c ChangedNames,
    /// Whether only steps of `finally` may run again.
    pub only_finally: bool,
}

/// Why a step runs again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cause {
    /// The caller chose the step, or the step failed or was cancelled.
    #[default]
    Requested,
    /// The step has changed.
    Changed,
    /// The step reads this variable, condition, constant or field of the input, which has changed.
    Reads(String),
    /// The step comes after this new step.
    New(String),
    /// The step comes after this step, which is missing from the corrected definition.
    Removed(String),
    /// The step has a different position in its list.
    Moved,
    /// The step was undone.
    Undone,
    /// The step comes after the step at this path, which runs again.
    Follows(String),
}

/// A past step that runs again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsAgain {
    /// The path of the step.
    pub path: String,
    /// Why it runs again.
    pub cause: Cause,
    /// Whether the step had completed.
    pub has_completed: bool,
    /// Whether the step is at-most-once, in the former or in the corrected definition.
    pub at_most_once: bool,
}

/// The effect of a corrected definition on the records of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Corrected {
    /// The recorded steps missing from the corrected definition. Their records no longer count.
    pub removed: Vec<String>,
    /// The changed steps that are kept nevertheless.
    pub kept: Vec<String>,
    /// The removed at-most-once steps whose effect is unknown.
    pub unknown: Vec<String>,
}

/// How to treat a recorded step.
enum Fate {
    Keep,
    /// Keeps the result of a changed step.
    KeepChanged,
    Remove,
    Redo(Cause),
    /// Keeps the results of the steps inside a block, and computes the block's own result again.
    Conclude,
}

impl Rewinding<'_> {
    /// Marks the steps that have changed since the run was planned, and the steps after them.
    ///
    /// Failed steps are left to [`Self::retry`], and steps being undone are not changed.
    pub fn correct(&mut self, correction: &Correction<'_>) -> Corrected {
        let mut corrected = Corrected::default();
        let mut changes = HashMap::new();
        let mut touched = Touched::default();
        let mut whole: HashSet<StepPath> = HashSet::new();
        for path in self.first.keys().cloned().collect::<Vec<_>>() {
            let mut enclosing = std::iter::successors(self.around(&path), |path| self.around(path));
            if enclosing.any(|block| whole.contains(&block))
                || path.segments().iter().any(|segment| segment.id.as_str() == "$undo")
                || (correction.only_finally && !is_in_finally(&path))
            {
                continue;
            }
            match self.fate(&path, correction, &mut changes) {
                Fate::Keep => touched.open_for_new_steps(self, &path, correction.old),
                Fate::KeepChanged => {
                    corrected.kept.push(path.to_string());
                    whole.insert(path);
                }
                Fate::Remove => {
                    corrected.unknown.extend(self.unknown_effects(&path, correction.old));
                    self.redo(&path);
                    touched.close_up(self, &path, correction.old);
                    corrected.removed.push(path.to_string());
                    whole.insert(path);
                }
                Fate::Redo(cause) => {
                    self.again.cause = cause;
                    self.redo_or_restart(&path);
                    touched.add(self, &path);
                    whole.insert(path);
                }
                Fate::Conclude => {
                    self.conclude_again(&path);
                    touched.add(self, &path);
                    touched.open_for_new_steps(self, &path, correction.old);
                }
            }
        }
        self.again.cause = Cause::Requested;
        touched.reopen(self, correction.only_finally);
        corrected
    }

    /// Returns the paths of the leaves that were executing when the run's last process ended.
    #[must_use]
    pub fn interrupted(&self) -> Vec<String> {
        let executing = self.state.steps().filter(|(_, step)| step.is_executing && step.end.is_none());
        executing.map(|(path, _)| path.to_owned()).collect()
    }

    /// Returns the past steps that run again under the corrected definition, each with its cause.
    #[must_use]
    pub fn runs_again(&self, old: Option<&Plan>) -> Vec<RunsAgain> {
        let all = self.again.leaves.keys().chain(&self.again.restarted);
        let in_plan = all.filter_map(|text| {
            let path: StepPath = text.parse().ok()?;
            // A compensation step runs only if its step has to be undone again.
            if path.segments().iter().any(|segment| segment.id.as_str() == "$undo") {
                return None;
            }
            let step = self.plan.step(&path)?;
            let was_at_most_once = old.and_then(|old| old.step(&path)).is_some_and(|step| step.at_most_once);
            Some(RunsAgain {
                cause: self.again.causes.get(text).cloned().unwrap_or_default(),
                has_completed: matches!(self.end(text), Some(End::Completed { .. })),
                at_most_once: step.at_most_once || was_at_most_once,
                path: text.clone(),
            })
        });
        in_plan.collect()
    }

    /// Returns the at-most-once steps at or inside `path` that have begun but not ended.
    fn unknown_effects(&self, path: &StepPath, old: &Plan) -> Vec<String> {
        let all = self.within(path).map(|(inner, _)| inner).filter(|inner| encloses(path, inner));
        let is_unknown = |inner: &&StepPath| {
            old.step(inner).is_some_and(|step| step.at_most_once)
                && self
                    .state
                    .step(&inner.to_string())
                    .is_some_and(|step| step.end.is_none() && (step.is_executing || step.stuck.is_some()))
        };
        all.filter(is_unknown).map(ToString::to_string).collect()
    }

    fn fate(
        &self,
        path: &StepPath,
        correction: &Correction<'_>,
        changes: &mut HashMap<[usize; 2], (StepChange, Option<String>)>,
    ) -> Fate {
        let text = path.to_string();
        let Some(new) = self.plan.step(path) else {
            // Plans do not contain steps called from code.
            return if correction.old.step(path).is_some() { Fate::Remove } else { Fate::Keep };
        };
        let Some(old) = correction.old.step(path) else { return Fate::Keep };
        let steps = [old, new].map(|step| std::ptr::from_ref(step).addr());
        let of_definition = changes.entry(steps).or_insert_with(|| {
            let of_workflow = match correction.old.sub_definition(path) == self.plan.sub_definition(path) {
                true => StepChange::Nothing,
                false => StepChange::Conclusion,
            };
            (old.change_to(new).max(of_workflow), new.reads(correction.names).map(str::to_owned))
        });
        let (change, name) = of_definition.clone();
        let is_block = !matches!(self.order(path, None), Some(Order::Leaf) | None);
        let needed = match self.end(&text) {
            // The step's failure is retried.
            Some(End::Failed(_)) if !is_block && self.failed_for_good(path) => return Fate::Keep,
            Some(End::Completed { .. }) => StepChange::Conclusion,
            Some(_) | None => StepChange::Handling,
        };
        if change < needed && name.is_none() {
            return Fate::Keep;
        }
        let step = self.state.step(&text);
        let is_kept = self.again.kept.contains(path)
            // A started sub-workflow keeps its input; its own definition may be corrected.
            || (self.end(&text).is_none() && step.is_some_and(|step| step.child().is_some()))
            // Only a person can tell whether an interrupted at-most-once step took effect.
            || step.is_some_and(|step| step.stuck().is_some())
            || (self.end(&text).is_none() && self.has_begun(&text) && (old.at_most_once || new.at_most_once));
        match name {
            _ if is_kept => Fate::KeepChanged,
            Some(name) if change < StepChange::Work => Fate::Redo(Cause::Reads(name)),
            _ if is_block && change <= StepChange::Conclusion => Fate::Conclude,
            _ => Fate::Redo(Cause::Changed),
        }
    }

    /// Runs a step again; a leaf that has not ended restarts at the same path.
    fn redo_or_restart(&mut self, path: &StepPath) {
        let text = path.to_string();
        let is_leaf = matches!(self.order(path, None), Some(Order::Leaf) | None);
        if !is_leaf || self.end(&text).is_some() {
            return self.redo(path);
        }
        let has_received = |step: &StepState| step.decisions.keys().any(|key| matches!(key, DecisionKey::Received(_)));
        // A step keeps a signal that it has received.
        if !self.state.step(&text).is_some_and(has_received) {
            self.undecide(&text, |_, _| true);
            self.again.causes.insert(text.clone(), self.again.cause.clone());
            self.again.restarted.insert(text);
        }
    }

    /// Computes the result of the block at `path` again from its steps' results; a loop may run
    /// further iterations.
    fn conclude_again(&mut self, path: &StepPath) {
        let text = path.to_string();
        let is_test = |key: &DecisionKey| matches!(key, DecisionKey::Until(_) | DecisionKey::While(_));
        let decisions = self.state.step(&text).map(|step| &step.decisions);
        let last_test = decisions.and_then(|made| made.keys().filter(|key| is_test(key)).max().cloned());
        self.again.reopened.insert(text.clone());
        self.undecide(&text, |key, _| is_made_after_steps(key) || Some(key) == last_test.as_ref());
        self.redo_cancelled(path, None);
    }
}

/// Returns whether `given` is the path of the step at `path`, or a suffix of that path. Iteration
/// and generation numbers may be omitted.
pub(super) fn matches(around: &str, path: &StepPath, given: &str) -> bool {
    let suffix = format!("/{}", given.trim_start_matches('/'));
    let forms = [path.to_string(), path.without_generations().to_string(), path.in_definition()];
    forms.iter().any(|form| format!("{around}{form}").ends_with(&suffix))
}

/// The blocks to reopen, with the steps in each that run again or are new.
#[derive(Default)]
struct Touched {
    children: BTreeMap<StepPath, BTreeSet<StepPath>>,
    opened: BTreeSet<StepPath>,
}

impl Touched {
    fn add(&mut self, rewinding: &Rewinding<'_>, path: &StepPath) {
        if let Some(around) = rewinding.around(path) {
            self.children.entry(around).or_default().insert(path.clone());
        }
    }

    /// Opens the block at `path` if its steps or their order differ between `old` and the corrected
    /// definition. Recorded steps that have moved or come after a new step run again.
    fn open_for_new_steps(&mut self, rewinding: &mut Rewinding<'_>, path: &StepPath, old: &Plan) {
        let is_route = || rewinding.plan.step(path).is_some_and(|step| step.kind.pattern() == Pattern::Route);
        let (before, now) = (old.inside(path), rewinding.plan.inside(path));
        // A route reaches a new step only through a changed step.
        if before == now || matches!(rewinding.end(&path.to_string()), Some(End::Skipped(_))) || is_route() {
            return;
        }
        self.opened.insert(path.clone());
        let inside = rewinding.inside(path);
        let place = |id: &StepId| now.iter().position(|other| *other == id);
        let mut redo = |rewinding: &mut Rewinding<'_>, cause: Cause, follows: &dyn Fn(&StepId) -> bool| {
            for (step, _) in inside.iter().filter(|(step, _)| step.id().is_some_and(follows) && !is_handler(step)) {
                rewinding.again.cause = cause.clone();
                rewinding.redo(step);
                self.add(rewinding, step);
            }
        };
        for new in now.iter().copied().filter(|id| !before.contains(id)) {
            let cause = Cause::New(format!("{path}/{new}"));
            match rewinding.plan.order(path, Some(new)) {
                Some(Order::Graph(dependents)) => redo(rewinding, cause, &|id| dependents.contains(id)),
                Some(Order::Sequential) => redo(rewinding, cause, &|id| place(id) > place(new)),
                _ => {}
            }
        }
        let common = before.iter().copied().filter(|id| now.contains(id));
        let moved = common.zip(now.iter().copied().filter(|id| before.contains(id))).find(|(old, new)| old != new);
        if let Some((_, first)) = moved
            && rewinding.plan.order(path, Some(first)) == Some(Order::Sequential)
        {
            redo(rewinding, Cause::Moved, &|id| place(id) >= place(first));
        }
    }

    /// Runs the steps after the removed step at `path` again.
    fn close_up(&mut self, rewinding: &mut Rewinding<'_>, path: &StepPath, old: &Plan) {
        let Some(around) = rewinding.around(path) else { return };
        let cause = Cause::Removed(path.to_string());
        let begun = rewinding.first.get(path).copied().unwrap_or_default();
        let order = path.id().and_then(|id| old.order(&around, Some(id)));
        let was_skipped = matches!(rewinding.end(&path.to_string()), Some(End::Skipped(_)));
        let siblings = if was_skipped { Vec::new() } else { rewinding.inside(&around) };
        let own = place(old, &around, path, begun);
        for (step, first) in siblings {
            let follows = match &order {
                Some(Order::Sequential) => place(old, &around, &step, first) > own,
                Some(Order::Graph(dependents)) => step.id().is_some_and(|id| dependents.contains(id)),
                _ => false,
            };
            if follows && step != *path && rewinding.plan.step(&step).is_some() {
                rewinding.again.cause = cause.clone();
                rewinding.redo(&step);
                self.add(rewinding, &step);
            }
        }
        self.opened.insert(around);
    }

    /// Reopens each block once, from the innermost to the outermost.
    fn reopen(mut self, rewinding: &mut Rewinding<'_>, only_finally: bool) {
        let depth = |rewinding: &Rewinding<'_>, path: &StepPath| {
            std::iter::successors(rewinding.around(path), |path| rewinding.around(path)).count()
        };
        let mut levels: BTreeMap<usize, BTreeSet<StepPath>> = BTreeMap::new();
        for path in self.children.keys().chain(&self.opened) {
            levels.entry(depth(rewinding, path)).or_default().insert(path.clone());
        }
        while let Some((level, blocks)) = levels.pop_last() {
            for block in blocks {
                let is_end = only_finally && block.segments().len() == 2;
                let children = self.children.remove(&block).unwrap_or_default();
                self.reopen_for(rewinding, &block, &children, is_end);
                if let Some(around) = rewinding.around(&block).filter(|_| !is_end) {
                    levels.entry(level - 1).or_default().insert(around.clone());
                    self.children.entry(around).or_default().insert(block);
                } else {
                    rewinding.reopen_entries(&block);
                }
            }
        }
    }

    fn reopen_for(
        &self,
        rewinding: &mut Rewinding<'_>,
        block: &StepPath,
        children: &BTreeSet<StepPath>,
        ignores_order: bool,
    ) {
        let earliest = children.iter().min_by_key(|child| {
            let first = rewinding.first.get(*child).copied().unwrap_or_default();
            place(rewinding.plan, block, child, first)
        });
        let is_graph = |child: &StepPath| matches!(rewinding.order(block, Some(child)), Some(Order::Graph(_)));
        let one_by_one: Vec<&StepPath> = children.iter().filter(|child| is_graph(child)).collect();
        for child in earliest.into_iter().chain(one_by_one) {
            rewinding.reopen_block(block, child, ignores_order);
        }
        if self.opened.contains(block) {
            let text = block.to_string();
            rewinding.undecide(&text, |key, _| is_made_after_steps(key) || is_deadline(key));
            rewinding.again.reopened.insert(text);
        }
    }
}
