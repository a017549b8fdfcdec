//! Calls activities, which do the work of steps with effects.

use std::{
    any::Any,
    future::ready,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
};

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::Value;

use super::{Call, CallContext, CancelReason, Cancelled, LeafCall, Outcome, Output, Run};
use crate::{
    ErrorClass, PathLink, StepError,
    activity::{ActivityContext, ActivityOutput, Input},
    expr::EvalError,
    plan::ActivityPlan,
};

impl From<EvalError> for StepError {
    fn from(error: EvalError) -> Self {
        if let Some(secret) = error.unresolved_secret() {
            return Self::configuration("missing_secret", format!("the secret `{secret}` has no value"));
        }
        Self::validation(error.code(), error.to_string())
    }
}

/// Calls an activity through the configured dispatch.
pub(super) async fn activity(call: Call, context: &CallContext, plan: &ActivityPlan) -> Outcome {
    let other = call.other_activity().cloned();
    match start(call, context, other.as_deref().unwrap_or(plan)) {
        Ok(outcome) => outcome,
        Err(rest) => rest.finish().await,
    }
}

/// Calls an activity; returns the rest of the call if the activity does not end immediately.
///
/// Most quick leaves end here, before cancellation is set up. This is not an `async` function
/// because moving a call from one future to the next takes longer than everything else that such a
/// leaf does.
pub(super) fn start<'a>(
    call: Call,
    context: &'a CallContext,
    plan: &'a ActivityPlan,
) -> Result<Outcome, UnfinishedCall<'a>> {
    if context.cancel.is_cancelled() {
        return Ok(call.cancelled());
    }
    let input = match call.input() {
        Some(input) => Input::Given(input.clone()),
        None if plan.params.fixed().is_some() => Input::Fixed,
        None => match plan.params.render(&call.view()) {
            Ok(input) => Input::Given(input),
            Err(error) => return Ok(call.failed(error.into())),
        },
    };
    let origin = Origin { context, record: call.record(), attempt: call.attempt() };
    match begin(&origin, plan, call, input) {
        Ok(ended) => Ok(origin.outcome(ended)),
        Err(work) => Err(UnfinishedCall { origin, work }),
    }
}

/// An unfinished call to an activity.
pub(crate) struct UnfinishedCall<'a> {
    origin: Origin<'a>,
    work: AttemptFuture<'a>,
}

impl UnfinishedCall<'_> {
    pub(super) async fn finish(self) -> Outcome {
        match Box::pin(finish_or_stop(&self.origin, self.work)).await {
            Ok(ended) => self.origin.outcome(ended),
            Err(cancelled) => Outcome::cancelled(cancelled),
        }
    }
}

/// Identifies an outcome's step after the step's call has been moved.
struct Origin<'a> {
    context: &'a CallContext,
    record: usize,
    attempt: u32,
}

impl Origin<'_> {
    #[inline]
    fn outcome(&self, ended: AttemptResult) -> Outcome {
        match finish_attempt(&self.context.run, ended) {
            Ok(ActivityOutput { output, state_changes }) => {
                let mut output = Output::new(output);
                if !state_changes.is_empty() {
                    let shortened = state_changes.into_iter().map(|change| self.context.state.shortened(change));
                    output.state_changes = shortened.collect();
                }
                Outcome::Completed(output)
            }
            Err(error) => self.failed(*error),
        }
    }

    fn failed(&self, mut error: StepError) -> Outcome {
        if error.path.is_none() {
            error.attempt = self.attempt;
        }
        Outcome::failed(error.at(self.path()))
    }

    fn path(&self) -> PathLink {
        self.context.run.records().path(self.record)
    }
}

type AttemptFuture<'a> = BoxFuture<'a, Result<ActivityOutput, StepError>>;
type AttemptResult = Result<Result<ActivityOutput, StepError>, Box<dyn Any + Send>>;

/// Passes a leaf to the configured dispatch, or executes its activity in this process.
fn dispatch_leaf<'a>(plan: &'a ActivityPlan, run: &Run, context: ActivityContext) -> AttemptFuture<'a> {
    match (run.engine().dispatch(), &plan.activity) {
        (Some(dispatch), activity) => {
            dispatch.perform(LeafCall { name: plan.name.clone(), activity: activity.clone(), context })
        }
        (None, Some(activity)) => activity.perform(context),
        (None, None) => Box::pin(ready(Err(super::seams::missing(&plan.name)))),
    }
}

