use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

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
}

/// The signals of a run that no step has consumed yet. Each signal is consumed by exactly one step.
#[derive(Default)]
pub(crate) struct Mailbox {
    queue: Mutex<SignalQueue>,
    arrival: Notify,
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
        Self { queue: Mutex::new(SignalQueue { taken, last, ..SignalQueue::default() }), arrival: Notify::new() }
    }

    fn put(&self, signal: Signal) {
        let mut queue = lock(&self.queue);
        queue.last = queue.last.max(signal.number);
        if !queue.taken.contains(&signal.number) {
            queue.waiting.insert(signal.number, Arc::new(signal));
        }
        drop(queue);
        self.arrival.notify_waiters();
    }

    /// Waits for the first signal for which `fits` is true, and consumes it.
    pub(crate) async fn take(&self, mut fits: impl FnMut(&Signal) -> bool) -> Arc<Signal> {
        let mut seen = 0;
        loop {
            let mut arrival = std::pin::pin!(self.arrival.notified());
            arrival.as_mut().enable();
            while let Some(signal) = self.first_after(seen) {
                seen = signal.number;
                // No lock is held while a filter runs: the filter may warn, and an observer of the warning may send a
                // signal.
                if fits(&signal) && self.claim(seen) {
                    return signal;
                }
            }
            arrival.await;
        }
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
    pub(crate) fn last(&self) -> u64 {
        lock(&self.queue).last
    }
}

impl Run {
    /// Delivers a signal to the first step that waits for the signal's name; a duplicate is ignored.
    pub fn deliver(&self, mut signal: Signal) {
        self.masker.mask(&mut signal.data);
        self.mailbox.put(signal);
    }

    /// Sends the signal `name` with `data` to a run whose messages have no other numbering.
    pub fn signal(&self, name: impl Into<String>, data: impl Into<Value>) {
        let number = self.mailbox.last() + 1;
        self.deliver(Signal { number, name: name.into(), data: data.into() });
    }
}
