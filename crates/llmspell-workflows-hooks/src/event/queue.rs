use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::{Stream, stream};
use llmspell_workflows_basic::sync::lock;
use tokio::sync::Notify;

use super::{Event, Filter};

/// How many events are buffered for a subscriber by default.
pub const EVENTS_BUFFERED_MAX: usize = 10_000;

/// What a subscriber has not taken yet.
pub(super) struct Queue {
    filter: Filter,
    pub(super) mask: u64,
    capacity: usize,
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Arc<Event>>,
    lost: u64,
    is_closed: bool,
}

/// What a subscriber gets.
#[derive(Debug, Clone)]
pub enum Received {
    /// An event.
    Event(Arc<Event>),
    /// It was too slow: so many events that came before the next one are lost.
    Lost(u64),
}

impl Queue {
    pub(super) fn new(filter: Filter, capacity: usize) -> Self {
        let mask = filter.mask();
        Self { filter, mask, capacity: capacity.max(1), waiting: Mutex::default(), news: Notify::new() }
    }

    /// Adds `event` if it gets through; the oldest makes room.
    pub(super) fn push(&self, event: &Arc<Event>) {
        if self.mask & event.kind.bit() == 0 || !self.filter.lets(event) {
            return;
        }
        let mut waiting = self.lock();
        // What is lost is freed after the lock.
        let oldest = if waiting.events.len() >= self.capacity { waiting.events.pop_front() } else { None };
        waiting.lost += u64::from(oldest.is_some());
        waiting.events.push_back(event.clone());
        drop(waiting);
        self.news.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

/// Takes a queue away from its bus.
pub(super) type Leave = Box<dyn Fn(&Arc<Queue>) + Send + Sync>;

/// The events of one subscriber; it ends when the bus is gone, and unsubscribes when it is dropped.
pub struct Subscription {
    pub(super) queue: Arc<Queue>,
    pub(super) leave: Leave,
}

impl Subscription {
    /// Waits for what comes next; `None` when the bus is gone and all was taken.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some(received) = self.try_next() {
                return Some(received);
            }
            if self.queue.lock().is_closed {
                return None;
            }
            self.queue.news.notified().await;
        }
    }

    /// What is there already.
    pub fn try_next(&mut self) -> Option<Received> {
        let mut waiting = self.queue.lock();
        match std::mem::take(&mut waiting.lost) {
            0 => waiting.events.pop_front().map(Received::Event),
            lost => Some(Received::Lost(lost)),
        }
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Received> + Send {
        stream::unfold(self, |mut subscription| async move {
            let received = subscription.next().await?;
            Some((received, subscription))
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        (self.leave)(&self.queue);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("filter", &self.queue.filter).finish_non_exhaustive()
    }
}
