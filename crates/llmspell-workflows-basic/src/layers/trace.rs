use async_trait::async_trait;
use tracing::{Instrument, Level, field};

use crate::{
    engine::{Call, Interceptor, Next, Outcome},
    model::Step,
};

/// A span around each step, with its run, path and attempt; nothing where nobody listens.
pub(super) struct Trace;

#[async_trait]
impl Interceptor for Trace {
    fn applies(&self, _step: &Step) -> bool {
        tracing::enabled!(target: "spellflow::step", Level::INFO)
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        let span = tracing::info_span!(
            target: "spellflow::step",
            "step",
            run_id = %call.run().id(),
            path = %call.path(),
            kind = call.step().kind.as_str(),
            status = field::Empty,
        );
        let outcome = next.run(call).instrument(span.clone()).await;
        let _entered = span.enter();
        match &outcome {
            Outcome::Completed(_) => span.record("status", "completed"),
            Outcome::Skipped(_) => span.record("status", "skipped"),
            Outcome::Parked(_) => span.record("status", "waiting"),
            Outcome::Stuck(_) => span.record("status", "stuck"),
            Outcome::Cancelled(_) => span.record("status", "cancelled"),
            Outcome::Failed(failure) => {
                tracing::info!(target: "spellflow::step", code = %failure.error.code, "{}", failure.error);
                span.record("status", "failed")
            }
        };
        outcome
    }
}
