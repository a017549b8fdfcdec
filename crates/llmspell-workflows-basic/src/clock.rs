//! The source of time for runs: [`Clock`].

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

/// A source of time for runs.
///
/// Deadlines and wake times are points in time rather than durations, so they remain valid across restarts.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Waits until `time`; returns immediately if `time` has passed.
    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()>;
}

/// The system clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let left = until(self.now(), time);
        // The timer has millisecond resolution, so even a zero wait would take a millisecond.
        if left.is_zero() { Box::pin(std::future::ready(())) } else { Box::pin(tokio::time::sleep(left)) }
    }
}

/// Returns the duration from `now` to `time`; zero if `time` has passed.
pub(crate) fn until(now: Timestamp, time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// Returns `time` plus `delay`, or the maximum timestamp on overflow.
pub(crate) fn after(time: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay).ok().and_then(|delay| time.checked_add(delay).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn sleeping_until_a_past_time_returns_immediately() {
        // This test runs outside a runtime, where creating a timer would panic.
        let now = SystemClock.now();
        assert_eq!(SystemClock.sleep_until(now).now_or_never(), Some(()));
    }
}
