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
/// Each step reserves its turn when it asks, so its delay is exact, and turns are taken in the order of the requests.
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// The time between two turns.
    interval: Duration,
    /// How many steps may start at once after a pause.
    burst: u32,
    /// The time of the turn after all reserved ones, if no burst is left.
    next: Arc<Mutex<Timestamp>>,
}

impl RateLimit {
    /// Allows at most `count` steps per `period`; the same number may start at once.
    #[must_use]
    pub fn new(count: u32, period: Duration) -> Self {
        let burst = count.max(1);
        Self { interval: period / burst, burst, next: Arc::new(Mutex::new(Timestamp::MIN)) }
    }

    /// Sets how many steps may start at once after a pause.
    #[must_use]
    pub fn with_burst(self, burst: u32) -> Self {
        Self { burst: burst.max(1), ..self }
    }

    /// Registers the hook before steps; restrict it to certain steps with `select`.
    #[must_use]
    pub fn registration(&self) -> Registration {
        Registration::new("rate limit").at(BeforeStep, self.clone())
    }

    /// Reserves a turn and returns the delay until then.
    fn reserve(&self, now: Timestamp) -> Duration {
        let mut next = lock(&self.next);
        let turn = (*next).max(now);
        *next = later(turn, self.interval);
        // As in the generic cell rate algorithm, a turn may be taken earlier by as much as the burst allows.
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
    fn turns_after_the_burst_are_one_interval_apart() {
        let limit = RateLimit::new(2, Duration::from_secs(2));
        let waits = |second: i64| limit.reserve(Timestamp::from_second(second).unwrap()).as_secs();
        assert_eq!([waits(0), waits(0), waits(0), waits(0)], [0, 0, 1, 2]);
        assert_eq!([waits(3), waits(60), waits(60), waits(60)], [0, 0, 0, 1]);
    }
}
