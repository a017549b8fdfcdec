//! Finds the steps that run again.

use llmspell_workflows_basic::{
    Order, Plan, StepPath,
    engine::DecisionKey,
    model::{OnError, Pattern},
};

use super::{Cause, RewindError, Rewinding, correct::matches, encloses};
use crate::record::{ChoiceRef, End};

impl Rewinding<'_> {
    /// Returns whether the step at `path` failed and neither its failure nor that of an enclosing
    /// block was handled.
    pub(super) fn failed_for_good(&self, path: &StepPath) -> bool {
        let failed = |path: &StepPath| {
            let text = path.to_string();
            matches!(self.end(&text), Some(End::Failed(failure)) if !failure.handled) && !self.is_handled(path, &text)
        };
        let mut at = Some(path.clone());
        while let Some(path) = at {
            if !failed(&path) {
                return false;
            }
            if is_finally(&path) {
                return true;
            }
            at = self.around(&path);
        }
        true
    }

    /// Returns whether the enclosing block survives the failure of the step at `path`.
    fn is_handled(&self, path: &StepPath, text: &str) -> bool {
        // The failure of the root fails the run, even if a handler ran.
        if path.segments().len() == 1 {
            return false;
        }
        match self.plan.step(path).map(|step| &step.on_error) {
            Some(OnError::Continue) => true,
            Some(OnError::Steps(_)) => {
                matches!(self.end(&format!("{text}/$on_error")), Some(End::Completed { .. } | End::Skipped(_)))
            }
            Some(OnError::Fail) | None => false,
        }
    }

    pub(super) fn order(&self, path: &StepPath, child: Option<&StepPath>) -> Option<Order> {
        self.plan.order(path, child.and_then(StepPath::id))
    }

    /// Returns the step that directly contains the step at `path`; for an iteration, this is its loop.
    pub(super) fn around(&self, path: &StepPath) -> Option<StepPath> {
        let (last, before) = path.segments().split_last()?;
        let mut without = last.clone();
        without.iteration = None;
        let whole = StepPath::new(before.iter().cloned().chain([without]).collect());
        let is_iteration =
            last.iteration.is_some() && self.plan.step(&whole).is_some_and(|step| step.kind.pattern() == Pattern::Loop);
        if is_iteration {
            return Some(whole);
        }
        (!before.is_empty()).then(|| StepPath::new(before.to_vec()))
    }

    /// Returns the valid steps directly inside the step at `path`, each with the number of its first record.
    pub(super) fn inside(&self, path: &StepPath) -> Vec<(StepPath, u64)> {
        let children = self.within(path).filter(|(child, _)| self.around(child).as_ref() == Some(path));
        children.map(|(child, first)| (child.clone(), *first)).collect()
    }

    /// Returns all steps at and under `path`; for a loop, this includes its iterations.
    pub(super) fn within<'s>(&'s self, path: &'s StepPath) -> impl Iterator<Item = (&'s StepPath, &'s u64)> {
        // In path order, an iteration is directly followed by its contents, and then by the other iterations.
        let is_iteration = path.segments().last().is_some_and(|segment| segment.iteration.is_some());
        self.near(path).take_while(move |(other, _)| !is_iteration || path.contains(other))
    }

    /// Returns all steps at and under `path` and its siblings with the same id, in path order, beginning at `path`.
    fn near<'s>(&'s self, path: &'s StepPath) -> impl Iterator<Item = (&'s StepPath, &'s u64)> {
        let last = path.segments().len() - 1;
        let is_near = move |other: &StepPath| {
            other.segments().get(..last) == Some(&path.segments()[..last])
                && other.segments().get(last).is_some_and(|segment| segment.id == path.segments()[last].id)
        };
        self.first.range(path.clone()..).take_while(move |(other, _)| is_near(other))
    }

    /// Keeps the results of the recorded steps named by `given` and of the steps inside them:
    /// completed and skipped steps do not run again. `given` is a path or a suffix of a path, with
    /// or without iteration numbers. Returns whether any step matches.
    ///
    /// `around` is the path of the parent run's step that runs this run as a sub-workflow; it is
    /// put in front of each path.
    ///
    /// # Errors
    /// Returns an error if one of these steps has been undone.
    pub fn keep(&mut self, around: &str, given: &str) -> Result<bool, RewindError> {
        let named: Vec<&StepPath> = self.first.keys().filter(|path| matches(around, path, given)).collect();
        if let Some(undone) = self.undone().into_iter().find(|undone| named.iter().any(|path| path.contains(undone))) {
            return Err(RewindError::KeepsUndone { path: format!("{around}{undone}") });
        }
        let inside = named.iter().flat_map(|path| {
            self.within(path).map(|(inner, _)| inner).filter(move |inner| encloses(path, inner) || inner == path)
        });
        let has_result =
            |path: &&StepPath| matches!(self.end(&path.to_string()), Some(End::Completed { .. } | End::Skipped(_)));
        let kept: Vec<StepPath> = inside.filter(has_result).cloned().collect();
        let is_known = !named.is_empty();
        self.again.kept.extend(kept);
        Ok(is_known)
    }

    /// Runs the whole step at `path` again.
    pub(super) fn redo(&mut self, path: &StepPath) {
        // What has been undone stays undone: the step's next generation has compensation steps of its own.
        let is_undo = |inner: &StepPath| is_in_undo(inner) && !is_in_undo(path);
        let is_redone = |inner: &StepPath| encloses(path, inner) && !self.again.kept.contains(inner) && !is_undo(inner);
        let all: Vec<StepPath> =
            self.within(path).filter(|(inner, _)| is_redone(inner)).map(|(inner, _)| inner.clone()).collect();
        for inner in all {
            let text = inner.to_string();
            let is_leaf = matches!(self.order(&inner, None), Some(Order::Leaf) | None);
            let has_run = matches!(self.end(&text), Some(End::Completed { .. } | End::Failed(_) | End::Cancelled(_)))
                || self.has_begun(&text)
                // Under the same path, the step would find the former run of its sub-workflow.
                || self.state.step(&text).is_some_and(|step| step.child().is_some());
            if is_leaf && has_run {
                self.reenter(&inner);
            } else {
                self.undecide(&text, |_, _| true);
                self.again.reopened.insert(text);
            }
        }
    }

    pub(super) fn reenter(&mut self, leaf: &StepPath) {
        let text = leaf.to_string();
        if self.again.cause != Cause::Requested {
            self.again.following.insert(text.clone());
        }
        if self.again.leaves.contains_key(&text) {
            return;
        }
        let known = self.state.reentered().iter().find(|(entry, _)| self.state.entered(entry) == text);
        let entry = known.map_or_else(|| text.clone(), |(entry, _)| entry.clone());
        let last = self.generations.entry(leaf.with_generation(1).to_string()).or_insert(1);
        *last += 1;
        self.again.causes.insert(text.clone(), self.again.cause.clone());
        self.again.leaves.insert(text, (entry, *last));
    }

    /// Reopens a block that itself failed, so that it is retried with its steps' results.
    pub(super) fn reopen_failed(&mut self, path: &StepPath) {
        let text = path.to_string();
        self.again.reopened.insert(text.clone());
        self.undecide(&text, |key, _| is_made_after_steps(key));
        self.redo_cancelled(path, None);
    }

    /// Reopens the blocks that enclose the step at `path`, and runs their later steps again.
    pub(super) fn reopen_around(&mut self, path: &StepPath) {
        self.reopen_blocks(path, false);
    }

    /// Reopens the blocks in the run's `finally` that enclose the step at `path`. Other steps of
    /// `finally` are kept unless they depend on that step.
    pub(super) fn reopen_in_finally(&mut self, path: &StepPath) {
        self.reopen_blocks(path, true);
    }

    fn reopen_blocks(&mut self, path: &StepPath, only_finally: bool) {
        if only_finally && is_finally(path) {
            return;
        }
        let mut child = path.clone();
        while let Some(around) = self.around(&child) {
            let is_last = only_finally && is_finally(&around);
            self.reopen_block(&around, &child, is_last);
            if is_last {
                return;
            }
            child = around;
        }
        self.reopen_entries(&child);
    }

    /// Reopens the block at `around`, which contains the step at `child`, and runs the steps
    /// after `child` again. With `ignores_order`, the later steps of a sequence are kept.
    pub(super) fn reopen_block(&mut self, around: &StepPath, child: &StepPath, ignores_order: bool) {
        self.reopen_entries(child);
        let text = around.to_string();
        let begun = self.first.get(child).copied().unwrap_or_default();
        self.again.reopened.insert(text.clone());
        self.undecide(&text, |key, number| number > begun || is_deadline(key));
        let order = self.order(around, Some(child));
        let order = order.filter(|order| !ignores_order || *order != Order::Sequential);
        self.again.cause = Cause::Follows(child.to_string());
        let own = place(self.plan, around, child, begun);
        for (sibling, first) in self.inside(around) {
            let follows = match &order {
                Some(Order::Sequential) => place(self.plan, around, &sibling, first) > own,
                Some(Order::Graph(dependents)) => sibling.id().is_some_and(|id| dependents.contains(id)),
                _ => false,
            };
            if sibling != *child && follows {
                self.redo(&sibling);
            }
        }
        self.again.cause = Cause::Requested;
        self.redo_cancelled(around, Some(child));
    }

    /// Reopens the entries of a retried block.
    ///
    /// The records of such a block contain the block as its first entry, and each attempt as a
    /// separate entry. Later attempts run again, and the choices to make these attempts are made
    /// again.
    pub(super) fn reopen_entries(&mut self, path: &StepPath) {
        let begun = self.first.get(path).copied().unwrap_or_default();
        let Some(last) = path.segments().last().cloned() else { return };
        let is_entry = |other: &StepPath| {
            other.segments().len() == path.segments().len()
                && other != path
                && other.segments().last().is_some_and(|entry| entry.iteration == last.iteration)
        };
        let first = path.with_generation(1);
        let entries = self.near(&first).map(|(other, _)| other);
        let entries: Vec<StepPath> = entries.filter(|other| is_entry(other)).cloned().collect();
        for entry in entries {
            let generation = entry.segments().last().map_or(1, |segment| segment.generation);
            if generation > last.generation {
                self.redo(&entry);
            } else if !matches!(self.order(&entry, None), Some(Order::Leaf) | None) {
                let text = entry.to_string();
                self.undecide(&text, |key, number| number > begun && counts_attempts(key));
                self.again.reopened.insert(text);
            }
        }
    }

    /// Runs the handlers and the cancelled steps inside the step at `path` again.
    pub(super) fn redo_cancelled(&mut self, path: &StepPath, but: Option<&StepPath>) {
        for (child, _) in self.inside(path) {
            if Some(&child) == but {
                continue;
            }
            if is_handler(&child) { self.redo(&child) } else { self.redo_if_cancelled(&child) }
        }
    }

    /// Runs the cancelled steps at and inside the step at `path` again. Blocks that have not ended, including handlers,
    /// resume where they stopped.
    pub(super) fn redo_if_cancelled(&mut self, path: &StepPath) {
        match self.end(&path.to_string()) {
            Some(End::Cancelled(_)) if matches!(self.order(path, None), Some(Order::Leaf) | None) => self.redo(path),
            Some(End::Cancelled(_)) => self.reopen_failed(path),
            Some(_) => {}
            None => self.inside(path).iter().for_each(|(child, _)| self.redo_if_cancelled(child)),
        }
    }

    /// Runs the cancelled handlers of the step at `path` again.
    pub(super) fn redo_cancelled_handlers(&mut self, path: &StepPath) {
        let handlers = self.inside(path).into_iter().filter(|(child, _)| is_handler(child));
        handlers.for_each(|(handler, _)| self.redo_if_cancelled(&handler));
    }

    pub(super) fn undecide(&mut self, path: &str, which: impl Fn(&DecisionKey, u64) -> bool) {
        let Some(step) = self.state.step(path) else { return };
        let made = step.decisions.iter().filter(|(key, decided)| which(key, decided.number));
        self.again.undecided.extend(made.map(|(key, _)| ChoiceRef { path: path.to_owned(), key: key.clone() }));
    }
}

