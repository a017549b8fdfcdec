//! The beginning and the end of a run, around its root step.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Call, CallContext, Cancel, CancelReason, Cancelled, Failure, Outcome, Run, Scope, SkipReason, Tasks, execute,
};
use crate::{
    PathLink, StepError,
    expr::{self, Segment, Template},
    plan::Node,
    state::WorkflowState,
};

impl Run {
    /// Computes the variables of the run, in the order of their declaration.
    pub(super) fn with_variables(mut self, environment: Option<&str>) -> Result<Self, StepError> {
        let plan = self.plan.clone();
        let overrides = match environment {
            None => None,
            Some(name) => Some(plan.environments.get(name).ok_or_else(|| {
                let mut known: Vec<_> = plan.environments.keys().map(String::as_str).collect();
                known.sort_unstable();
                let known = if known.is_empty() {
                    "the workflow has no environments".to_owned()
                } else {
                    format!("known environments: {}", known.join(", "))
                };
                let message = format!("unknown environment `{name}` ({known})");
                StepError::configuration("unknown_environment", message)
            })?),
        };
        for (name, template) in &plan.variables {
            let template: &Template = overrides.and_then(|overrides| overrides.get(name)).unwrap_or(template);
            let value = template.render(&InitialScope(&self)).map_err(|error| {
                let error = StepError::from(error);
                StepError { message: format!("variable `{name}`: {}", error.message), ..error }
            })?;
            self.variables.insert(name.clone(), (*value).clone());
        }
        Ok(self)
    }

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
        let outcome = self.compensate_if_due(outcome).await;
        match &self.plan.finally {
            Some(finally) if outcome.is_final() => self.finally(finally, &path, outcome).await,
            _ => outcome,
        }
    }

    /// Runs the `finally` steps, even if the run was cancelled; if they fail, the run fails.
    async fn finally(self: &Arc<Self>, finally: &Arc<Node>, main: &PathLink, outcome: Outcome) -> Outcome {
        if self.cancel.reason() == Some(CancelReason::Shutdown) {
            // The run has not ended yet: it continues later, and `finally` runs after that.
            return match outcome {
                Outcome::Cancelled(cancelled) => Outcome::Cancelled(cancelled),
                _ => Outcome::Cancelled(Cancelled::new(CancelReason::Shutdown)),
            };
        }
        let error = outcome.error().map_or(Value::Null, |error| json!(error));
        let call = self.root_call(finally, Some(main.clone()), self.begin_cleanup());
        let scope = Scope::names(call.context.scope.clone(), vec![("error", Arc::new(error))]);
        let mut state = call.context.state.clone();
        if let Outcome::Completed(output) = &outcome {
            let state = Arc::make_mut(&mut state);
            for change in &output.state_changes {
                // The root step has applied the same changes, so this cannot fail.
                let _ = state.apply(change.clone(), self.clock().now());
            }
        }
        let call = call.seeing(Some(scope), state);
        match (Tasks::run(call, |call| Box::pin(execute(call))).await, outcome) {
            (Outcome::Failed(second), outcome) => {
                let error = match outcome {
                    Outcome::Failed(first) => second.error.with_first_cause(*first.error),
                    _ => *second.error,
                };
                Outcome::Failed(Failure { error: Box::new(error), handled: false })
            }
            (later @ (Outcome::Parked(_) | Outcome::Stuck(_)), _) => later,
            (Outcome::Cancelled(cancelled), _) if cancelled.reason == CancelReason::Shutdown => {
                Outcome::Cancelled(cancelled)
            }
            (Outcome::Cancelled(left), Outcome::Cancelled(mut cancelled)) => {
                cancelled.absorb(left);
                Outcome::Cancelled(cancelled)
            }
            (Outcome::Cancelled(cancelled), Outcome::Completed(_) | Outcome::Skipped(_)) => {
                Outcome::Cancelled(cancelled)
            }
            (Outcome::Completed(last), Outcome::Completed(mut output)) => {
                output.state_changes.extend(last.state_changes);
                Outcome::Completed(output)
            }
            (_, outcome) => outcome,
        }
    }

    /// Creates a call of the root step, or of a step directly below it.
    pub(super) fn root_call(self: &Arc<Self>, node: &Arc<Node>, parent: Option<PathLink>, cancel: Cancel) -> Call {
        let mut state = WorkflowState::new(self.input().clone());
        for change in &self.first_state {
            // Setting a whole key never fails.
            let _ = state.apply(change.clone(), self.clock().now());
        }
        let state = Arc::new(state);
        let scope = parent.as_ref().and_then(|_| self.root_scope());
        Call::new(Arc::new(CallContext::new(self.clone(), parent, scope, state, cancel)), node)
    }
}

/// The scope before any step has run: the input, and the variables computed so far.
struct InitialScope<'a>(&'a Run);

impl expr::Scope for InitialScope<'_> {
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(std::borrow::Cow<'s, Value>, usize)> {
        use std::borrow::Cow::Borrowed;
        let key = keys.first().and_then(Segment::name);
        match name {
            "input" => Some((Borrowed(self.0.input()), 0)),
            "task" => Some((Borrowed(self.0.task()), 0)),
            "workflow" if key == Some("input") => Some((Borrowed(self.0.input()), 1)),
            "variables" => Some((Borrowed(self.0.variable(key?)?), 1)),
            "env" => Some((Borrowed(self.0.env(key?)?), 1)),
            "run" if key == Some("started_at") => {
                Some((std::borrow::Cow::Owned(self.0.started_at().to_string().into()), 1))
            }
            _ => {
                let found =
                    self.0.input().get(name).or_else(|| self.0.parameter(name)).or_else(|| self.0.variable(name));
                found.map(|value| (Borrowed(value), 0))
            }
        }
    }

    fn available(&self) -> Vec<String> {
        let fields = self.0.input().as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        fields.into_iter().chain(self.0.variable_names()).collect()
    }
}
