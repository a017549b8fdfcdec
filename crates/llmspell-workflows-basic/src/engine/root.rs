//! The beginning and end of a run, around its root step.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use serde_json::{Value, json};

use super::{
    Call, CallContext, Cancel, CancelReason, Cancelled, ChildEnd, Failure, Outcome, Run, Scope, SkipReason, Tasks,
    execute, undo::is_stopped,
};
use crate::{
    PathLink, StepError,
    expr::{self, Key, Segment, Template},
    plan::{Node, circles::variable_order},
    state::WorkflowState,
};

impl Run {
    /// Computes the run's variables, each after the variables that it refers to. An environment
    /// variable in `recorded` has its recorded value.
    pub(super) fn with_variables(
        mut self,
        environment: Option<&str>,
        recorded: BTreeMap<String, Option<String>>,
    ) -> Result<Self, StepError> {
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
        let order = variable_order(&plan.variables, overrides).map_err(|circle| {
            let message = format!("the variables {} refer to each other in a cycle", circle.join(", "));
            StepError::configuration("circular_reference", message)
        })?;
        let mut names: Vec<&str> = Vec::new();
        if !plan.definition.env.is_empty() {
            let templates =
                order.iter().filter_map(|name| overrides.and_then(|it| it.get(*name)).or(plan.variables.get(*name)));
            for found in templates.flat_map(Template::references).filter(|found| found.reference.name == "env") {
                match found.reference.keys.first() {
                    Some(Key::Name(name)) => names.push(name),
                    // The name is computed.
                    _ => names.extend(plan.definition.env.iter().map(String::as_str)),
                }
            }
        }
        for name in names {
            let current = || self.env(name).and_then(Value::as_str).map(str::to_owned);
            let value = recorded.get(name).cloned().unwrap_or_else(current);
            self.variable_env.insert(name.to_owned(), value);
        }
        for name in order {
            let template = overrides.and_then(|overrides| overrides.get(name)).unwrap_or(&plan.variables[name]);
            let value = template.render(&InitialScope(&self)).map_err(|error| {
                let error = StepError::from(error);
                StepError { message: format!("variable `{name}`: {}", error.message), ..error }
            })?;
            self.variables.insert(name.to_owned(), (*value).clone());
        }
        Ok(self)
    }

    /// Returns the environment variables from which the variables of the run were computed; `None` if one was not set.
    ///
    /// A run that resumes computes its variables from the same values, see [`Resume::with_env`](super::Resume::with_env).
    #[must_use]
    pub fn variable_env(&self) -> &BTreeMap<String, Option<String>> {
        &self.variable_env
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

    /// Undoes the run's steps if necessary, and runs `finally`; a cancellation stops neither.
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

/// The scope before any step has run: the input, and the variables computed so far.
struct InitialScope<'a>(&'a Run);

impl expr::Scope for InitialScope<'_> {
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(std::borrow::Cow<'s, Value>, usize)> {
        use std::borrow::Cow::{Borrowed, Owned};
        let key = keys.first().and_then(Segment::name);
        match name {
            "input" => Some((Borrowed(self.0.input()), 0)),
            "task" => Some((Borrowed(self.0.task()), 0)),
            "workflow" if key == Some("input") => Some((Borrowed(self.0.input()), 1)),
            "variables" => Some((Borrowed(self.0.variable(key?)?), 1)),
            "env" => Some((Owned(self.0.variable_env.get(key?)?.clone()?.into()), 1)),
            "run" if key == Some("started_at") => Some((Owned(self.0.started_at().to_string().into()), 1)),
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