/// Returns the position of the step at `path`, whose first record is `first`, in the block at
/// `around`, for comparison with other steps in the block.
///
/// Records are in list order unless a step was interrupted and another step was then added in
/// front of it. Steps of a route, iterations and handlers are in record order.
pub(super) fn place(plan: &Plan, around: &StepPath, path: &StepPath, first: u64) -> (usize, u64) {
    if plan.step(around).is_some_and(|block| block.kind.pattern() == Pattern::Route) {
        return (0, first);
    }
    let nth = plan.inside(around).iter().position(|id| path.id() == Some(*id));
    (nth.unwrap_or(usize::MAX), first)
}

/// Returns whether the step at `path` is a compensation step or is inside one.
fn is_in_undo(path: &StepPath) -> bool {
    path.segments().iter().any(|segment| segment.id.as_str() == "$undo")
}

/// Returns whether the step at `path` is a handler of the block that contains it.
pub(super) fn is_handler(path: &StepPath) -> bool {
    path.id().is_some_and(|id| id.as_str().starts_with('$'))
}

/// Returns whether the step at `path` is the run's `finally`.
pub(super) fn is_finally(path: &StepPath) -> bool {
    path.segments().len() == 2 && path.id().is_some_and(|id| id.as_str() == "$finally")
}

/// Returns whether `key` is a time that is recomputed when a step runs again.
pub(super) fn is_deadline(key: &DecisionKey) -> bool {
    matches!(key, DecisionKey::TotalDeadline | DecisionKey::AttemptDeadline(_) | DecisionKey::LastBegin)
}

