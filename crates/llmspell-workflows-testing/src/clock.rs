//! Clocks for tests; they do not follow real time.
//!
//! - [`SimClock`] changes only when a test sets or advances it.
//! - [`PausedClock`] follows a paused tokio runtime, for activities and hooks that use tokio timers.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use llmspell_workflows_basic::{
    Clock,
    engine::{Call, Timers, Wake},
};
use tokio::{sync::watch, time::Instant};

/// Returns the start time of both clocks, the beginning of 2026.
fn origin() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a timestamp")
}

/// A clock that changes only when it is set or advanced. A change wakes the tasks that wait for the new time.
#[derive(Debug, Clone)]
pub struct SimClock(Arc<watch::Sender<Timestamp>>);

impl SimClock {
    /// Creates a clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(watch::Sender::new(now)))
    }

    /// Sets the time.
    pub fn set(&self, time: Timestamp) {
        self.0.send_replace(time);
    }

    /// Advances the time by a duration.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|time| *time += by);
    }
}

impl Default for SimClock {
    /// Creates a clock that shows the beginning of 2026.
    fn default() -> Self {
        Self::new(origin())
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let mut shown = self.0.subscribe();
        Box::pin(async move {
            if shown.wait_for(|now| *now >= time).await.is_err() {
                // The clock has been dropped, so its time never changes again.
                std::future::pending::<()>().await;
            }
        })
    }
}

#[async_trait]
impl Timers for SimClock {
    async fn until(&self, _call: &Call, wake_at: Timestamp) -> Wake {
        if wake_at <= self.now() { Wake::Due } else { Wake::Park }
    }
}

/// A clock that follows the runtime's time, starting at the beginning of 2026.
///
/// A paused runtime advances the time as soon as all of its tasks are waiting.
///
/// ```
/// use std::time::Duration;
/// use llmspell_workflows_basic::{Engine, StepError, WorkflowInput, activity::{Activities, function}};
/// use llmspell_workflows_testing::{clock::PausedClock, harness::prelude::*};
///
/// // `#[tokio::test(start_paused = true)]` creates such a runtime.
/// # let paused = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
/// # paused.block_on(async {
/// let mut activities = Activities::new();
/// activities.register("tool", "slow", function(|_| async {
///     tokio::time::sleep(Duration::from_secs(3600)).await;
///     Ok(json!("late"))
/// }));
/// let engine = Engine::builder().activities(activities).clock(PausedClock::new()).build();
/// let step = Step::tool("ask", "slow", json!({})).with_timeout(Duration::from_secs(60));
/// let finished = engine.run(Definition::sequence("patient", [step]), WorkflowInput::default()).await.unwrap();
///
/// assert_eq!(finished.error.unwrap().code, "timeout");
/// // One minute, plus the grace period for stopping the step.
/// assert_eq!(finished.ended_at.duration_since(finished.started_at).as_secs(), 65);
/// # });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PausedClock(Instant);

impl PausedClock {
    /// Creates a clock that now shows the beginning of 2026. Must be called inside the runtime.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default would hide that the clock starts now")]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        origin() + self.0.elapsed()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let offset = time.duration_since(origin()).try_into().unwrap_or_default();
        let deadline = self.0.checked_add(offset);
        Box::pin(async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        })
    }
}
