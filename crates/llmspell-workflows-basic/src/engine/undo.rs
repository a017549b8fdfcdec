//! Undoes steps by running their `compensate` steps, in the reverse of the order in which the steps ended.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Asker, Call, CancelReason, Compensable, Failure, Outcome, Run, Scope, StuckStep, Tasks, call::decide, choice,
    execute, execute::with_recovery,
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
}

/// The steps to undo, in the order in which they ended, and the progress of undoing.
#[derive(Debug, Default)]
pub(crate) struct Undos {
    list: Vec<Undo>,
    /// Whether a cancelled run is undone too.
    when_cancelled: bool,
    /// The number of steps that have been undone; `given_up` counts the steps that were deliberately left as they are.
    undone: usize,
    given_up: usize,
    pub(crate) status: UndoStatus,
}

/// The result of undoing a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum UndoStatus {
    /// There was nothing to undo, or a step was deliberately left as it is.
    #[default]
    NotCompensated,
    /// All steps are undone.
    Compensated,
    /// A step cannot be undone, for this reason.
    Stuck(Box<StepError>),
}

/// Why undoing did not finish.
pub(crate) enum IncompleteUndo {
    Failed(Box<StepError>),
    /// A compensation step is waiting, or the process is shutting down.
    Deferred(Outcome),
}

/// Executes a step that can be undone; its input is recorded before it begins.
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

impl Run {
    /// Requests that the run stop and undo its steps.
    pub fn cancel_and_compensate(&self) {
        self.cancel_and_compensate_by(&Asker::default());
    }

    /// Like [`cancel_and_compensate`](Self::cancel_and_compensate), but requested by `by` instead of this process.
    pub fn cancel_and_compensate_by(&self, by: &Asker) {
        lock(&self.undos).when_cancelled = true;
        self.cancelled_by(by, true);
    }

    /// Returns whether the run failed or was cancelled, and all its steps are undone.
    #[must_use]
    pub fn is_compensated(&self) -> bool {
        lock(&self.undos).status == UndoStatus::Compensated
    }

    /// Returns `outcome`, or a stuck outcome if undoing a step has failed.
    pub(super) fn stuck_if_undo_failed(&self, outcome: Outcome) -> Outcome {
        let stuck = match &lock(&self.undos).status {
            UndoStatus::Stuck(error) => (**error).clone(),
            UndoStatus::NotCompensated | UndoStatus::Compensated => return outcome,
        };
        let cause = match outcome {
            Outcome::Failed(failure) => *failure.error,
            Outcome::Cancelled(cancelled) if cancelled.reason != CancelReason::Shutdown => cancelled.to_error(),
            other => return other,
        };
        let path = stuck.path.clone().unwrap_or_default();
        // The compensation step has to be resolved as a whole, regardless of where inside it the error occurred.
        let undo = path.find("/$undo").map_or(path.clone(), |at| path[..at + "/$undo".len()].to_owned());
        Outcome::Stuck(vec![StuckStep::new(undo, stuck.with_first_cause(cause))])
    }

    /// Records the outcome of a step that can be undone.
    pub(super) fn record_undoable(&self, path: StepPath, input: Arc<Value>, outcome: &Outcome) {
        let mut undos = lock(&self.undos);
        if undos.list.iter().any(|known| known.path == path) {
            return;
        }
        let is_leaf = || self.plan.step(&path).is_none_or(|step| step.kind.is_leaf());
        let (output, certain) = match outcome {
            Outcome::Completed(output) => {
                // The compensation of a block undoes everything inside it.
                undos.list.retain(|inner| !path.contains(&inner.path));
                (output.value.to_arc(), true)
            }
            Outcome::Failed(Failure { error, .. })
                if matches!(error.class, ErrorClass::Timeout | ErrorClass::Poison) && is_leaf() =>
            {
                (Arc::default(), false)
            }
            Outcome::Cancelled(cancelled) if cancelled.reason != CancelReason::Shutdown && is_leaf() => {
                (Arc::default(), false)
            }
            _ => return,
        };
        undos.list.push(Undo { path, input, output, certain });
    }

    /// Removes steps that are recorded as undone or given up, so they are not undone again.
    pub(super) fn remove_undone(&self, steps: &[(StepPath, bool)]) {
        let mut undos = lock(&self.undos);
        for (path, is_undone) in steps {
            undos.list.retain(|undo| undo.path != *path);
            if *is_undone { undos.undone += 1 } else { undos.given_up += 1 }
        }
    }

    /// Undoes the steps of the run that ended with `outcome`, if they have to be undone.
    pub(super) async fn compensate_if_due(self: &Arc<Self>, outcome: Outcome) -> Outcome {
        let is_due = match &outcome {
            Outcome::Failed(_) => true,
            Outcome::Cancelled(cancelled) => {
                cancelled.reason != CancelReason::Shutdown && lock(&self.undos).when_cancelled
            }
            _ => false,
        };
        if !is_due {
            return outcome;
        }
        match Box::pin(self.undo(None)).await {
            Ok(()) => {
                let mut undos = lock(&self.undos);
                if undos.undone > 0 && undos.given_up == 0 {
                    undos.status = UndoStatus::Compensated;
                }
                outcome
            }
            Err(IncompleteUndo::Failed(error)) => {
                lock(&self.undos).status = UndoStatus::Stuck(error);
                outcome
            }
            Err(IncompleteUndo::Deferred(later)) => later,
        }
    }

    /// Undoes all ended steps at or below `under`, in the reverse of the order in which they ended.
    pub(crate) async fn undo(self: &Arc<Self>, under: Option<&StepPath>) -> Result<(), IncompleteUndo> {
        loop {
            let next = {
                let undos = lock(&self.undos);
                let mut last = undos.list.iter().rev();
                last.find(|undo| under.is_none_or(|under| under.contains(&undo.path))).cloned()
            };
            let Some(next) = next else { return Ok(()) };
            let is_undone = match self.undo_one(&next).await {
                Outcome::Completed(_) => true,
                // The compensation was resolved by hand, so the step is left as it is.
                Outcome::Skipped(_) => false,
                Outcome::Failed(failure) if !failure.handled => return Err(IncompleteUndo::Failed(failure.error)),
                Outcome::Failed(_) => false,
                later => return Err(IncompleteUndo::Deferred(later)),
            };
            self.remove_undone(&[(next.path, is_undone)]);
        }
    }

    async fn undo_one(self: &Arc<Self>, undo: &Undo) -> Outcome {
        let Some(node) = self.plan.undo(&undo.path).cloned() else {
            return Outcome::failed(StepError::configuration("unknown_step", format!("no step at {}", undo.path)));
        };
        let call = self.root_call(&node, PathLink::of(&undo.path), self.begin_cleanup());
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
