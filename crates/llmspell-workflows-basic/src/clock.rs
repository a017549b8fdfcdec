//! Where the time of a run comes from: [`Clock`].

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

/// The time as runs see it, and waiting for it.
///
/// Deadlines and wake times are points in time rather than lengths, so that they hold across restarts.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Ends at `time`, or at once where that has passed.
    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let left = until(self.now(), time);
        // The timer counts in milliseconds, so even no time at all would take one.
        if left.is_zero() { Box::pin(std::future::ready(())) } else { Box::pin(tokio::time::sleep(left)) }
    }
}

/// How long it is from `now` to `time`; nothing where that has passed.
pub(crate) fn until(now: Timestamp, time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// `delay` after `time`; the end of time where there is no such point.
pub(crate) fn after(time: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay).ok().and_then(|delay| time.checked_add(delay).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_time_that_has_passed_is_not_waited_for() {
        // Outside a runtime, where a timer would panic.
        let now = SystemClock.now();
        assert_eq!(SystemClock.sleep_until(now).now_or_never(), Some(()));
    }
}
