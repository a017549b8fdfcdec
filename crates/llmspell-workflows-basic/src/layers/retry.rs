use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tracing::{Instrument, Level};

use crate::{
    StepError, StepPath, clock,
    engine::{Attempt, Call, IncompleteUndo, Interceptor, Next, Outcome, choice, decide, recall, wait_until},
    model::{Delay, Retry, Step},
    targets,
};

/// The error detail with the name of the limit that prevented the step from being retried.
const ENDED_BY: &str = "retries_ended_by";

/// Retries a failed step according to its policy.
///
/// All attempts of a leaf share one generation, and therefore one idempotency key. A block is
/// entered again under its next generation. The result of each failed attempt is a decision, so
/// recorded attempts are not repeated.
pub(super) struct RetryLayer;

#[async_trait]
impl Interceptor for RetryLayer {
    fn applies(&self, step: &Step) -> bool {
        retries(step)
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        let Some(retry) = call.step().retry.clone() else { return next.run(call).await };
        let last_begin = match retry.duration_max {
            Some(max) => Some(decide!(call, choice::LastBegin, clock::after(call.run().now(), max))),
            None => None,
        };
        let is_leaf = call.step().kind.is_leaf();
        let mut attempt = 1;
        loop {
            let mut current = call.clone().with_attempt(attempt);
            if attempt > 1 {
                call.run().records().attempts(call.record(), current.attempt_with_cuts());
                if !is_leaf {
                    let generation = call.run().next_generation(call.path());
                    current = current.with_generation(decide!(call, choice::RetryGeneration(attempt), generation));
                    call.run().record_entry(current.path());
                }
            }
            let entered = current.path().to_path();
            let (error, wake_at) = match recall!(call, choice::Attempt(attempt)) {
                // A recorded retry also counts against the retry budget.
                Some(Attempt::Failed { error, wake_at }) => {
                    call.run().take_retry();
                    (*error, wake_at)
                }
                Some(Attempt::GivenUp) | None => {
                    let mut outcome = run_attempt(current, attempt, next.clone()).await;
                    let Outcome::Failed(failure) = &mut outcome else { return outcome };
                    let wake_at = match next_attempt_at(&call, &retry, &failure.error, attempt, last_begin) {
                        Ok(wake_at) => wake_at,
                        Err(last) => {
                            last.explain(&mut failure.error, &call, &retry);
                            return outcome;
                        }
                    };
                    let ended = Attempt::Failed { error: failure.error.clone(), wake_at };
                    match decide!(call, choice::Attempt(attempt), ended) {
                        Attempt::Failed { error, wake_at } => (*error, wake_at),
                        Attempt::GivenUp => return outcome,
                    }
                }
            };
            call.run().records().record_retry(call.record(), &error);
            let has_steps = !is_leaf || call.node().body.sub_workflow().is_some();
            if has_steps && let Err(outcome) = undo_attempt(&call, &entered).await {
                return outcome;
            }
            tracing::info!(target: targets::STEP, attempt, %error, "retrying at {wake_at}");
            if let Some(outcome) = wait_until(&call, wake_at).await {
                return outcome;
            }
            attempt += 1;
        }
    }
}

/// Returns whether `step` may be retried.
pub(super) fn retries(step: &Step) -> bool {
    step.retry.as_ref().is_some_and(|retry| retry.attempts_max > 1)
}

/// Runs one attempt, in its own span if tracing is enabled.
async fn run_attempt(call: Call, attempt: u32, next: Next) -> Outcome {
    if !tracing::enabled!(target: targets::STEP, Level::INFO) {
        return next.run(call).await;
    }
    let span = tracing::info_span!(target: targets::STEP, "attempt", attempt);
    next.run(call).instrument(span).await
}

