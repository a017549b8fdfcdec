use futures_util::future::BoxFuture;
use jiff::Timestamp;
use llmspell_workflows_basic::{
    Clock,
    engine::{Call, Timers, Wake},
};
use tokio::time::Instant;

/// The clock of a paused runtime, which advances as soon as all tasks wait.
#[derive(Clone, Copy)]
pub(crate) struct PausedClock(Instant);

impl PausedClock {
    /// Creates a clock that starts at the beginning of 2026.
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    fn origin() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Self::origin() + self.0.elapsed()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let length = time.duration_since(Self::origin()).try_into().unwrap_or_default();
        let until = self.0.checked_add(length);
        Box::pin(async move {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        })
    }
}

/// A clock that does not advance: no deadline passes, and every wait is over immediately.
#[derive(Clone, Copy)]
pub(crate) struct FrozenClock;

impl Clock for FrozenClock {
    fn now(&self) -> Timestamp {
        PausedClock::origin()
    }

    fn sleep_until(&self, _time: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

#[async_trait::async_trait]
impl Timers for FrozenClock {
    async fn until(&self, _call: &Call, _wake_at: Timestamp) -> Wake {
        Wake::Due
    }
}
