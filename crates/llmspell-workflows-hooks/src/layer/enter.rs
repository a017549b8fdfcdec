use std::time::Duration;

use llmspell_workflows_basic::{
    ErrorClass, StepError,
    engine::{Call, Outcome, Output, SkipReason},
    state::Change,
};
use serde_json::Value;

use super::{
    HookLayer,
    ask::{answer_at, cancelled},
    passage::Passage,
};
use crate::{Course, HookPoint, Verdict, context::About};

/// A step about to run, as hooks have made it.
pub(super) struct Entered {
    /// With its input, activity and state as modified.
    pub(super) call: Call,
    /// What hooks changed in the state before it.
    pub(super) changes: Vec<Change>,
    /// The inputs for which it runs at the same time, if so.
    pub(super) fork: Option<Vec<Value>>,
    /// Where its output is kept.
    pub(super) cache: Option<(String, Duration)>,
}

impl HookLayer {
    /// Asks the hooks before a step, outermost first; `Err` is how the step ends without running.
    pub(super) async fn enter(&self, call: Call, passages: &[Passage]) -> Result<Entered, Box<Outcome>> {
        let mut entered = Entered { call, changes: Vec::new(), fork: None, cache: None };
        for passage in passages {
            let verdict = self.ask(&entered.call, passage.before, answer_at(passage.before, 0), About::default).await;
            let verdict = verdict.map_err(|error| ended(&entered.call, error))?;
            if let Some(verdict) = verdict {
                entered.obey(passage.before, verdict).await?;
            }
        }
        Ok(entered)
    }
}

impl Entered {
    async fn obey(&mut self, point: HookPoint, verdict: Verdict) -> Result<(), Box<Outcome>> {
        let Verdict { input, state, course, wake_at, output: _ } = verdict;
        if !state.is_empty() {
            self.change(state)?;
        }
        if let Some(input) = input {
            let call = self.call.clone().with_shown_input(input);
            self.call = call.map_err(|error| ended(&self.call, error))?;
        }
        match course {
            // What is to be undone is still there, so the run is stuck, and not cancelled.
            Course::Cancel(reason) if point == HookPoint::CompensationStart => {
                let message = format!("a hook at {point} forbids to undo the step: {reason}");
                let error = StepError::new(ErrorClass::Poison, "compensation_forbidden", message).retryable(false);
                return Err(ended(&self.call, error));
            }
            Course::Cancel(reason) => return Err(Box::new(cancelled(&self.call, point, &reason))),
            Course::Skip(reason) => return Err(Box::new(skipped(reason))),
            Course::Replace(value) => {
                let state_changes = std::mem::take(&mut self.changes);
                return Err(Box::new(Outcome::Completed(Output { value: value.into(), state_changes })));
            }
            Course::Redirect(activity) => {
                let call = self.call.clone().with_activity(activity);
                self.call = call.map_err(|error| ended(&self.call, error))?;
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
                ended(&self.call, StepError::validation("state_blocked", format!("what a hook changes: {error}")))
            })?;
        }
        self.call = self.call.with_state(state);
        self.changes.extend(changes);
        Ok(())
    }
}

/// The step of `call` failed with `error`.
pub(super) fn ended(call: &Call, error: StepError) -> Box<Outcome> {
    Box::new(Outcome::failed(error.at(call.path())))
}

pub(super) fn skipped(reason: String) -> Outcome {
    Outcome::Skipped(SkipReason::new("skipped_by_hook", reason))
}
