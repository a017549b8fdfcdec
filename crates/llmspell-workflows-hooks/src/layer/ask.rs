use std::sync::Arc;

use llmspell_workflows_basic::{
    ErrorClass, StepError,
    engine::{Asker, Call, Cancel, CancelReason, Cancelled, Choice, Outcome, Who, choice},
};
use serde::Deserialize;
use serde_json::Value;

use super::HookLayer;
use crate::{Course, HookPoint, Report, Trouble, Verdict, cache::later, context::About, selector::is_activity};

/// The code of a step that a hook stopped together with its run.
const CANCELLED: &str = "cancelled_by_hook";

/// A choice that is the answer of hooks.
pub(super) trait AnswerKey: Choice<Value = Arc<Value>> + Clone {}

impl<C: Choice<Value = Arc<Value>> + Clone> AnswerKey for C {}

impl HookLayer {
    /// What hooks at `point` say: as recorded, else as they say now; `None` where they let things go on.
    pub(super) async fn ask(
        &self,
        call: &Call,
        point: HookPoint,
        key: impl AnswerKey,
        about: impl FnOnce() -> About,
    ) -> Result<Option<Verdict>, StepError> {
        if !self.0.stands_at(point) {
            return Ok(None);
        }
        match self.known(call, point, key.clone()).await? {
            Some(known) => Ok(Some(known)),
            None => self.fresh((call, call), point, key, about()).await,
        }
    }

    /// What is recorded of hooks at `point`.
    pub(super) async fn known(
        &self,
        call: &Call,
        point: HookPoint,
        key: impl AnswerKey,
    ) -> Result<Option<Verdict>, StepError> {
        if !self.0.stands_at(point) {
            return Ok(None);
        }
        call.recall(key).await?.map(|value| read(point, &value)).transpose()
    }

    /// What hooks at `point` say now of the second call, recorded at the first if it changes anything.
    pub(super) async fn fresh(
        &self,
        (call, current): (&Call, &Call),
        point: HookPoint,
        key: impl AnswerKey,
        about: About,
    ) -> Result<Option<Verdict>, StepError> {
        let Some(members) = self.0.members(point, call) else { return Ok(None) };
        let fired = self.0.fire_at(point, members, current, about).await;
        if let Some(report) = fired.refusal() {
            let mut error = report.to_error();
            error.message = masked(call, error.message);
            return Err(error.at(call.path()));
        }
        let verdict = self.settled(call, fired.verdict);
        if verdict.is_continue() {
            return Ok(None);
        }
        if let Err(message) = fits(call, &verdict) {
            let trouble = Trouble::Unfit(message);
            let report = Report { hook: "*".into(), point, trouble, cut_off: false, required: false };
            self.0.report(call, &report);
            return Ok(None);
        }
        let mut value = serde_json::to_value(&verdict).map_err(|error| unreadable(point, &error))?;
        call.run().mask(&mut value);
        let answer = call.decide(key, Arc::new(value)).await?;
        read(point, &answer).map(Some)
    }

    /// The verdict as it is recorded: with points in time instead of lengths, and with what the cache holds.
    fn settled(&self, call: &Call, mut verdict: Verdict) -> Verdict {
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

/// A text of a hook's without the run's secrets.
fn masked(call: &Call, text: String) -> String {
    let mut value = Value::String(text);
    call.run().mask(&mut value);
    value.as_str().unwrap_or_default().to_owned()
}

/// Why `verdict` does not fit the step of `call`.
fn fits(call: &Call, verdict: &Verdict) -> Result<(), String> {
    let needs_activity = match &verdict.course {
        Course::Redirect(_) => Some("redirects"),
        Course::Fork(_) => Some("forks"),
        _ => verdict.input.is_some().then_some("modifies the input of"),
    };
    let calls_activity = is_activity(call.step());
    match needs_activity {
        Some(what) if !calls_activity => {
            let kind = call.step().kind.as_str();
            Err(format!("it {what} a step of kind `{kind}`, which calls no activity"))
        }
        _ => Ok(()),
    }
}

/// The key of the answer at `point` in `round`.
pub(super) fn answer_at(point: HookPoint, round: u64) -> choice::HookAnswer {
    choice::HookAnswer(point.as_str().into(), round)
}

fn read(point: HookPoint, value: &Value) -> Result<Verdict, StepError> {
    Verdict::deserialize(value).map_err(|error| unreadable(point, &error))
}

fn unreadable(point: HookPoint, error: &serde_json::Error) -> StepError {
    StepError::configuration(
        "hook_answer_unreadable",
        format!("the recorded answer at {point} cannot be read: {error}"),
    )
}

/// Cancels the run, for `reason`; how the step ends over it.
pub(super) fn cancelled(call: &Call, point: HookPoint, reason: &str) -> Outcome {
    call.run().warn(CANCELLED, call.path(), format!("a hook at {point} cancelled the run: {reason}"));
    call.run().cancel_by(&Asker::new(Who::Hook).with_reason(format!("{point}: {reason}")));
    Outcome::Cancelled(Cancelled::new(CancelReason::Requested))
}

/// How a step ended in which a hook at a choice may have stopped the run.
pub(super) fn stopped(cancel: &Cancel, outcome: Outcome) -> Outcome {
    match &outcome {
        Outcome::Failed(failure) if failure.error.code == CANCELLED && cancel.is_cancelled() => {
            Outcome::Cancelled(Cancelled::new(cancel.reason().unwrap_or(CancelReason::Requested)))
        }
        _ => outcome,
    }
}

/// The same as [`cancelled`] where only an error ends the step.
pub(super) fn cancelling(call: &Call, point: HookPoint, reason: &str) -> StepError {
    let _ = cancelled(call, point, reason);
    StepError::new(ErrorClass::Cancelled, CANCELLED, format!("a hook at {point} cancelled the run: {reason}"))
}
