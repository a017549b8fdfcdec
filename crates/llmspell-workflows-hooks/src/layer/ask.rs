use std::sync::Arc;

use llmspell_workflows_basic::{
    ErrorClass, StepError,
    engine::{Asker, Call, Cancel, CancelReason, Cancelled, Choice, Outcome, Who, choice},
};
use serde::Deserialize;
use serde_json::Value;

use super::HookLayer;
use crate::{
    Course, HookFailure, HookPoint, HookReport, Verdict, cache::later, context::Details, selector::is_activity,
};

/// The error code of a step whose run was cancelled by a hook.
const CANCELLED: &str = "cancelled_by_hook";

/// The key of a decision that records a hook answer.
pub(super) trait AnswerKey: Choice<Value = Arc<Value>> + Clone {}

impl<C: Choice<Value = Arc<Value>> + Clone> AnswerKey for C {}

impl HookLayer {
    /// Returns the recorded answer of the hooks at `point`, or asks them now; `None` if the answer changes nothing.
    pub(super) async fn ask(
        &self,
        call: &Call,
        point: HookPoint,
        key: impl AnswerKey,
        details: impl FnOnce() -> Details,
    ) -> Result<Option<Verdict>, StepError> {
        if !self.0.has_engine_hooks_at(point) {
            return Ok(None);
        }
        match self.recorded(call, point, key.clone()).await? {
            Some(recorded) => Ok(Some(recorded)),
            None => self.ask_now((call, call), point, key, details()).await,
        }
    }

    /// Returns the recorded answer of the hooks at `point`.
    pub(super) async fn recorded(
        &self,
        call: &Call,
        point: HookPoint,
        key: impl AnswerKey,
    ) -> Result<Option<Verdict>, StepError> {
        if !self.0.has_engine_hooks_at(point) {
            return Ok(None);
        }
        call.recall(key).await?.map(|value| read(point, &value)).transpose()
    }

    /// Asks the hooks at `point` about `current`; an answer that changes anything is recorded under `call`.
    pub(super) async fn ask_now(
        &self,
        (call, current): (&Call, &Call),
        point: HookPoint,
        key: impl AnswerKey,
        details: Details,
    ) -> Result<Option<Verdict>, StepError> {
        let Some(members) = self.0.members(point, call) else { return Ok(None) };
        let result = self.0.fire_at(point, members, current, details).await;
        if let Some(report) = result.required_failure() {
            let mut error = report.to_error();
            error = call.run().masker().masked_error(error);
            return Err(error.at(call.path()));
        }
        let verdict = self.settle(call, result.verdict);
        if verdict.is_continue() {
            return Ok(None);
        }
        if let Err(message) = check_fit(call, &verdict) {
            let failure = HookFailure::Unfit(message);
            let report = HookReport { hook: "*".into(), point, failure, cut_off: false, required: false };
            self.0.report(call, &report);
            return Ok(None);
        }
        let value = serde_json::to_value(&verdict).map_err(|error| unreadable(point, &error))?;
        let answer = call.decide(key, Arc::new(value)).await?;
        read(point, &answer).map(Some)
    }

    /// Prepares a verdict for recording: a delay becomes a wake time, and a cache hit becomes the cached output.
    fn settle(&self, call: &Call, mut verdict: Verdict) -> Verdict {
        let now = call.run().now();
        match &verdict.course {
            Course::Retry { delay, .. } | Course::Delay(delay) if !delay.is_zero() => {
                verdict.wake_at = Some(later(now, *delay));
            }
            Course::Cache { key, .. } => {
                if let Some(hit) = self.0.cache.get(key, now) {
                    verdict.course = Course::Replace(hit.value.to_arc());
                    verdict.state.extend(hit.state_changes);
                }
            }
            _ => {}
        }
        verdict
    }
}

/// Checks that `verdict` fits the step of `call`; the error explains a mismatch.
fn check_fit(call: &Call, verdict: &Verdict) -> Result<(), String> {
    let needs_activity = match &verdict.course {
        Course::Redirect(_) => Some("redirects"),
        Course::Fork(_) => Some("forks"),
        _ => verdict.input.is_some().then_some("modifies the input of"),
    };
    let calls_activity = is_activity(call.step());
    match needs_activity {
        Some(what) if !calls_activity => {
            let kind = call.step().kind.as_str();
            Err(format!("it {what} a step of kind `{kind}`, which does not call an activity"))
        }
        _ => Ok(()),
    }
}

/// Returns the key of the answer at `point` in `round`.
pub(super) fn answer_key(point: HookPoint, round: u64) -> choice::HookAnswer {
    choice::HookAnswer(point.as_str().into(), round)
}

fn read(point: HookPoint, value: &Value) -> Result<Verdict, StepError> {
    Verdict::deserialize(value).map_err(|error| unreadable(point, &error))
}

fn unreadable(point: HookPoint, error: &serde_json::Error) -> StepError {
    StepError::configuration("hook_answer_unreadable", format!("cannot read the recorded answer at {point}: {error}"))
}

/// Cancels the run for `reason` and returns the step's outcome.
pub(super) fn cancel_run(call: &Call, point: HookPoint, reason: &str) -> Outcome {
    call.run().warn(CANCELLED, call.path(), format!("a hook at {point} cancelled the run: {reason}"));
    call.run().cancel_by(&Asker::new(Who::Hook).with_reason(format!("{point}: {reason}")));
    Outcome::cancelled(Cancelled::new(CancelReason::Requested))
}

/// Converts a failure into a cancellation if a hook at a decision in the step cancelled the run.
pub(super) fn or_cancelled(cancel: &Cancel, outcome: Outcome) -> Outcome {
    match &outcome {
        Outcome::Failed(failure) if failure.error.code == CANCELLED && cancel.is_cancelled() => {
            Outcome::cancelled(Cancelled::new(cancel.reason().unwrap_or(CancelReason::Requested)))
        }
        _ => outcome,
    }
}

/// Cancels the run like [`cancel_run`], but returns an error, as decisions require.
pub(super) fn cancel_error(call: &Call, point: HookPoint, reason: &str) -> StepError {
    let _ = cancel_run(call, point, reason);
    StepError::new(ErrorClass::Cancelled, CANCELLED, format!("a hook at {point} cancelled the run: {reason}"))
}