/// Begins one attempt of an activity. Returns the result if the attempt ends immediately, and
/// otherwise the remaining future, which has been polled once with a no-op waker.
#[inline]
fn begin<'a>(
    origin: &Origin<'_>,
    plan: &'a ActivityPlan,
    call: Call,
    input: Input,
) -> Result<AttemptResult, AttemptFuture<'a>> {
    if call.attempt_with_cuts() > call.attempt() {
        call.run().records().attempts(call.record(), call.attempt_with_cuts());
    }
    let context = ActivityContext::new(call, input);
    let begun = catch_unwind(AssertUnwindSafe(|| {
        let mut work = dispatch_leaf(plan, &origin.context.run, context);
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => Ok(ended),
            Poll::Pending => Err(work),
        }
    }));
    match begun {
        Ok(Ok(ended)) => Ok(Ok(ended)),
        Ok(Err(work)) => Err(work),
        Err(panic) => Ok(Err(panic)),
    }
}

/// Masks the secrets in the error of an attempt, and rejects an output that is too large.
#[inline]
fn finish_attempt(run: &Run, ended: AttemptResult) -> Result<ActivityOutput, Box<StepError>> {
    let error = match ended {
        Ok(Ok(output)) => match run.count_output(&output.output).and_then(|()| run.checked_changes(output)) {
            Ok(output) => return Ok(output),
            Err(error) => error,
        },
        Ok(Err(error)) => error,
        Err(panic) => StepError::panicked(&*panic),
    };
    Err(Box::new(run.masker.masked_error(error)))
}

/// Awaits the rest of an attempt. After a request to stop, the attempt is dropped unless it ends within the grace
/// period.
async fn finish_or_stop(origin: &Origin<'_>, work: AttemptFuture<'_>) -> Result<AttemptResult, Cancelled> {
    let CallContext { run, cancel, .. } = origin.context;
    let mut work = AssertUnwindSafe(work).catch_unwind();
    let grace = async {
        cancel.cancelled().await;
        tokio::time::sleep(run.limits().cancel_grace).await;
    };
    let ended = tokio::select! {
        biased;
        ended = &mut work => Some(ended),
        () = grace => None,
    };
    match ended {
        // The effect has happened, so the result counts even after a request to stop.
        Some(ended) if !cancel.is_cancelled() || matches!(ended, Ok(Ok(_))) => Ok(ended),
        stopped => {
            let cancelled = Cancelled::new(cancel.reason().unwrap_or(CancelReason::Requested));
            let aborted = if stopped.is_none() { vec![origin.path().to_string()] } else { Vec::new() };
            Err(Cancelled { aborted, ..cancelled })
        }
    }
}

/// Returns the approximate size of `value` in bytes of JSON, as counted towards the limits on outputs.
#[must_use]
pub fn output_bytes(value: &Value) -> usize {
    let mut left = usize::MAX;
    fits(value, &mut left);
    usize::MAX - left
}

impl Run {
    /// Counts the output of an activity.
    ///
    /// # Errors
    /// Fails if the output is too large, either alone or together with the run's earlier outputs.
    fn count_output(&self, output: &Value) -> Result<(), StepError> {
        let too_large = |code: &'static str, message: String| {
            Err(StepError::new(ErrorClass::Resource, code, message).retryable(false))
        };
        let limit = self.limits().output_bytes_max;
        let mut left = limit;
        if !fits(output, &mut left) {
            let message = format!("the output is larger than {limit} bytes of JSON, the limit `output_bytes_max`");
            return too_large("output_bytes_max", message);
        }
        let added = (limit - left) as u64;
        let (before, limit) =
            (self.output_bytes.fetch_add(added, Ordering::Relaxed), self.limits().run_outputs_bytes_max);
        if before.saturating_add(added) > limit {
            self.output_bytes.fetch_sub(added, Ordering::Relaxed);
            let message = format!(
                "the run's outputs are larger than {limit} bytes of JSON in total, the limit `run_outputs_bytes_max`: \
                 {before} bytes so far, plus {added} from this step"
            );
            return too_large("run_outputs_bytes_max", message);
        }
        Ok(())
    }
}

/// Returns whether `value` takes at most about `left` bytes as JSON, and
/// subtracts its size from `left`.
fn fits(value: &Value, left: &mut usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => take(left, 4),
        Value::String(text) => take(left, text.len() + 2),
        Value::Array(items) => take(left, items.len() + 2) && items.iter().all(|item| fits(item, left)),
        Value::Object(map) => {
            take(left, 2) && map.iter().all(|(key, item)| take(left, key.len() + 4) && fits(item, left))
        }
    }
}

fn take(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(*left);
    rest.is_some()
}

/// Calls the activity `plan` with `input` for the step of `call`. If the activity fails or is
/// stopped, returns the step's outcome as an error.
pub(crate) async fn call_activity(call: &Call, plan: &ActivityPlan, input: Arc<Value>) -> Result<Value, Outcome> {
    let origin = Origin { context: &call.context, record: call.record(), attempt: call.attempt() };
    let ended = match begin(&origin, plan, call.clone(), Input::Given(input)) {
        Ok(ended) => ended,
        Err(rest) => finish_or_stop(&origin, rest).await.map_err(Outcome::cancelled)?,
    };
    Ok(finish_attempt(call.run(), ended).map_err(|error| call.failed(*error))?.output)
}
