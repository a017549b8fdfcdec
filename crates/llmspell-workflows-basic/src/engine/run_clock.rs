use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use super::Wait;
use crate::Clock;

/// The clock of one run: the engine's clock, unless it is behind the run's records.
///
/// If the system clock was set back before a run is resumed, the run continues at the time of its
/// last record. This keeps the run's times in order, and the remainder of a wait is never
/// longer than the wait itself.
pub(crate) struct RunClock {
    engine: Arc<dyn Clock>,
    /// How far this clock is ahead of the engine's clock.
    ahead: SignedDuration,
}

impl RunClock {
    /// Returns the clock of a run whose last record was made at `last`, when the run's clock was
    /// ahead of the engine's clock by `former`.
    pub(super) fn new(engine: Arc<dyn Clock>, last: Timestamp, former: SignedDuration) -> Self {
        let behind = whole_micros(last.duration_since(engine.now()).max(SignedDuration::ZERO));
        // The former difference also accounts for the time that has passed since the last record.
        let ahead = if behind.is_zero() { behind } else { behind.max(former) };
        Self { engine, ahead }
    }

    /// Returns how far this clock is ahead of the engine's clock.
    pub(super) fn ahead(&self) -> SignedDuration {
        self.ahead
    }

    /// Converts a time of this clock to the engine's clock.
    pub(crate) fn to_engine(&self, time: Timestamp) -> Timestamp {
        time.checked_sub(self.ahead).unwrap_or(Timestamp::MIN)
    }

    /// Converts a time of the engine's clock to this clock.
    pub(super) fn to_run(&self, time: Timestamp) -> Timestamp {
        time.checked_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    /// Converts a wait of this run to the engine's clock, for the next driver of the run.
    pub(super) fn wait_to_engine(&self, wait: Wait) -> Wait {
        Wait { wake_at: wait.wake_at.map(|time| self.to_engine(time)), ..wait }
    }

    /// Converts another run's wait from the engine's clock to this clock.
    pub(super) fn wait_to_run(&self, wait: Wait) -> Wait {
        Wait { wake_at: wait.wake_at.map(|time| self.to_run(time)), ..wait }
    }

    /// Returns the current time of the run.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.engine.now();
        if self.ahead.is_zero() { now } else { self.to_run(now) }
    }

    /// Waits until `time`; returns immediately if `time` has passed.
    pub(crate) fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        self.engine.sleep_until(self.to_engine(time))
    }
}

/// Rounds up to whole microseconds, the unit used in records, because the difference must not
/// become smaller when it is read back.
fn whole_micros(duration: SignedDuration) -> SignedDuration {
    let micros = duration.as_micros();
    let rounded = SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX));
    if rounded < duration { rounded.saturating_add(SignedDuration::from_micros(1)) } else { rounded }
}
