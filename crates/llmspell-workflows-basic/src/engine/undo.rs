//! Undoing what steps did: each step's own `compensate`, in the reverse of the order in which they ended.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Asker, Call, CancelReason, Compensable, Failure, Outcome, Run, Scope, StuckStep, Tasks, call::decide, choice,
    execute, execute::enclosed,
};
use crate::{ErrorClass, PathLink, StepError, StepPath, sync::lock};

/// A step that has ended and can be undone.
#[derive(Debug, Clone)]
pub(crate) struct Undo {
    path: StepPath,
    input: Arc<Value>,
    output: Arc<Value>,
    /// Whether it is known to have done what it does.
    certain: bool,
}

/// What is to be undone, in the order in which it ended, and how far that has come.
#[derive(Debug, Default)]
pub(crate) struct Undos {
    list: Vec<Undo>,
    /// Whether a cancelled run is undone too.
    when_cancelled: bool,
    /// How many steps have been undone, and of how many somebody has said that they stay.
    undone: usize,
    given_up: usize,
    pub(crate) end: UndoEnd,
}

/// What came of undoing a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum UndoEnd {
    /// There was nothing to undo, or somebody gave a part of it up.
    #[default]
    No,
    /// All of it is undone.
    Compensated,
    /// A part of it cannot be undone, for this reason.
    Stuck(Box<StepError>),
}

/// How undoing was kept from its end.
pub(crate) enum Hindered {
    Failed(Box<StepError>),
    /// It waits, or the process goes down.
    Later(Outcome),
}

/// A step that can be undone: what it is called with is recorded before it begins.
pub(super) async fn undoable(call: Call) -> Outcome {
    let input = match input_of(&call) {
        Ok(input) => input,
        Err(error) => return call.failed(error),
    };
    let Compensable::With(input) = decide!(call, choice::Compensable, Compensable::With(input)) else {
        return enclosed(call).await;
    };
    let (run, path) = (call.run().clone(), call.path().to_path());
    let outcome = enclosed(call).await;
    run.note_undo(path, input, &outcome);
    outcome
}

fn input_of(call: &Call) -> Result<Arc<Value>, StepError> {
    match call.node().body.sub_workflow() {
        Some(plan) => Ok(plan.input.render(&call.view())?),
        None => Ok(call.shown_input()?.unwrap_or_default()),
    }
}

impl Run {
    /// Asks it to stop and to undo what it did.
    pub fn cancel_and_compensate(&self) {
        self.cancel_and_compensate_by(&Asker::default());
    }

    /// The same, asked by somebody else than this process.
    pub fn cancel_and_compensate_by(&self, by: &Asker) {
        lock(&self.undos).when_cancelled = true;
        self.cancelled_by(by, true);
    }

    /// Whether it has failed or was stopped, and has undone all that it did.
    #[must_use]
    pub fn is_compensated(&self) -> bool {
        lock(&self.undos).end == UndoEnd::Compensated
    }

    /// How the run comes back that would end with `outcome`: where undoing a step has failed, it is stuck at that.
    pub(super) fn kept_by_undo(&self, outcome: Outcome) -> Outcome {
        let stuck = match &lock(&self.undos).end {
            UndoEnd::Stuck(error) => (**error).clone(),
            UndoEnd::No | UndoEnd::Compensated => return outcome,
        };
        let cause = match outcome {
            Outcome::Failed(failure) => *failure.error,
            Outcome::Cancelled(cancelled) if cancelled.reason != CancelReason::Shutdown => cancelled.to_error(),
            other => return other,
        };
        let path = stuck.path.clone().unwrap_or_default();
        // What has to be resolved is the undoing as a whole, wherever in it the error is.
        let undo = path.find("/$undo").map_or(path.clone(), |at| path[..at + "/$undo".len()].to_owned());
        Outcome::Stuck(vec![StuckStep::new(undo, stuck.with_first_cause(cause))])
    }

    /// Notes how a step ended that can be undone.
    pub(super) fn note_undo(&self, path: StepPath, input: Arc<Value>, outcome: &Outcome) {
        let mut undos = lock(&self.undos);
        if undos.list.iter().any(|known| known.path == path) {
            return;
        }
        let is_leaf = || self.plan.step(&path).is_none_or(|step| step.kind.is_leaf());
        let (output, certain) = match outcome {
            Outcome::Completed(output) => {
                // What undoes a block undoes all of it.
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

    /// What is recorded as undone, or given up, is not undone again.
    pub(super) fn forget_undone(&self, steps: &[(StepPath, bool)]) {
        let mut undos = lock(&self.undos);
        for (path, is_undone) in steps {
            undos.list.retain(|undo| undo.path != *path);
            if *is_undone { undos.undone += 1 } else { undos.given_up += 1 }
        }
    }

    /// The run as a whole has ended so: undoes what it did where that is due.
    pub(super) async fn compensated(self: &Arc<Self>, outcome: Outcome) -> Outcome {
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
                    undos.end = UndoEnd::Compensated;
                }
                outcome
            }
            Err(Hindered::Failed(error)) => {
                lock(&self.undos).end = UndoEnd::Stuck(error);
                outcome
            }
            Err(Hindered::Later(later)) => later,
        }
    }

    /// Undoes everything that has ended at or under `under`, the last first.
    pub(crate) async fn undo(self: &Arc<Self>, under: Option<&StepPath>) -> Result<(), Hindered> {
        loop {
            let next = {
                let undos = lock(&self.undos);
                let mut last = undos.list.iter().rev();
                last.find(|undo| under.is_none_or(|under| under.contains(&undo.path))).cloned()
            };
            let Some(next) = next else { return Ok(()) };
            let is_undone = match self.undo_one(&next).await {
                Outcome::Completed(_) => true,
                // Somebody has said that it stays as it is.
                Outcome::Skipped(_) => false,
                Outcome::Failed(failure) if !failure.handled => return Err(Hindered::Failed(failure.error)),
                Outcome::Failed(_) => false,
                later => return Err(Hindered::Later(later)),
            };
            self.forget_undone(&[(next.path, is_undone)]);
        }
    }

    async fn undo_one(self: &Arc<Self>, undo: &Undo) -> Outcome {
        let Some(node) = self.plan.undo(&undo.path).cloned() else {
            return Outcome::failed(StepError::configuration(
                "unknown_step",
                format!("no step stands at {}", undo.path),
            ));
        };
        let call = self.root_call(&node, PathLink::of(&undo.path), self.begin_cleanup());
        let names = vec![
            ("input", undo.input.clone()),
            ("output", undo.output.clone()),
            ("certain", Arc::new(json!(undo.certain))),
        ];
        let scope = Scope::names(None, names);
        let state = call.around.state.clone();
        let call = call.seeing(Some(scope), state);
        Tasks::run(call, |call| Box::pin(execute(call))).await
    }
}
