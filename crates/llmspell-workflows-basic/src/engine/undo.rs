//! Undoes steps by running their `compensate` steps, in the reverse of the
//! order in which they ended.

use std::sync::{Arc, atomic::Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Asker, Call, CancelReason, Cancelled, ChildUndo, Compensable, Failure, Happening, Outcome, Run, Scope, StuckStep,
    Tasks, call::decide, choice, execute, execute::with_recovery,
};
use crate::{ErrorClass, PathLink, StepError, StepPath, sync::lock};

/// A step that has ended and can be undone.
#[derive(Debug, Clone)]
pub(crate) struct Undo {
    path: StepPath,
    input: Arc<Value>,
    output: Arc<Value>,
    /// Whether the step's effect is known to have happened.
    certain: bool,
    /// The child run to undo, if the step is a sub-workflow step without its own compensation step.
    /// Each attempt of the step has its own.
    child: Option<Uuid>,
}

/// The steps to undo, in the order they ended, and how far undoing has progressed.
#[derive(Debug, Default)]
pub(crate) struct Undos {
    list: Vec<Undo>,
    /// Steps that were running when the run's process ended, with their inputs. A step remains here
    /// until this process has executed it again.
    cut_off: Vec<(StepPath, Arc<Value>)>,
    /// Whether cancellation of the run was requested.
    is_requested: bool,
    /// Whether a cancelled run is also undone.
    when_cancelled: bool,
    /// The number of steps that have been undone; `given_up` counts steps deliberately left as is.
    undone: usize,
    given_up: usize,
    pub(crate) status: UndoStatus,
}

/// The result of undoing a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum UndoStatus {
    /// There was nothing to undo, or a step was deliberately left as is.
    #[default]
    NotCompensated,
    /// All steps are undone.
    Compensated,
    /// These compensation steps of the run, or of one of its child runs, have failed.
    Stuck(Vec<StuckStep>),
}

/// Why undoing did not finish.
pub(crate) enum IncompleteUndo {
    /// These compensation steps, of the run or of a child run, must be resolved.
    Stuck(Vec<StuckStep>),
    /// A compensation step is waiting, or the process is shutting down.
    Deferred(Outcome),
}

/// Executes an undoable step; its input is recorded before it begins.
pub(super) async fn execute_undoable(call: Call) -> Outcome {
    let input = match input_of(&call) {
        Ok(input) => input,
        Err(error) => return call.failed(error),
    };
    let Compensable::With(input) = decide!(call, choice::Compensable, Compensable::With(input)) else {
        return with_recovery(call).await;
    };
    let (run, path) = (call.run().clone(), call.path().to_path());
    let outcome = with_recovery(call).await;
    run.record_undoable(path, input, &outcome);
    outcome
}

fn input_of(call: &Call) -> Result<Arc<Value>, StepError> {
    match call.node().body.sub_workflow() {
        Some(plan) => Ok(plan.input.render(&call.view())?),
        None => Ok(call.real_input()?.unwrap_or_default()),
    }
}

impl Undos {
    /// Records a request to cancel the run; returns whether it asks for more than earlier requests
    /// did.
    pub(super) fn requested(&mut self, compensates: bool) -> bool {
        let is_new = !self.is_requested || (compensates && !self.when_cancelled);
        self.is_requested = true;
        self.when_cancelled |= compensates;
        is_new
    }

    /// Returns the next step to undo: the last step to end at or below `under`.
    ///
    /// Steps that were interrupted because a process ended count as the last to end, because all
    /// others had ended before.
    fn next(&mut self, under: Option<&StepPath>) -> Option<Undo> {
        let is_under = |path: &StepPath| under.is_none_or(|under| under.contains(path));
        let cut_off = self.cut_off.extract_if(.., |(path, _)| is_under(path));
        let cut_off =
            cut_off.map(|(path, input)| Undo { path, input, output: Arc::default(), certain: false, child: None });
        self.list.extend(cut_off);
        self.list.iter().rev().find(|undo| is_under(&undo.path)).cloned()
    }
}

impl Run {
    /// Requests that the run stop and undo its steps.
    pub fn cancel_and_compensate(&self) {
        self.cancel_and_compensate_by(&Asker::default());
    }

    /// Like [`cancel_and_compensate`](Self::cancel_and_compensate), but requested by `by` instead of this process.
    pub fn cancel_and_compensate_by(&self, by: &Asker) {
        self.cancelled_by(by, true);
    }

    /// Returns whether the run is undone if it is cancelled.
    #[must_use]
    pub fn compensates_when_cancelled(&self) -> bool {
        lock(&self.undos).when_cancelled
    }

    /// Returns whether the run failed or was cancelled, and all its steps are undone.
    #[must_use]
    pub fn is_compensated(&self) -> bool {
        lock(&self.undos).status == UndoStatus::Compensated
    }

    /// Returns the result of undoing this run, which has been undone as a child of another run.
    #[must_use]
    pub fn undo_result(&self) -> ChildUndo {
        match &*lock(&self.undos) {
            Undos { status: UndoStatus::Compensated, .. } => ChildUndo::Undone,
            Undos { given_up: 1.., .. } => ChildUndo::GivenUp,
            _ => ChildUndo::NothingToUndo,
        }
    }

