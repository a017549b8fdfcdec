use async_trait::async_trait;

use crate::{
    engine::{Call, Interceptor, Next, Outcome},
    model::Step,
};

/// Holds a permit of each of a leaf's named concurrency limits while the leaf runs.
pub(super) struct LimitLayer;

#[async_trait]
impl Interceptor for LimitLayer {
    fn applies(&self, step: &Step) -> bool {
        !step.limits.is_empty()
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        // Permits are acquired in the order of their names, so that two steps with the same limits
        // never wait for each other.
        let mut names = call.step().limits.clone();
        names.sort_unstable();
        names.dedup();
        let mut permits = Vec::with_capacity(names.len());
        for name in names {
            tokio::select! {
                biased;
                () = call.cancel().cancelled() => return call.cancelled(),
                // The step has not begun yet, and must not begin once the run has been asked to
                // park.
                () = call.run().park_requested() => return call.parked(),
                permit = call.run().permit(&name) => match permit {
                    Ok(permit) => permits.push(permit),
                    Err(error) => return call.failed(error),
                },
            }
        }
        next.run(call).await
    }
}
