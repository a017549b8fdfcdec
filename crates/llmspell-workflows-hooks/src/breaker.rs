use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use llmspell_workflows_basic::sync::lock;
use tokio::time::Instant;

/// Settings for when a failing hook is disabled, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// The number of consecutive failures that disable the hook; 5 by default.
    pub threshold: u32,
    /// How long the hook stays disabled before it is tried again; 30 s by default.
    pub recovery: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { threshold: 5, recovery: Duration::from_secs(30) }
    }
}

/// Disables a hook after several consecutive failures, then admits one trial call.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    failures: AtomicU32,
    /// When a trial call is admitted; read only once the hook is disabled.
    trial_at: Mutex<Option<Instant>>,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, failures: AtomicU32::new(0), trial_at: Mutex::new(None) }
    }

    /// Returns whether a call is admitted now. If the hook is disabled and a trial is due, this claims the trial call.
    pub(crate) fn admits(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) < self.settings.threshold {
            return true;
        }
        let mut trial_at = lock(&self.trial_at);
        let now = Instant::now();
        if trial_at.is_some_and(|at| now < at) {
            return false;
        }
        // Only one trial runs at a time, unless it takes longer than the recovery period.
        *trial_at = Some(now + self.settings.recovery);
        true
    }

    pub(crate) fn record_success(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Records a failure and returns whether it disables the hook.
    pub(crate) fn record_failure(&self) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let disables = failures >= self.settings.threshold;
        if disables {
            *lock(&self.trial_at) = Some(Instant::now() + self.settings.recovery);
        }
        disables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn breaker_opens_then_admits_one_trial_and_closes_on_success() {
        let breaker = Breaker::new(BreakerSettings { threshold: 2, recovery: Duration::from_secs(30) });
        assert_eq!((breaker.record_failure(), breaker.admits()), (false, true));
        assert_eq!((breaker.record_failure(), breaker.admits()), (true, false));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!((breaker.admits(), breaker.admits()), (true, false));
        assert!(breaker.record_failure());
        assert!(!breaker.admits());
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(breaker.admits());
        breaker.record_success();
        assert_eq!((breaker.admits(), breaker.record_failure()), (true, false));
    }
}
