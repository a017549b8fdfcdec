//! The beginning and end of a run, around its root step.

use std::sync::{Arc, atomic::Ordering};

use serde_json::{Value, json};

use super::{
    Call, CallContext, Cancel, CancelReason, Cancelled, ChildEnd, Failure, Outcome, Run, Scope, SkipReason, Tasks,
    execute, undo::is_stopped,
};
use crate::{PathLink, StepError, plan::Node, state::WorkflowState};

impl Run {
    /// Executes the root step, then compensation and `finally`.
    pub(super) async fn execute_root(self: &Arc<Self>) -> Outcome {
        let call = self.root_call(&self.plan.root, None, self.cancel.clone());
        if let Some(trigger) = &self.plan.trigger
            && !trigger.test(&call.view()).unwrap_or_else(|error| {
                self.warn(
                    "condition_unevaluable",
                    call.path(),
                    format!("the trigger cannot be evaluated and counts as false: {error}"),
                );
                false
            })
        {
            let message = format!("the trigger `{}` is false for this input", trigger.source());
            return Outcome::Skipped(SkipReason::new("trigger_false", message));
        }
        let path = call.path().clone();
        // The root step runs in its own task, so that a step that blocks its thread can be abandoned.
        let mut outcome = Tasks::run(call, |call| Box::pin(execute(call))).await;
        if let Outcome::Completed(output) = &mut outcome {
            output.state_changes.splice(0..0, self.first_state.iter().cloned());
        }
        let is_shut_down = matches!(&outcome, Outcome::Cancelled(_)) && !is_stopped(&outcome);
        if !outcome.is_final() || is_shut_down {
            return outcome;
        }
        self.has_ended_root.store(true, Ordering::SeqCst);
        let outcome = match outcome {
            Outcome::Completed(_) | Outcome::Skipped(_) if self.undoes_ended.load(Ordering::SeqCst) => {
                Outcome::cancelled(Cancelled::new(CancelReason::Requested))
            }
            outcome => outcome,
        };
        let cleanup = self.cancel.begin_cleanup();
        let outcome = match self.end_children(&path, &outcome).await {
            Some(later) => later,
            None => self.clean_up(&path, outcome).await,
        };
        drop(cleanup);
        outcome
    }

    /// Ends the waiting children after the root step ended with `outcome`; returns an outcome if
    /// the run cannot end yet.
    async fn end_children(self: &Arc<Self>, main: &PathLink, outcome: &Outcome) -> Option<Outcome> {
        if !self.plan.has_sub_workflows() {
            return None;
        }
        let compensates = self.is_compensation_due(outcome);
        match self.engine().children().end(self, compensates).await {
            Ok(_) if self.is_shut_down() => Some(Outcome::cancelled(Cancelled::new(CancelReason::Shutdown))),
            Ok(Some(ChildEnd::Parked(wait))) => Some(Outcome::Parked(self.clock().wait_to_run(wait))),
            Ok(Some(ChildEnd::Stuck(steps))) => Some(Outcome::Stuck(steps)),
            Ok(_) => None,
            Err(error) => {
                self.warn("child_not_ended", main, format!("a sub-workflow could not be ended: {}", error.message));
                None
            }
        }
    }

    /// Undoes the run's steps if necessary, and runs `finally`. A cancellation stops neither of
    /// them.
    async fn clean_up(self: &Arc<Self>, main: &PathLink, outcome: Outcome) -> Outcome {
        let is_due = self.is_compensation_due(&outcome);
        let outcome = if is_due { self.compensate(outcome).await } else { outcome };
        if self.is_shut_down() && outcome.is_final() {
            // The run has not ended yet: it continues later, and `finally` runs after that.
            return Outcome::cancelled(Cancelled::new(CancelReason::Shutdown));
        }
        let outcome = match &self.plan.finally {
            Some(finally) if outcome.is_final() => self.finally(finally, main, outcome).await,
            _ => outcome,
        };
        // Someone may have requested compensation while `finally` ran.
        if !is_due && self.is_compensation_due(&outcome) && is_stopped(&outcome) {
            return self.compensate(outcome).await;
        }
        outcome
    }

    /// Runs the `finally` steps; if one of them fails, a completed run fails.
    async fn finally(self: &Arc<Self>, finally: &Arc<Node>, main: &PathLink, outcome: Outcome) -> Outcome {
        let error = match &outcome {
            Outcome::Cancelled(cancelled) => json!(cancelled.to_error().at(main.to_string())),
            outcome => outcome.error().map_or(Value::Null, |error| json!(error)),
        };
        let call = self.root_call(finally, Some(main.clone()), self.cleanup.clone());
        let scope = Scope::names(call.context.scope.clone(), vec![("error", Arc::new(error))]);
        let mut state = call.context.state.clone();
        if let Outcome::Completed(output) = &outcome {
            let state = Arc::make_mut(&mut state);
            for change in &output.state_changes {
                // The root step has applied the same changes, so this cannot fail.
                let _ = state.apply(change.clone(), self.now());
            }
        }
        let call = call.seeing(Some(scope), state);
        let last = Tasks::run(call, |call| Box::pin(execute(call))).await;
        let errors = match last {
            Outcome::Failed(failure) => std::iter::once(*failure.error).chain(failure.later_errors).collect(),
            Outcome::Cancelled(cancelled) if cancelled.reason != CancelReason::Shutdown => {
                vec![cancelled.to_error().at(format!("{main}/$finally"))]
            }
            later @ (Outcome::Parked(_) | Outcome::Stuck(_) | Outcome::Cancelled(_)) => return later,
            Outcome::Completed(last) => {
                let mut outcome = outcome;
                if let Outcome::Completed(output) = &mut outcome {
                    output.state_changes.extend(last.state_changes);
                }
                return outcome;
            }
            Outcome::Skipped(_) => return outcome,
        };
        with_later_errors(outcome, errors)
    }

    /// Creates a call of the root step, or of a step directly below it.
    pub(super) fn root_call(self: &Arc<Self>, node: &Arc<Node>, parent: Option<PathLink>, cancel: Cancel) -> Call {
        let mut state = WorkflowState::new(self.input().clone());
        for change in &self.first_state {
            // Setting a whole key never fails.
            let _ = state.apply(change.clone(), self.now());
        }
        let state = Arc::new(state);
        let scope = parent.as_ref().and_then(|_| self.root_scope());
        Call::new(Arc::new(CallContext::new(self.clone(), parent, scope, state, cancel)), node)
    }
}

/// Adds the errors of cleanup steps to the outcome of a run. The run keeps its first error.
fn with_later_errors(outcome: Outcome, errors: Vec<StepError>) -> Outcome {
    let mut errors = errors.into_iter();
    match outcome {
        Outcome::Failed(failure) => Outcome::Failed(failure.with_later_errors(errors)),
        Outcome::Cancelled(mut cancelled) => {
            cancelled.later_errors.extend(errors);
            Outcome::Cancelled(cancelled)
        }
        outcome => match errors.next() {
            Some(first) => Outcome::Failed(Failure::new(first).with_later_errors(errors)),
            None => outcome,
        },
    }
}
