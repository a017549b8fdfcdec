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
    /// How often a branch has become active.
    activations: AtomicUsize,
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

/// When the waits of a run end on their own, on the engine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTimes {
    timer: Option<Timestamp>,
    deadline: Option<Timestamp>,
}

impl WaitTimes {
    /// Returns the earliest time at which a wait ends on its own.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.timer.into_iter().chain(self.deadline).min()
    }

    /// Returns the earliest time at which a step that waits only for a time continues.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timer
    }
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
            activations: AtomicUsize::new(1),
            all_waiting: Notify::new(),
            one_active: Notify::new(),
            park: CancellationToken::new(),
            is_parking: AtomicBool::new(false),
            wakes: Mutex::default(),
        }
    }

    fn increment(&self) {
        let was_active = self.active.fetch_add(1, Ordering::SeqCst);
        // Counted second, so that `wait_times` sees one of the two changes.
        self.activations.fetch_add(1, Ordering::SeqCst);
        if was_active == 0 {
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

/// A guard that counts the current branch as waiting, and registers when the wait ends.
pub(crate) struct WaitingBranch<'r> {
    run: &'r Run,
    _wakes: [Option<PendingWake<'r>>; 2],
}

impl Drop for WaitingBranch<'_> {
    fn drop(&mut self) {
        // Fields are dropped afterwards, so the times are removed once the branch is active.
        self.run.branches.increment();
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

    /// Waits until all branches of the run wait for a time or a message; returns when the waits end
    /// on their own.
    pub async fn until_waiting(&self) -> WaitTimes {
        loop {
            let mut notified = std::pin::pin!(self.branches.all_waiting.notified());
            notified.as_mut().enable();
            if let Some(times) = self.wait_times() {
                return times;
            }
            notified.await;
        }
    }

    /// Returns when the waits of the run end on their own; `None` if a branch is active, or was
    /// while the times were read. A branch that becomes active is counted before its time is
    /// removed, so the times are complete.
    #[must_use]
    pub fn wait_times(&self) -> Option<WaitTimes> {
        let activations = self.branches.activations.load(Ordering::SeqCst);
        if self.branches.active.load(Ordering::SeqCst) != 0 {
            return None;
        }
        let (timer, deadline) = (self.first_wake(WaitsFor::Time), self.first_wake(WaitsFor::Deadline));
        let is_unchanged = self.branches.activations.load(Ordering::SeqCst) == activations;
        is_unchanged.then_some(WaitTimes { timer, deadline })
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

    fn first_wake(&self, what: WaitsFor) -> Option<Timestamp> {
        let first = lock(&self.branches.wakes).of(what).keys().next().copied();
        first.map(|time| self.clock().to_engine(time))
    }

    /// Waits until all branches of the run wait only for messages. A run without an executor cannot
    /// receive messages.
    async fn waits_only_for_messages(&self) {
        let times = self.until_waiting().await;
        if self.is_parking() || times.next_wake().is_some() {
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
        self.waiting([None, None])
    }

    /// Counts the calling branch as waiting, at most until `time`, until the guard is dropped.
    pub(crate) fn mark_waiting_until(&self, what: WaitsFor, time: Option<Timestamp>) -> WaitingBranch<'_> {
        self.waiting([time.map(|time| self.wakes_at(what, time)), None])
    }

    /// Counts the calling branch as waiting for a child run, until the guard is dropped.
    pub(super) fn mark_waiting_for(&self, child: WaitTimes) -> WaitingBranch<'_> {
        let wakes = [(WaitsFor::Time, child.timer), (WaitsFor::Deadline, child.deadline)];
        self.waiting(wakes.map(|(what, wake)| Some(self.wakes_at(what, self.clock().to_run(wake?)))))
    }

    fn waiting<'r>(&'r self, wakes: [Option<PendingWake<'r>>; 2]) -> WaitingBranch<'r> {
        self.branches.decrement();
        WaitingBranch { run: self, _wakes: wakes }
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

#[cfg(test)]
mod tests {
    use super::WaitsFor;
    use crate::{Engine, RunOptions, WorkflowInput, model::Definition};

    /// The only branch of a run waits for a time again and again. Whenever another thread finds the
    /// run waiting, it also finds the time.
    #[test]
    fn waits_of_a_run_are_read_together_with_their_times() {
        let engine = Engine::builder().build();
        let plan = engine.prepare(Definition::sequence("waits", [])).unwrap();
        let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
        std::thread::scope(|threads| {
            let waits = threads.spawn(|| {
                for _ in 0..200_000 {
                    let _waiting = run.mark_waiting_until(WaitsFor::Time, Some(run.now()));
                }
            });
            while !waits.is_finished() {
                assert!(run.wait_times().is_none_or(|times| times.next_timer().is_some()));
            }
        });
    }
}
