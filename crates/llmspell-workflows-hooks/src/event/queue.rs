use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::{Stream, stream};
use llmspell_workflows_basic::sync::lock;
use tokio::sync::Notify;

use super::{Event, Filter};

/// The default number of events buffered for a subscriber.
pub const EVENTS_BUFFERED_MAX: usize = 10_000;

/// The events that a subscriber has not received yet.
pub(super) struct Queue {
    filter: Filter,
    pub(super) mask: u64,
    capacity: usize,
    buffer: Mutex<Buffer>,
    changed: Notify,
}

#[derive(Default)]
struct Buffer {
    events: VecDeque<Arc<Event>>,
    lost: u64,
    is_closed: bool,
}

/// An item that a subscriber receives.
#[derive(Debug, Clone)]
pub enum Received {
    /// An event.
    Event(Arc<Event>),
    /// The subscriber was too slow: this many events before the next event were dropped.
    Lost(u64),
}

impl Queue {
    pub(super) fn new(filter: Filter, capacity: usize) -> Self {
        let mask = filter.mask();
        Self { filter, mask, capacity: capacity.max(1), buffer: Mutex::default(), changed: Notify::new() }
    }

    /// Adds `event` if it matches the filter, dropping the oldest event if the queue is full.
    pub(super) fn push(&self, event: &Arc<Event>) {
        if self.mask & event.kind.bit() == 0 || !self.filter.matches_event(event) {
            return;
        }
        let mut buffer = self.lock();
        // The removed event is freed after the lock is released.
        let oldest = if buffer.events.len() >= self.capacity { buffer.events.pop_front() } else { None };
        buffer.lost += u64::from(oldest.is_some());
        buffer.events.push_back(event.clone());
        drop(buffer);
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        lock(&self.buffer)
    }
}

/// Removes a queue from its bus.
pub(super) type Unsubscribe = Box<dyn Fn(&Arc<Queue>) + Send + Sync>;

/// The events of one subscriber. A subscription ends when the bus is dropped; dropping the subscription unsubscribes.
pub struct Subscription {
    pub(super) queue: Arc<Queue>,
    pub(super) unsubscribe: Unsubscribe,
}

impl Subscription {
    /// Waits for the next item; returns `None` once the bus has been dropped and all items have been received.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some(received) = self.try_next() {
                return Some(received);
            }
            if self.queue.lock().is_closed {
                return None;
            }
            self.queue.changed.notified().await;
        }
    }

    /// Returns the next buffered item, if any.
    pub fn try_next(&mut self) -> Option<Received> {
        let mut buffer = self.queue.lock();
        match std::mem::take(&mut buffer.lost) {
            0 => buffer.events.pop_front().map(Received::Event),
            lost => Some(Received::Lost(lost)),
        }
    }

    /// Converts the subscription into a stream.
    pub fn into_stream(self) -> impl Stream<Item = Received> + Send {
        stream::unfold(self, |mut subscription| async move {
            let received = subscription.next().await?;
            Some((received, subscription))
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        (self.unsubscribe)(&self.queue);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("filter", &self.queue.filter).finish_non_exhaustive()
    }
}