    /// Returns `outcome`, or a stuck outcome if undoing a step has failed.
    pub(super) fn stuck_if_undo_failed(&self, outcome: Outcome) -> Outcome {
        let stuck = match &lock(&self.undos).status {
            UndoStatus::Stuck(steps) => steps.clone(),
            UndoStatus::NotCompensated | UndoStatus::Compensated => return outcome,
        };
        let cause = match outcome {
            Outcome::Failed(failure) => *failure.error,
            Outcome::Cancelled(cancelled) if cancelled.reason != CancelReason::Shutdown => cancelled.to_error(),
            other => return other,
        };
        let with_cause = |step: StuckStep| match step.around.is_empty() {
            true => StuckStep { error: Box::new(step.error.with_first_cause(cause.clone())), ..step },
            // A stuck step in a child run keeps that run's own cause.
            false => step,
        };
        Outcome::Stuck(stuck.into_iter().map(with_cause).collect())
    }

    /// Records the outcome of an undoable step.
    pub(super) fn record_undoable(&self, path: StepPath, input: Arc<Value>, outcome: &Outcome) {
        let mut undos = lock(&self.undos);
        if matches!(outcome, Outcome::Completed(_) | Outcome::Skipped(_) | Outcome::Failed(_)) || is_stopped(outcome) {
            undos.cut_off.retain(|(known, _)| *known != path);
        }
        if undos.list.iter().any(|known| known.path == path) {
            return;
        }
        let is_leaf = || self.plan.step(&path).is_none_or(|step| step.kind.is_leaf());
        let (output, certain) = match outcome {
            Outcome::Completed(output) => {
                // The compensation of a block undoes everything inside it.
                undos.list.retain(|inner| !path.contains(&inner.path));
                undos.cut_off.retain(|(inner, _)| !path.contains(inner));
                (output.value.to_arc(), true)
            }
            Outcome::Failed(Failure { error, .. })
                if matches!(error.class, ErrorClass::Timeout | ErrorClass::Poison)
                    // A step that was resolved manually as failed had no effect.
                    && error.code != "resolved_as_failed"
                    && is_leaf() =>
            {
                (Arc::default(), false)
            }
            other if is_stopped(other) && is_leaf() => (Arc::default(), false),
            _ => return,
        };
        undos.list.push(Undo { path, input, output, certain, child: None });
    }

    /// Records the outcome of an attempt of a sub-workflow step without its own compensation step,
    /// which is undone by undoing its child run. A failed child has usually undone its steps itself.
    pub(super) fn record_undoable_child(&self, path: StepPath, child: Uuid, outcome: &Outcome) {
        let has_ended = matches!(outcome, Outcome::Completed(_) | Outcome::Failed(_)) || is_stopped(outcome);
        if !has_ended || !self.plan.undoes_child_at(&path) {
            return;
        }
        let mut undos = lock(&self.undos);
        if !undos.list.iter().any(|known| known.child == Some(child)) {
            let (input, output) = (Arc::default(), Arc::default());
            undos.list.push(Undo { path, input, output, certain: true, child: Some(child) });
        }
    }

    /// Records that the child of the step at `path` has ended although the step has not, since its enclosing block ended
    /// first. The child is undone with the run, as far as it has not undone itself.
    pub fn record_ended_child(&self, path: &str, child: Uuid) {
        if let Ok(path) = path.parse() {
            let outcome = Outcome::cancelled(Cancelled::new(CancelReason::Requested));
            self.record_undoable_child(path, child, &outcome);
        }
    }

    /// Returns whether the run has a step that can be undone.
    #[must_use]
    pub fn has_undos(&self) -> bool {
        let undos = lock(&self.undos);
        !undos.list.is_empty() || !undos.cut_off.is_empty()
    }

    /// Requests, on behalf of `by`, that the run's steps be undone although its root step has
    /// ended. The run then ends as cancelled and compensated.
    pub fn undo_ended_by(&self, by: &Asker) {
        self.undoes_ended.store(true, Ordering::SeqCst);
        self.cancelled_by(by, true);
    }

    /// Records an undoable step that was running when the run's process ended.
    ///
    /// Unless the step runs again in this process, it is undone like a
    /// step that was cancelled while running.
    pub(super) fn record_cut_off(&self, path: StepPath, input: Arc<Value>) {
        if self.plan.step(&path).is_some_and(|step| step.kind.is_leaf() && step.compensate.is_some()) {
            lock(&self.undos).cut_off.push((path, input));
        }
    }

    /// Removes steps recorded as undone or given up, so they are not undone again.
    pub(super) fn remove_undone(&self, steps: &[(StepPath, bool)]) {
        let mut undos = lock(&self.undos);
        for (path, is_undone) in steps {
            undos.list.retain(|undo| undo.path != *path);
            undos.cut_off.retain(|(cut_off, _)| cut_off != path);
            if *is_undone { undos.undone += 1 } else { undos.given_up += 1 }
        }
    }