/// Returns whether `key` determines how often a step is attempted.
fn counts_attempts(key: &DecisionKey) -> bool {
    match key {
        DecisionKey::Attempt(_)
        | DecisionKey::RetryGeneration(_)
        | DecisionKey::RouteGeneration(_)
        | DecisionKey::HookGeneration(_) => true,
        DecisionKey::Enter
        | DecisionKey::Branch
        | DecisionKey::Items
        | DecisionKey::While(_)
        | DecisionKey::Until(_)
        | DecisionKey::Transition(_)
        | DecisionKey::EndedNth(_)
        | DecisionKey::FirstFailed
        | DecisionKey::TotalDeadline
        | DecisionKey::AttemptDeadline(_)
        | DecisionKey::LastBegin
        | DecisionKey::Awaits(_)
        | DecisionKey::Received(_)
        | DecisionKey::StartedAt
        | DecisionKey::Now(_)
        | DecisionKey::Random(_)
        | DecisionKey::Input
        | DecisionKey::Child(_)
        | DecisionKey::Compensable
        | DecisionKey::Resolved(_)
        | DecisionKey::HookAnswer(..)
        | DecisionKey::HookAnswerTo(_)
        | DecisionKey::HookAnswerToSignal(_)
        | DecisionKey::ForkPart => false,
    }
}

