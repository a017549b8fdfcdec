use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::sync::lock;

use crate::{Hook, HookContext, HookError, Registration, answer::Before, cache::later, point::BeforeStep};

/// Limits how many steps start per period. Further steps wait for their turn without holding a thread.
///
/// A step reserves its turn when it is about to start. Its delay is therefore known exactly, and steps start in the
/// order of their reservations.
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// The time between two turns.
    interval: Duration,
    /// The number of steps that may start at once after a pause.
    burst: u32,
    /// The time of the first unreserved turn, ignoring the burst.
    next: Arc<Mutex<Timestamp>>,
}

impl RateLimit {
    /// Creates a limit of `count` steps per `period`; up to `count` steps may start at once.
    #[must_use]
    pub fn new(count: u32, period: Duration) -> Self {
        let burst = count.max(1);
        Self { interval: period / burst, burst, next: Arc::new(Mutex::new(Timestamp::MIN)) }
    }

    /// Sets the number of steps that may start at once after a pause.
    #[must_use]
    pub fn with_burst(self, burst: u32) -> Self {
        Self { burst: burst.max(1), ..self }
    }

    /// Returns a registration that calls the hook before steps; call `select` on it to restrict the steps.
    #[must_use]
    pub fn registration(&self) -> Registration {
        Registration::new("rate limit").at(BeforeStep, self.clone())
    }

    /// Reserves a turn and returns the delay until that turn.
    fn reserve(&self, now: Timestamp) -> Duration {
        let mut next = lock(&self.next);
        let turn = (*next).max(now);
        *next = later(turn, self.interval);
        // As in the generic cell rate algorithm, the burst allows a step to start before its turn.
        let earlier = self.interval * (self.burst - 1);
        let wait = Duration::try_from(turn.duration_since(now)).unwrap_or_default();
        wait.saturating_sub(earlier)
    }
}

#[async_trait]
impl Hook<BeforeStep> for RateLimit {
    async fn call(&self, context: &HookContext) -> Result<Before, HookError> {
        let wait = self.reserve(context.now());
        Ok(if wait.is_zero() { Before::Continue } else { Before::Delay(wait) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_after_the_burst_start_one_interval_apart() {
        let limit = RateLimit::new(2, Duration::from_secs(2));
        let waits = |second: i64| limit.reserve(Timestamp::from_second(second).unwrap()).as_secs();
        assert_eq!([waits(0), waits(0), waits(0), waits(0)], [0, 0, 1, 2]);
        assert_eq!([waits(3), waits(60), waits(60), waits(60)], [0, 0, 0, 1]);
    }
}
