use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tracing::{Instrument, Level};

use crate::{
    StepError, StepPath, clock,
    engine::{Attempt, Call, IncompleteUndo, Interceptor, Next, Outcome, choice, decide, recall, wait_until},
    model::{Retry, Step},
    targets,
};

/// Retries a failed step according to its policy.
///
/// All attempts of a leaf share one generation, and therefore one idempotency key; a block is entered again under its
/// next generation. The result of each failed attempt is a decision, so recorded attempts are not made again.
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
                    let outcome = run_attempt(current, attempt, next.clone()).await;
                    let Outcome::Failed(failure) = &outcome else { return outcome };
                    let Some(wake_at) = next_attempt_at(&call, &retry, &failure.error, attempt, last_begin) else {
                        return outcome;
                    };
                    let ended = Attempt::Failed { error: failure.error.clone(), wake_at };
                    match decide!(call, choice::Attempt(attempt), ended) {
                        Attempt::Failed { error, wake_at } => (*error, wake_at),
                        Attempt::GivenUp => return outcome,
                    }
                }
            };
            if !is_leaf && let Err(outcome) = undo_attempt(&call, &entered).await {
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
    // The request to stop that applies to the block does not stop this.
    let _cleanup = call.cancel().begin_cleanup();
    match call.run().undo(Some(entered)).await {
        Ok(_) => Ok(()),
        Err(IncompleteUndo::Failed(error)) => Err(Outcome::failed(*error)),
        Err(IncompleteUndo::Deferred(outcome)) => Err(outcome),
    }
}

/// Returns when the next attempt begins; `None` if there is no further attempt.
fn next_attempt_at(
    call: &Call,
    retry: &Retry,
    error: &StepError,
    attempt: u32,
    last_begin: Option<Timestamp>,
) -> Option<Timestamp> {
    if attempt >= retry.attempts_max || !is_retryable(retry, error) {
        return None;
    }
    let wake_at = clock::after(call.run().now(), delay(retry, call, attempt));
    if last_begin.is_some_and(|last| wake_at > last) {
        return None;
    }
    call.run().take_retry().then_some(wake_at)
}

/// Returns whether the policy allows a retry after `error`. Without filters, the error itself decides.
fn is_retryable(retry: &Retry, error: &StepError) -> bool {
    if retry.on_errors.is_empty() && retry.on_status_codes.is_empty() {
        return error.retryable;
    }
    let named = retry.on_errors.iter().any(|name| *name == error.code || name == error.class.as_str());
    let status = error.details.as_ref().and_then(|details| details.get("status")?.as_u64());
    let by_status = status.is_some_and(|status| retry.on_status_codes.iter().any(|code| u64::from(*code) == status));
    named || by_status
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
