use std::time::Duration;

use llmspell_workflows_basic::{
    ErrorClass, StepError,
    engine::{Call, Outcome, Output, SkipReason},
    state::Change,
};
use serde_json::Value;

use super::{
    HookLayer,
    ask::{answer_key, cancel_run},
    point_set::PointSet,
};
use crate::{Course, HookPoint, Verdict, context::Details};

/// A step that is about to run, as modified by hooks.
pub(super) struct StepEntry {
    /// The call, with the modified input, activity and state.
    pub(super) call: Call,
    /// The state changes that hooks made before the step.
    pub(super) changes: Vec<Change>,
    /// The inputs for concurrent runs of the step, if a hook forked it.
    pub(super) fork: Option<Vec<Value>>,
    /// The cache key and the lifetime of the step's output, if a hook asked to cache the output.
    pub(super) cache: Option<(String, Duration)>,
}

impl HookLayer {
    /// Asks the hooks before a step, outermost first. If the step does not run, `Err` contains its outcome.
    pub(super) async fn enter(&self, call: Call, point_sets: &[PointSet]) -> Result<StepEntry, Box<Outcome>> {
        let mut entry = StepEntry { call, changes: Vec::new(), fork: None, cache: None };
        for point_set in point_sets {
            let verdict =
                self.ask(&entry.call, point_set.before, answer_key(point_set.before, 0), Details::default).await;
            let verdict = verdict.map_err(|error| failed_outcome(&entry.call, error))?;
            if let Some(verdict) = verdict {
                entry.obey(point_set.before, verdict).await?;
            }
        }
        Ok(entry)
    }
}

impl StepEntry {
    async fn obey(&mut self, point: HookPoint, verdict: Verdict) -> Result<(), Box<Outcome>> {
        let Verdict { input, state, course, wake_at, output: _ } = verdict;
        if !state.is_empty() {
            self.change(state)?;
        }
        if let Some(input) = input {
            let call = self.call.clone().with_shown_input(input);
            self.call = call.map_err(|error| failed_outcome(&self.call, error))?;
        }
        match course {
            // The effect has not been undone, so the run is stuck rather than cancelled.
            Course::Cancel(reason) if point == HookPoint::CompensationStart => {
                let message = format!("a hook at {point} forbade undoing the step: {reason}");
                let error = StepError::new(ErrorClass::Poison, "compensation_forbidden", message).retryable(false);
                return Err(failed_outcome(&self.call, error));
            }
            Course::Cancel(reason) => return Err(Box::new(cancel_run(&self.call, point, &reason))),
            Course::Skip(reason) => return Err(Box::new(skipped(&self.call, reason))),
            Course::Replace(value) => {
                let state_changes = std::mem::take(&mut self.changes);
                return Err(Box::new(Outcome::Completed(Output { value: value.into(), state_changes })));
            }
            Course::Redirect(activity) => {
                let call = self.call.clone().with_activity(activity);
                self.call = call.map_err(|error| failed_outcome(&self.call, error))?;
            }
            Course::Fork(inputs) => self.fork = Some(inputs),
            Course::Cache { key, ttl } => self.cache = Some((key, ttl)),
            _ => {}
        }
        match wake_at {
            Some(wake_at) => self.call.wait_until(wake_at).await.map_or(Ok(()), |outcome| Err(Box::new(outcome))),
            None => Ok(()),
        }
    }

    fn change(&mut self, changes: Vec<Change>) -> Result<(), Box<Outcome>> {
        let mut state = self.call.state().clone();
        for change in &changes {
            let applied = state.apply(change.clone(), self.call.run().now());
            applied.map_err(|error| {
                failed_outcome(
                    &self.call,
                    StepError::validation("state_blocked", format!("cannot apply a hook's state changes: {error}")),
                )
            })?;
        }
        self.call = self.call.with_state(state);
        self.changes.extend(changes);
        Ok(())
    }
}

/// Returns the outcome of `call`'s step when it fails with `error`.
pub(super) fn failed_outcome(call: &Call, error: StepError) -> Box<Outcome> {
    Box::new(Outcome::failed(call.run().masker().masked_error(error.at(call.path()))))
}

/// Returns the outcome of `call`'s step if a hook skips it for `reason`.
pub(super) fn skipped(call: &Call, reason: String) -> Outcome {
    Outcome::Skipped(call.run().masker().masked_reason(SkipReason::new("skipped_by_hook", reason)))
}
