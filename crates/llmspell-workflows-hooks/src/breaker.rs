use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use llmspell_workflows_basic::sync::lock;
use tokio::time::Instant;

/// When a hook that keeps failing is cut off, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// After how many failures in a row; 5 by default.
    pub threshold: u32,
    /// How long until it is tried again; 30 s by default.
    pub recovery: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { threshold: 5, recovery: Duration::from_secs(30) }
    }
}

/// Cuts off a hook after so many failures in a row, then lets one call through to see.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    failures: AtomicU32,
    /// From when on one call may try; only read where there were too many failures.
    tries_at: Mutex<Option<Instant>>,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, failures: AtomicU32::new(0), tries_at: Mutex::new(None) }
    }

    /// Whether a call may go through now.
    pub(crate) fn admits(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) < self.settings.threshold {
            return true;
        }
        let mut tries_at = lock(&self.tries_at);
        let now = Instant::now();
        if tries_at.is_some_and(|at| now < at) {
            return false;
        }
        // Until this one has ended no other tries, unless it takes as long as the recovery.
        *tries_at = Some(now + self.settings.recovery);
        true
    }

    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Whether this failure cuts the hook off.
    pub(crate) fn failed(&self) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let cuts_off = failures >= self.settings.threshold;
        if cuts_off {
            *lock(&self.tries_at) = Some(Instant::now() + self.settings.recovery);
        }
        cuts_off
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_tries_once_and_closes() {
        let breaker = Breaker::new(BreakerSettings { threshold: 2, recovery: Duration::from_secs(30) });
        assert_eq!((breaker.failed(), breaker.admits()), (false, true));
        assert_eq!((breaker.failed(), breaker.admits()), (true, false));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!((breaker.admits(), breaker.admits()), (true, false));
        assert!(breaker.failed());
        assert!(!breaker.admits());
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(breaker.admits());
        breaker.succeeded();
        assert_eq!((breaker.admits(), breaker.failed()), (true, false));
    }
}
