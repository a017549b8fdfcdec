use async_trait::async_trait;
use tracing::{Instrument, Level, field};

use crate::{
    engine::{Call, Interceptor, Next, Outcome},
    model::Step,
    targets,
};

/// Opens a span around each step if tracing is enabled; its fields are the workflow, run, path and attempt.
pub(super) struct Trace;

#[async_trait]
impl Interceptor for Trace {
    fn applies(&self, _step: &Step) -> bool {
        tracing::enabled!(target: targets::STEP, Level::INFO)
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        let span = tracing::info_span!(
            target: targets::STEP,
            "step",
            workflow = %call.run().definition().name,
            run = %call.run().id(),
            path = %call.path(),
            kind = call.step().kind.as_str(),
            attempt = field::Empty,
            status = field::Empty,
        );
        // For a step that may be retried, the retry layer opens a span around each attempt instead.
        if !super::retry::retries(call.step()) {
            span.record("attempt", 1);
        }
        span.in_scope(|| tracing::debug!(target: targets::STEP, "started"));
        let outcome = next.run(call).instrument(span.clone()).await;
        let status = match &outcome {
            Outcome::Completed(_) => "completed",
            Outcome::Skipped(_) => "skipped",
            Outcome::Parked(_) => "waiting",
            Outcome::Stuck(_) => "stuck",
            Outcome::Cancelled(_) => "cancelled",
            Outcome::Failed(_) => "failed",
        };
        let _entered = span.enter();
        match &outcome {
            Outcome::Failed(failure) => {
                tracing::info!(target: targets::STEP, code = %failure.error.code, "{}", failure.error);
            }
            _ => tracing::debug!(target: targets::STEP, "{status}"),
        }
        span.record("status", status);
        outcome
    }
}
