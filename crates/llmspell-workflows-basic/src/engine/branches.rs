use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Driven, Engine, Run};
use crate::sync::lock;

/// Counts the active branches of a run, and records whether the run is parking.
///
/// A branch is not active while it waits for a time, a message, or the branches below it. A run
/// without active branches need not be in memory.
pub(crate) struct Branches {
    active: AtomicUsize,
    all_waiting: Notify,
    one_active: Notify,
    park: CancellationToken,
    /// Whether `park` is cancelled, readable without its lock.
    is_parking: AtomicBool,
    /// The number of waits that end at each time.
    wakes: Mutex<Wakes>,
}

/// The number of waits that end at each time, for each kind of wait.
#[derive(Default)]
struct Wakes {
    of_time: BTreeMap<Timestamp, usize>,
    of_deadline: BTreeMap<Timestamp, usize>,
}

/// What a step waits for until a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// Only the time.
    Time,
    /// Something else that must arrive by then, such as a signal.
    Deadline,
}

impl Wakes {
    fn of(&mut self, what: WaitsFor) -> &mut BTreeMap<Timestamp, usize> {
        match what {
            WaitsFor::Time => &mut self.of_time,
            WaitsFor::Deadline => &mut self.of_deadline,
        }
    }
}

impl Branches {
    /// Creates the counts of a run whose only active branch is the root.
    pub(super) fn new() -> Self {
        Self {
            active: AtomicUsize::new(1),
            all_waiting: Notify::new(),
            one_active: Notify::new(),
            park: CancellationToken::new(),
            is_parking: AtomicBool::new(false),
            wakes: Mutex::default(),
        }
    }

    fn increment(&self) {
        if self.active.fetch_add(1, Ordering::SeqCst) == 0 {
            self.one_active.notify_waiters();
        }
    }

    fn decrement(&self) {
        if self.active.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.all_waiting.notify_waiters();
        }
    }
}

/// A guard that counts one more branch as active.
pub(super) struct ActiveBranch(Arc<Run>);

impl Drop for ActiveBranch {
    fn drop(&mut self) {
        self.0.branches.decrement();
    }
}

/// A guard that counts the current branch as waiting.
pub(crate) struct WaitingBranch<'r>(&'r Run);

impl Drop for WaitingBranch<'_> {
    fn drop(&mut self) {
        self.0.branches.increment();
    }
}

/// A guard that registers the end of a wait.
pub(crate) struct PendingWake<'r>(&'r Run, WaitsFor, Timestamp);

impl Drop for PendingWake<'_> {
    fn drop(&mut self) {
        let mut wakes = lock(&self.0.branches.wakes);
        let wakes = wakes.of(self.1);
        if let Some(count) = wakes.get_mut(&self.2) {
            *count -= 1;
            if *count == 0 {
                wakes.remove(&self.2);
            }
        }
    }
}

impl Run {
    /// Parks the run: no further leaf begins, running leaves continue to their end, and waiting leaves park.
    ///
    /// Nothing is cancelled. Park a run only if it can be driven again from its journal.
    pub fn park(&self) {
        self.branches.is_parking.store(true, Ordering::Release);
        self.branches.park.cancel();
    }

    /// Returns whether [`park`](Self::park) was called.
    #[must_use]
    pub fn is_parking(&self) -> bool {
        self.branches.is_parking.load(Ordering::Acquire)
    }

    /// Waits until all branches of the run wait for a time or a message.
    pub async fn until_waiting(&self) {
        loop {
            let mut notified = std::pin::pin!(self.branches.all_waiting.notified());
            notified.as_mut().enable();
            if self.branches.active.load(Ordering::SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Waits until a branch of the run is active again or has been active since this call.
    pub async fn until_active(&self) {
        let mut notified = std::pin::pin!(self.branches.one_active.notified());
        notified.as_mut().enable();
        // An active branch may wait again before this task runs, so the count is checked only once.
        if self.branches.active.load(Ordering::SeqCst) == 0 {
            notified.await;
        }
    }

    /// Returns the earliest time, on the engine's clock, at which a wait ends on its own.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let of_deadline = self.first_wake(WaitsFor::Deadline);
        self.next_timer().into_iter().chain(of_deadline).min()
    }

    /// Returns the earliest time, on the engine's clock, at which a step waiting
    /// only for a time continues.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.first_wake(WaitsFor::Time)
    }

    fn first_wake(&self, what: WaitsFor) -> Option<Timestamp> {
        let first = lock(&self.branches.wakes).of(what).keys().next().copied();
        first.map(|time| self.clock().to_engine(time))
    }

    /// Registers the times at which `child`'s earliest known waits end, until the guards are
    /// dropped.
    pub(super) fn wakes_with(&self, child: &Run) -> [Option<PendingWake<'_>>; 2] {
        [WaitsFor::Time, WaitsFor::Deadline].map(|what| {
            let wake = child.first_wake(what)?;
            Some(self.wakes_at(what, self.clock().to_run(wake)))
        })
    }

    /// Waits until all branches of the run wait only for messages. A run without an executor cannot
    /// receive messages.
    async fn waits_only_for_messages(&self) {
        self.until_waiting().await;
        if self.is_parking() || self.next_wake().is_some() {
            std::future::pending::<()>().await;
        }
    }

    /// Registers a wait that ends at `time`, until the guard is dropped.
    pub(crate) fn wakes_at(&self, what: WaitsFor, time: Timestamp) -> PendingWake<'_> {
        *lock(&self.branches.wakes).of(what).entry(time).or_default() += 1;
        PendingWake(self, what, time)
    }

    pub(crate) async fn park_requested(&self) {
        self.branches.park.cancelled().await;
    }

    /// Counts one more branch as active until the guard is dropped.
    pub(super) fn mark_active(self: &Arc<Self>) -> ActiveBranch {
        self.branches.increment();
        ActiveBranch(self.clone())
    }

    /// Counts the calling branch as waiting until the guard is dropped.
    pub(crate) fn mark_waiting(&self) -> WaitingBranch<'_> {
        self.branches.decrement();
        WaitingBranch(self)
    }
}

impl Engine {
    /// Drives a run without an executor. Such a run cannot receive messages, so it parks once it
    /// waits only for messages.
    pub async fn drive_alone(&self, run: &Arc<Run>) -> Driven {
        let mut driven = std::pin::pin!(self.drive(run));
        loop {
            tokio::select! {
                biased;
                driven = &mut driven => return driven,
                () = run.waits_only_for_messages() => run.park(),
            }
        }
    }
}
