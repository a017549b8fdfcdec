use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use llmspell_workflows_basic::Clock;
use tokio::sync::oneshot;

/// A clock that skips idle time, so that tests never wait for delays.
///
/// It starts at the current time, runs as fast as the machine's clock but never backwards, and is
/// advanced by [`skip_to`](Self::skip_to). [`idle`](Self::idle) waits until no task can continue
/// without the clock or a message, and no activity does real work.
#[derive(Clone, Default)]
pub(super) struct IdleClock(Arc<Mutex<State>>);

struct State {
    started_at: (Timestamp, Instant),
    skipped: SignedDuration,
    waiting: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    waits: u64,
    busy: usize,
    /// Notified when the runtime is idle.
    idle: Option<oneshot::Sender<()>>,
}

/// Marks real work, during which the runtime is not idle.
pub(super) struct BusyGuard(IdleClock);

impl Default for State {
    fn default() -> Self {
        Self {
            started_at: (Timestamp::now(), Instant::now()),
            skipped: SignedDuration::ZERO,
            waiting: BTreeMap::new(),
            waits: 0,
            busy: 0,
            idle: None,
        }
    }
}

impl State {
    fn now(&self) -> Timestamp {
        let (start, instant) = self.started_at;
        let passed = SignedDuration::try_from(instant.elapsed()).unwrap_or(SignedDuration::MAX);
        start.checked_add(passed.saturating_add(self.skipped)).unwrap_or(Timestamp::MAX)
    }
}

impl IdleClock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks real work until the guard is dropped.
    pub(super) fn busy(&self) -> BusyGuard {
        self.state().busy += 1;
        BusyGuard(self.clone())
    }

    /// Returns a receiver that completes once the runtime is idle.
    pub(super) fn idle(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.state().idle = Some(sender);
        receiver
    }

    /// Reports that no task can run; the runtime must call this before it parks its only thread.
    pub(super) fn runtime_parks(&self) {
        let mut state = self.state();
        if state.busy == 0
            && let Some(idle) = state.idle.take()
        {
            // The receiver may have been dropped in the meantime.
            let _ = idle.send(());
        }
    }

    /// Returns the earliest time that a task is waiting for.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let mut state = self.state();
        state.waiting.retain(|_, waiter| !waiter.is_closed());
        state.waiting.first_key_value().map(|((time, _), _)| *time)
    }

    /// Advances to `time` and wakes the tasks waiting for `time` or an earlier time.
    pub(super) fn skip_to(&self, time: Timestamp) {
        let mut state = self.state();
        let now = state.now();
        if time > now {
            state.skipped += time.duration_since(now);
        }
        let later = state.waiting.split_off(&(time, u64::MAX));
        for (_, waiter) in std::mem::replace(&mut state.waiting, later) {
            // The receiver may have been dropped in the meantime.
            let _ = waiter.send(());
        }
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
    }
}

impl Clock for IdleClock {
    fn now(&self) -> Timestamp {
        self.state().now()
    }

    fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()> {
        let left = Duration::try_from(time.duration_since(self.now())).unwrap_or_default();
        let (sender, skipped) = oneshot::channel();
        let mut state = self.state();
        state.waits += 1;
        let number = state.waits;
        state.waiting.insert((time, number), sender);
        Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                _ = skipped => {}
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_are_skipped_in_order() {
        let clock = IdleClock::default();
        let parked = clock.clone();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().on_thread_park(move || parked.runtime_parks()).build().unwrap();
        let began = std::time::Instant::now();
        let start = clock.now();
        let after = |hours| start + SignedDuration::from_hours(hours);
        let order = runtime.block_on(async {
            let order = Arc::new(Mutex::new(Vec::new()));
            let mut tasks = tokio::task::JoinSet::new();
            for hours in [3, 1, 2] {
                let (wait, order) = (clock.sleep_until(after(hours)), order.clone());
                tasks.spawn(async move {
                    wait.await;
                    order.lock().unwrap().push(hours);
                });
            }
            while let Some(time) = clock.next() {
                clock.idle().await.unwrap();
                clock.skip_to(time);
                tokio::task::yield_now().await;
            }
            tasks.join_all().await;
            std::mem::take(&mut *order.lock().unwrap())
        });
        assert_eq!(order, [1, 2, 3]);
        assert!(clock.now() >= after(3) && clock.now() < after(4));
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn real_work_keeps_the_runtime_from_being_idle() {
        let clock = IdleClock::default();
        let mut idle = clock.idle();
        let busy = clock.busy();
        clock.runtime_parks();
        assert!(idle.try_recv().is_err());
        drop(busy);
        clock.runtime_parks();
        assert!(idle.try_recv().is_ok());
    }
}
