use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use super::Wait;
use crate::Clock;

/// The clock of one run: the engine's clock, unless that is behind the records of the run.
///
/// A run that is resumed after the system's clock was set back continues at the time of its last record. So its times
/// stay in order, and the remainder of a wait is never longer than the wait itself.
pub(crate) struct RunClock {
    engine: Arc<dyn Clock>,
    /// How far this clock is ahead of the engine's clock.
    ahead: SignedDuration,
}

impl RunClock {
    /// Returns the clock of a run whose last record was made at `last`; `former` is how far ahead the clock of the run
    /// was then.
    pub(super) fn new(engine: Arc<dyn Clock>, last: Timestamp, former: SignedDuration) -> Self {
        let behind = whole_micros(last.duration_since(engine.now()).max(SignedDuration::ZERO));
        // With the former difference, the time that has passed since the last record counts too.
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

    /// Converts a wait of this run to the engine's clock, for whoever drives the run again.
    pub(super) fn wait_to_engine(&self, wait: Wait) -> Wait {
        Wait { wake_at: wait.wake_at.map(|time| self.to_engine(time)), ..wait }
    }

    /// Converts the wait of another run, which is on the engine's clock, to this clock.
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

/// Rounds up to whole microseconds, the unit of records: a difference that is read back must not be smaller.
fn whole_micros(duration: SignedDuration) -> SignedDuration {
    let micros = duration.as_micros();
    let rounded = SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX));
    if rounded < duration { rounded.saturating_add(SignedDuration::from_micros(1)) } else { rounded }
}
