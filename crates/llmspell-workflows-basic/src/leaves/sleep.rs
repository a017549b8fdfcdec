use serde_json::json;

use crate::{
    clock,
    engine::{Awaited, Call, Outcome, choice, decide, wait_until},
    model::Delay,
    plan::{Body, Builder, Leaf, Length, Work},
};

/// A prepared step that waits for a duration.
struct SleepPlan(Length);

impl Builder<'_> {
    pub(crate) fn sleep(&mut self, delay: &Delay, path: &str) -> Body {
        let length = self.length(delay, path, "duration");
        Body::Leaf(Box::new(SleepPlan(length)))
    }
}

impl Leaf for SleepPlan {
    fn perform(&self, call: Call) -> Work<'_> {
        Work::Pending(Box::pin(sleep(&self.0, call)))
    }
}

/// Waits for the duration; the end of the wait is computed when the step begins.
async fn sleep(length: &Length, call: Call) -> Outcome {
    let duration = match length.evaluate(&call.view()) {
        Ok(duration) => duration,
        Err(error) => return call.failed(error),
    };
    let since = call.run().now();
    let awaited = Awaited { signal: None, since, until: Some(clock::after(since, duration)) };
    let awaited = decide!(call, choice::Awaits(call.attempt()), awaited);
    let wake_at = awaited.until.unwrap_or(awaited.since);
    match wait_until(&call, wake_at).await {
        Some(outcome) => outcome,
        None => Outcome::completed(json!({"slept_until": wake_at.to_string()})),
    }
}