    /// Returns whether the steps of the run, whose root step ended with `outcome`, must be undone.
    pub(super) fn is_compensation_due(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Failed(_) => true,
            other => is_stopped(other) && self.compensates_when_cancelled(),
        }
    }

    /// Undoes the steps of the run, whose root step ended with `outcome`.
    pub(super) async fn compensate(self: &Arc<Self>, outcome: Outcome) -> Outcome {
        match Box::pin(self.undo(None)).await {
            Ok(()) => {
                let mut undos = lock(&self.undos);
                if undos.undone > 0 && undos.given_up == 0 {
                    undos.status = UndoStatus::Compensated;
                }
                outcome
            }
            Err(IncompleteUndo::Stuck(steps)) => {
                lock(&self.undos).status = UndoStatus::Stuck(steps);
                outcome
            }
            Err(IncompleteUndo::Deferred(later)) => later,
        }
    }

    /// Undoes all ended steps at or below `under`, in the reverse of the order in which they ended.
    pub(crate) async fn undo(self: &Arc<Self>, under: Option<&StepPath>) -> Result<(), IncompleteUndo> {
        loop {
            let next = lock(&self.undos).next(under);
            let Some(next) = next else { return Ok(()) };
            if let Some(child) = next.child {
                self.undo_child(&next.path, child).await?;
                continue;
            }
            let is_undone = match self.undo_one(&next).await {
                Outcome::Completed(_) => true,
                // The compensation was resolved manually, so the step is left as is.
                Outcome::Skipped(_) => false,
                Outcome::Failed(failure) if !failure.handled => return Err(failed_undo(*failure.error)),
                Outcome::Failed(_) => false,
                // The run does not cancel its cleanup, but a workflow that undoes the step can
                // itself be cancelled.
                Outcome::Cancelled(cancelled) if cancelled.reason != CancelReason::Shutdown => {
                    let error = cancelled.to_error().at(format!("{}/$undo", next.path));
                    return Err(failed_undo(error));
                }
                later => return Err(IncompleteUndo::Deferred(later)),
            };
            self.remove_undone(&[(next.path, is_undone)]);
        }
    }

    /// Undoes the child run of the step at `path`.
    async fn undo_child(self: &Arc<Self>, path: &StepPath, child: Uuid) -> Result<(), IncompleteUndo> {
        self.engine().stack().observe(self, Happening::UndoesChild { path, child });
        let undo = self.engine().children().undo(self, child).await;
        match undo.map_err(|error| failed_undo(error.at(path.to_string())))? {
            ended @ (ChildUndo::Undone | ChildUndo::GivenUp | ChildUndo::NothingToUndo) => {
                let mut undos = lock(&self.undos);
                undos.list.retain(|undo| undo.child != Some(child));
                match ended {
                    ChildUndo::Undone => undos.undone += 1,
                    ChildUndo::GivenUp => undos.given_up += 1,
                    _ => {}
                }
            }
            ChildUndo::Parked(wait) => {
                return Err(IncompleteUndo::Deferred(Outcome::Parked(self.clock().wait_to_run(wait))));
            }
            ChildUndo::Stuck(steps) => {
                let steps = steps.into_iter().map(|step| step.inside(path.to_string())).collect();
                return Err(IncompleteUndo::Stuck(steps));
            }
            ChildUndo::ShutDown => {
                let cancelled = Cancelled::new(CancelReason::Shutdown);
                return Err(IncompleteUndo::Deferred(Outcome::cancelled(cancelled)));
            }
        }
        Ok(())
    }

    async fn undo_one(self: &Arc<Self>, undo: &Undo) -> Outcome {
        let Some(node) = self.plan.undo(&undo.path).cloned() else {
            return Outcome::failed(StepError::configuration("unknown_step", format!("no step at {}", undo.path)));
        };
        let call = self.root_call(&node, PathLink::of(&undo.path), self.cleanup.clone());
        let names = vec![
            ("input", undo.input.clone()),
            ("output", undo.output.clone()),
            ("certain", Arc::new(json!(undo.certain))),
        ];
        let scope = Scope::names(None, names);
        let state = call.context.state.clone();
        let call = call.seeing(Some(scope), state);
        Tasks::run(call, |call| Box::pin(execute(call))).await
    }
}

/// Returns the result of a compensation step, or of a step inside it, that failed.
fn failed_undo(error: StepError) -> IncompleteUndo {
    let undo = compensation_of(error.path.as_deref().unwrap_or_default()).to_owned();
    IncompleteUndo::Stuck(vec![StuckStep::new(undo, error)])
}

/// Returns the path of the compensation step at or around the step at `path`. It must be resolved as a whole, no matter
/// which inner step failed.
fn compensation_of(path: &str) -> &str {
    let Some(at) = path.find("/$undo") else { return path };
    let end = path[at + 1..].find('/').map_or(path.len(), |length| at + 1 + length);
    &path[..end]
}

/// Returns whether a step was cancelled permanently, not just because the process is shutting down.
pub(super) fn is_stopped(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Cancelled(cancelled) if cancelled.reason != CancelReason::Shutdown)
}