/// Undoes an attempt of a block before the next attempt begins.
async fn undo_attempt(call: &Call, entered: &StepPath) -> Result<(), Outcome> {
    // A request to stop the block does not stop this cleanup.
    let _cleanup = call.cancel().begin_cleanup();
    match call.run().undo(Some(entered)).await {
        Ok(_) => Ok(()),
        Err(IncompleteUndo::Stuck(steps)) => Err(Outcome::Stuck(steps)),
        Err(IncompleteUndo::Deferred(outcome)) => Err(outcome),
    }
}

/// Why no further attempt follows.
#[derive(Clone, Copy)]
enum LastAttempt {
    /// The policy allows no further attempt after this error.
    Policy,
    /// The next attempt would begin too late for [`Retry::duration_max`].
    Duration,
    /// The retries of all steps have used up the workflow's retry budget.
    Budget,
}

impl LastAttempt {
    /// Records in the error which limit prevented another attempt, unless an inner step has already
    /// recorded one.
    fn explain(self, error: &mut StepError, call: &Call, retry: &Retry) {
        let (field, why) = match (self, retry.duration_max, call.run().definition().retry_budget) {
            (Self::Duration, Some(max), _) => {
                let max = Delay::Fixed(max);
                ("max_duration", format!("its `max_duration` of {max} would expire before the next attempt"))
            }
            (Self::Budget, _, Some(budget)) => {
                ("max_retry_budget", format!("the workflow's `max_retry_budget` of {budget} is used up"))
            }
            _ => return,
        };
        if error.details.as_ref().is_some_and(|details| details.get(ENDED_BY).is_some()) {
            return;
        }
        if let Value::Object(details) = error.details.get_or_insert_with(|| json!({})) {
            details.insert(ENDED_BY.to_owned(), field.into());
        }
        error.message = format!("{}; the step is not retried, because {why}", error.message);
    }
}

/// Returns when the next attempt begins, or why no further attempt follows.
fn next_attempt_at(
    call: &Call,
    retry: &Retry,
    error: &StepError,
    attempt: u32,
    last_begin: Option<Timestamp>,
) -> Result<Timestamp, LastAttempt> {
    if attempt >= retry.attempts_max || !is_retryable(retry, error) {
        return Err(LastAttempt::Policy);
    }
    let wake_at = clock::after(call.run().now(), delay(retry, call, attempt));
    if last_begin.is_some_and(|last| wake_at > last) {
        return Err(LastAttempt::Duration);
    }
    if call.run().take_retry() { Ok(wake_at) } else { Err(LastAttempt::Budget) }
}

/// Returns whether the policy allows a retry after `error`. If the policy has no filters, the error
/// itself decides.
fn is_retryable(retry: &Retry, error: &StepError) -> bool {
    if retry.on_errors.is_empty() && retry.on_status_codes.is_empty() && retry.on_exit_codes.is_empty() {
        return error.retryable;
    }
    let named = retry.on_errors.iter().any(|name| *name == error.code || name == error.class.as_str());
    let detail = |name: &str| error.details.as_ref().and_then(|details| details.get(name)?.as_u64());
    let by_status =
        detail("status").is_some_and(|status| retry.on_status_codes.iter().any(|n| u64::from(*n) == status));
    let by_exit = detail("exit_code").is_some_and(|exit| retry.on_exit_codes.iter().any(|n| u64::from(*n) == exit));
    named || by_status || by_exit
}

/// Returns the delay after `attempt`, with jitter. The jitter differs between runs, but repeated calls return the same
/// delay.
fn delay(retry: &Retry, call: &Call, attempt: u32) -> Duration {
    let delay = retry.delay_after(attempt);
    let mut hasher = DefaultHasher::new();
    (call.run().id(), call.path().to_path(), attempt).hash(&mut hasher);
    let share = (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0;
    let seconds = delay.as_secs_f64() * (1.0 + retry.jitter.clamp(0.0, 1.0) * share);
    Duration::try_from_secs_f64(seconds).unwrap_or(retry.delay_max).min(retry.delay_max)
}
