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

/// How many branches of a run are at work rather than wait, and whether it is held.
///
/// A branch rests while it waits for a time, for a message, or for the branches below it; when all rest, the run need
/// not be in memory.
pub(crate) struct Branches {
    at_work: AtomicUsize,
    all_rest: Notify,
    one_works: Notify,
    held: CancellationToken,
    /// How many waits end at each of these times.
    wakes: Mutex<BTreeMap<Timestamp, usize>>,
}

impl Branches {
    /// One branch, the root's.
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

/// A branch at work beside the one that began it.
pub(super) struct AtWork(Arc<Run>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.branches.fall();
    }
}

/// A branch that waits.
pub(crate) struct Resting<'r>(&'r Run);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        self.0.branches.rise();
    }
}

/// That something ends at a time.
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
    /// Lets no further leaf begin: those at work end, those that wait park, and then the run does.
    ///
    /// Nothing is cancelled. It is for those who can drive the run again from its journal.
    pub fn hold(&self) {
        self.branches.held.cancel();
    }

    /// Whether it was asked to [`hold`](Self::hold).
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.branches.held.is_cancelled()
    }

    /// Ends as soon as all of its branches wait for a time or a message at once.
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

    /// Ends as soon as one of its branches is at work again, or has been since this was called.
    pub async fn goes_on(&self) {
        let mut notified = std::pin::pin!(self.branches.one_works.notified());
        notified.as_mut().enable();
        // It may wait again before anyone looks, so this is asked once.
        if self.branches.at_work.load(Ordering::SeqCst) == 0 {
            notified.await;
        }
    }

    /// The earliest time at which a wait ends by itself.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        lock(&self.branches.wakes).keys().next().copied()
    }

    /// Ends where all of its branches wait for messages alone, and nobody can send it any.
    pub(super) async fn waits_in_vain(&self) {
        self.all_wait().await;
        if self.is_held() || self.next_wake().is_some() {
            std::future::pending::<()>().await;
        }
    }

    /// Until this is dropped, a wait ends at `time`.
    pub(crate) fn wakes_at(&self, time: Timestamp) -> Wakes<'_> {
        *lock(&self.branches.wakes).entry(time).or_default() += 1;
        Wakes(self, time)
    }

    pub(crate) async fn held(&self) {
        self.branches.held.cancelled().await;
    }

    /// Another branch is at work until this is dropped.
    pub(super) fn branch(self: &Arc<Self>) -> AtWork {
        self.branches.rise();
        AtWork(self.clone())
    }

    /// The branch that calls this waits until this is dropped.
    pub(crate) fn rest(&self) -> Resting<'_> {
        self.branches.fall();
        Resting(self)
    }
}
