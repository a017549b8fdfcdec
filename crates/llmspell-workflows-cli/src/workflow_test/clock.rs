use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use llmspell_workflows_basic::Clock;
use tokio::sync::oneshot;

/// A clock that skips idle time, so that tests never wait for delays.
///
/// It follows the machine's clock. When the runtime is idle, [`skip`](Self::skip) advances it to the next time that a
/// task waits for, except while an activity does real work, which takes real time.
#[derive(Clone, Default)]
pub(super) struct IdleClock(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    skipped: SignedDuration,
    waiting: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    waits: u64,
    busy: usize,
}

/// Marks real work; prevents skipping until dropped.
pub(super) struct BusyGuard(IdleClock);

impl IdleClock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the clock from skipping until the guard is dropped.
    pub(super) fn busy(&self) -> BusyGuard {
        self.state().busy += 1;
        BusyGuard(self.clone())
    }

    /// Advances to the next time that a task waits for; call it when the runtime is idle.
    pub(super) fn skip(&self) {
        let mut state = self.state();
        if state.busy > 0 {
            return;
        }
        state.waiting.retain(|_, waiter| !waiter.is_closed());
        let Some((&(next, _), _)) = state.waiting.first_key_value() else { return };
        let now = Timestamp::now() + state.skipped;
        if next > now {
            state.skipped += next.duration_since(now);
        }
        let later = state.waiting.split_off(&(next, u64::MAX));
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
        Timestamp::now() + self.state().skipped
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
        let skipper = clock.clone();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().on_thread_park(move || skipper.skip()).build().unwrap();
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
            tasks.join_all().await;
            std::mem::take(&mut *order.lock().unwrap())
        });
        assert_eq!(order, [1, 2, 3]);
        assert!(clock.now() >= after(3) && clock.now() < after(4));
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
