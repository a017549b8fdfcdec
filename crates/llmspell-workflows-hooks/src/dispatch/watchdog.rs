use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use llmspell_workflows_basic::sync::lock;
use tokio::{sync::Notify, time::Instant};

use super::hook_sequence::HookSequence;

/// Watches all running hooks with a single timer, since a timer for each hook would cost more than most hooks do.
///
/// The watchdog's task starts with the first hook and ends when no hook has been running for a while.
#[derive(Default)]
pub(crate) struct Watchdog {
    watchlist: Mutex<Watchlist>,
    /// Notified when a hook may be late before the next scheduled check.
    earlier: Notify,
}

#[derive(Default)]
struct Watchlist {
    sequences: HashMap<u64, Arc<HookSequence>>,
    last_id: u64,
    /// The time of the next check; `None` if no task is running.
    checks_at: Option<Instant>,
    /// The id of the current task.
    task: u64,
}

/// Keeps a sequence of hooks watched until it is dropped.
pub(super) struct WatchGuard<'a> {
    watchdog: &'a Watchdog,
    id: u64,
}

impl Watchdog {
    /// Watches `sequence`, whose first hook is late at `late_at`.
    pub(super) fn register(self: &Arc<Self>, sequence: &Arc<HookSequence>, late_at: Instant) -> WatchGuard<'_> {
        let mut watchlist = self.lock();
        watchlist.last_id += 1;
        let id = watchlist.last_id;
        watchlist.sequences.insert(id, sequence.clone());
        match watchlist.checks_at {
            Some(checks_at) if checks_at <= late_at => {}
            Some(_) => self.earlier.notify_one(),
            None => {
                watchlist.checks_at = Some(late_at);
                watchlist.task += 1;
                drop(tokio::spawn(Task { watchdog: self.clone(), id: watchlist.task }.run()));
            }
        }
        WatchGuard { watchdog: self, id }
    }

    /// Abandons late hooks, and returns when to check again; `None` if no hook is running.
    fn check(&self) -> Option<Instant> {
        let mut watchlist = self.lock();
        let next = watchlist.sequences.values().map(|sequence| sequence.check()).min();
        watchlist.checks_at = next;
        next
    }

    fn lock(&self) -> MutexGuard<'_, Watchlist> {
        lock(&self.watchlist)
    }
}

impl Drop for WatchGuard<'_> {
    fn drop(&mut self) {
        let sequence = self.watchdog.lock().sequences.remove(&self.id);
        // Dropped only after the lock is released.
        drop(sequence);
    }
}

/// The task of a watchdog; if the task's runtime shuts down, the next hook starts a new task.
struct Task {
    watchdog: Arc<Watchdog>,
    id: u64,
}

impl Task {
    async fn run(self) {
        let mut next = self.watchdog.lock().checks_at;
        while let Some(checks_at) = next {
            tokio::select! {
                () = tokio::time::sleep_until(checks_at) => {}
                () = self.watchdog.earlier.notified() => {}
            }
            next = self.watchdog.check();
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut watchlist = self.watchdog.lock();
        if watchlist.task == self.id {
            watchlist.checks_at = None;
        }
    }
}
