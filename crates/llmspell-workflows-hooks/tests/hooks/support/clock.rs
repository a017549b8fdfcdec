use futures_util::future::BoxFuture;
use jiff::Timestamp;
use llmspell_workflows_basic::Clock;
use tokio::time::Instant;

/// The runtime's own time, which a paused runtime moves on as soon as everything waits.
#[derive(Clone, Copy)]
pub(crate) struct Paused(Instant);

impl Paused {
    /// A clock that shows the beginning of 2026 now.
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    fn origin() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }
}

impl Clock for Paused {
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
