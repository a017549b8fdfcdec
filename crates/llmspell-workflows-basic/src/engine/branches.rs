use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Run;
use crate::sync::lock;

/// The number of active branches of a run, and whether the run is held.
///
/// A branch is not active while it waits for a time, for a message, or for the branches below it. If none is active,
/// the run need not be in memory.
pub(crate) struct Branches {
    at_work: AtomicUsize,
    all_rest: Notify,
    one_works: Notify,
    held: CancellationToken,
    /// The number of waits that end at each time.
    wakes: Mutex<BTreeMap<Timestamp, usize>>,
}

impl Branches {
    /// Creates the state of a run with one active branch, the root's.
    pub(super) fn new() -> Self {
        let (held, wakes) = (CancellationToken::new(), Mutex::default());
        Self { at_work: AtomicUsize::new(1), all_rest: Notify::new(), one_works: Notify::new(), held, wakes }
    }

    fn rise(&self) {
        if self.at_work.fetch_add(1, Ordering::SeqCst) == 0 {
            self.one_works.notify_waiters();
        }
    }

    fn fall(&self) {
        if self.at_work.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.all_rest.notify_waiters();
        }
    }
}

/// A guard that counts another branch as active.
pub(super) struct AtWork(Arc<Run>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.branches.fall();
    }
}

/// A guard that counts the current branch as waiting.
pub(crate) struct Resting<'r>(&'r Run);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.branches.rise();
    }
}

/// A guard that registers the end of a wait.
pub(crate) struct Wakes<'r>(&'r Run, Timestamp);

impl Drop for Wakes<'_> {
    fn drop(&mut self) {
        let mut wakes = lock(&self.0.branches.wakes);
        if let Some(count) = wakes.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                wakes.remove(&self.1);
            }
        }
    }
}

impl Run {
    /// Parks the run: no further leaf begins, running leaves end, and waiting leaves park.
    ///
    /// Nothing is cancelled. Use it only if the run can be driven again from its journal.
    pub fn hold(&self) {
        self.branches.held.cancel();
    }

    /// Returns whether [`hold`](Self::hold) was called.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.branches.held.is_cancelled()
    }

    /// Waits until all of its branches wait for a time or a message.
    pub async fn all_wait(&self) {
        loop {
            let mut notified = std::pin::pin!(self.branches.all_rest.notified());
            notified.as_mut().enable();
            if self.branches.at_work.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Waits until one of its branches is active again, or has been since this was called.
    pub async fn goes_on(&self) {
        let mut notified = std::pin::pin!(self.branches.one_works.notified());
        notified.as_mut().enable();
        // The branch may wait again before this task runs, so this is checked only once.
        if self.branches.at_work.load(Ordering::SeqCst) == 0 {
            notified.await;
        }
    }

    /// Returns the earliest time at which a wait ends by itself.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        lock(&self.branches.wakes).keys().next().copied()
    }

    /// Waits until all of its branches wait only for messages, which nothing can send.
    pub(super) async fn waits_in_vain(&self) {
        self.all_wait().await;
        if self.is_held() || self.next_wake().is_some() {
            std::future::pending::<()>().await;
        }
    }

    /// Registers a wait that ends at `time`, until the guard is dropped.
    pub(crate) fn wakes_at(&self, time: Timestamp) -> Wakes<'_> {
        *lock(&self.branches.wakes).entry(time).or_default() += 1;
        Wakes(self, time)
    }

    pub(crate) async fn held(&self) {
        self.branches.held.cancelled().await;
    }

    /// Counts another branch as active until the guard is dropped.
    pub(super) fn branch(self: &Arc<Self>) -> AtWork {
        self.branches.rise();
        AtWork(self.clone())
    }

    /// Counts the calling branch as waiting until the guard is dropped.
    pub(crate) fn rest(&self) -> Resting<'_> {
        self.branches.fall();
        Resting(self)
    }
}
