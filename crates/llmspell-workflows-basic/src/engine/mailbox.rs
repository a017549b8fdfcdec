use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, OnceLock, Weak},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Run;
use crate::sync::lock;

/// An inbound message for a step that waits for a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// The number of the message; the messages to a run are numbered from 1.
    pub number: u64,
    /// The name of the signal.
    pub name: String,
    /// The data of the signal.
    pub data: Value,
    /// The enclosing run that the signal was sent to, if a step of a sub-workflow consumed the
    /// signal. In that case, `number` counts that run's messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<Uuid>,
}

impl Signal {
    /// Creates a signal that was sent to the run itself.
    pub fn new(number: u64, name: impl Into<String>, data: impl Into<Value>) -> Self {
        Self { number, name: name.into(), data: data.into(), sent_to: None }
    }
}

/// The unconsumed signals of a run. Each signal is consumed by exactly one step of the run or its
/// sub-workflows.
#[derive(Default)]
pub(crate) struct Mailbox {
    queue: Mutex<SignalQueue>,
    /// Notified of each signal that a step of the run may consume.
    arrival: Mutex<Arc<Notify>>,
    /// The enclosing run, while it drives this one.
    around: OnceLock<Weak<Run>>,
}

#[derive(Default)]
struct SignalQueue {
    waiting: BTreeMap<u64, Arc<Signal>>,
    taken: HashSet<u64>,
    last: u64,
}

impl Mailbox {
    /// Creates a mailbox in which the signals with these numbers count as consumed.
    pub(super) fn after(taken: HashSet<u64>) -> Self {
        let last = taken.iter().copied().max().unwrap_or(0);
        Self { queue: Mutex::new(SignalQueue { taken, last, ..SignalQueue::default() }), ..Self::default() }
    }

    fn put(&self, signal: Signal) {
        let mut queue = lock(&self.queue);
        queue.last = queue.last.max(signal.number);
        if !queue.taken.contains(&signal.number) {
            queue.waiting.insert(signal.number, Arc::new(signal));
        }
        drop(queue);
        self.arrival().notify_waiters();
    }

    fn arrival(&self) -> Arc<Notify> {
        lock(&self.arrival).clone()
    }

    /// Consumes the first signal after `seen[depth]` for which `fits` is true.
    fn take_next(
        &self,
        depth: usize,
        seen: &mut Vec<u64>,
        fits: &mut impl FnMut(&Signal) -> bool,
    ) -> Option<Arc<Signal>> {
        seen.resize(seen.len().max(depth + 1), 0);
        while let Some(signal) = self.first_after(seen[depth]) {
            seen[depth] = signal.number;
            // No lock is held while a filter runs: the filter may warn, and an observer of the warning may send a
            // signal.
            if fits(&signal) && self.claim(signal.number) {
                return Some(signal);
            }
        }
        None
    }

    /// Returns the first unconsumed signal after number `seen`.
    fn first_after(&self, seen: u64) -> Option<Arc<Signal>> {
        lock(&self.queue).waiting.range(seen + 1..).next().map(|(_, signal)| signal.clone())
    }

    /// Consumes signal `number`; returns `false` if another step has already consumed it.
    fn claim(&self, number: u64) -> bool {
        let mut queue = lock(&self.queue);
        let is_mine = queue.waiting.remove(&number).is_some();
        if is_mine {
            queue.taken.insert(number);
        }
        is_mine
    }

    /// Returns the number of the last signal that arrived.
    fn last(&self) -> u64 {
        lock(&self.queue).last
    }
}

impl Run {
    /// Allows the steps of this run, a sub-workflow of `run`, to consume the signals of `run`.
    pub(super) fn share_signals_of(&self, run: &Arc<Self>) {
        // A run has only one enclosing run.
        let _ = self.mailbox.around.set(Arc::downgrade(run));
        *lock(&self.mailbox.arrival) = run.mailbox.arrival();
    }

    /// Returns the run that encloses this one, if there is one.
    fn around(&self) -> Option<Arc<Self>> {
        self.mailbox.around.get()?.upgrade()
    }

    /// Waits for the first signal for which `fits` is true, sent to this run or to an enclosing one, and consumes it.
    pub(crate) async fn take_signal(&self, mut fits: impl FnMut(&Signal) -> bool) -> Arc<Signal> {
        let arrival = self.mailbox.arrival();
        // The last signal of each run that was looked at, innermost run first.
        let mut seen = Vec::new();
        loop {
            let mut arrived = std::pin::pin!(arrival.notified());
            arrived.as_mut().enable();
            if let Some(signal) = self.mailbox.take_next(0, &mut seen, &mut fits) {
                return signal;
            }
            let (mut around, mut depth) = (self.around(), 1);
            while let Some(run) = around {
                if let Some(signal) = run.mailbox.take_next(depth, &mut seen, &mut fits) {
                    return Arc::new(Signal { sent_to: Some(run.id()), ..(*signal).clone() });
                }
                (around, depth) = (run.around(), depth + 1);
            }
            arrived.await;
        }
    }

    /// Returns the number of the last signal sent to the outermost enclosing run, or to this run if
    /// no run encloses it.
    pub(crate) fn last_signal(&self) -> u64 {
        self.around().map_or_else(|| self.mailbox.last(), |around| around.last_signal())
    }

    /// Delivers a signal to the first step of this run or its sub-workflows that waits for the
    /// signal's name. A duplicate is ignored.
    pub fn deliver(&self, mut signal: Signal) {
        self.masker.mask(&mut signal.data);
        self.mailbox.put(signal);
    }

    /// Sends the signal `name` with `data` to a run whose messages are not numbered in any other
    /// way.
    pub fn signal(&self, name: impl Into<String>, data: impl Into<Value>) {
        self.deliver(Signal::new(self.mailbox.last() + 1, name, data));
    }
}