/// Returns whether a block makes this choice after its steps have ended. Such a choice is made again when some of the
/// steps run again.
pub(super) fn is_made_after_steps(key: &DecisionKey) -> bool {
    match key {
        DecisionKey::EndedNth(_)
        | DecisionKey::FirstFailed
        | DecisionKey::Resolved(_)
        | DecisionKey::Attempt(_)
        | DecisionKey::HookAnswer(..)
        | DecisionKey::HookAnswerTo(_)
        | DecisionKey::HookAnswerToSignal(_)
        | DecisionKey::ForkPart => true,
        DecisionKey::TotalDeadline | DecisionKey::AttemptDeadline(_) | DecisionKey::LastBegin => true,
        DecisionKey::Enter
        | DecisionKey::Branch
        | DecisionKey::Items
        | DecisionKey::While(_)
        | DecisionKey::Until(_)
        | DecisionKey::Transition(_)
        | DecisionKey::RetryGeneration(_)
        | DecisionKey::RouteGeneration(_)
        | DecisionKey::HookGeneration(_)
        | DecisionKey::Awaits(_)
        | DecisionKey::Received(_)
        | DecisionKey::StartedAt
        | DecisionKey::Now(_)
        | DecisionKey::Random(_)
        | DecisionKey::Input
        | DecisionKey::Child(_)
        | DecisionKey::Compensable => false,
    }
}
