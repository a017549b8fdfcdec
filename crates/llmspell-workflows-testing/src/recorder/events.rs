use std::sync::{Arc, Mutex};

use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_hooks::{
    EventBus,
    event::{Event, Filter, Received, Subscription},
};

use super::RECORDED_MAX;
use crate::{Story, bounded_log::BoundedLog};

/// Records the most recent events that match a filter; cheap to clone. See [the module](super) for an example.
#[derive(Debug, Clone)]
pub struct EventRecorder(Arc<Mutex<Recording>>);

#[derive(Debug)]
struct Recording {
    subscription: Subscription,
    events: BoundedLog<Arc<Event>>,
    /// The number of events that the subscription lost before they were recorded.
    missed: u64,
}

impl EventRecorder {
    /// Records matching events that `bus` publishes after this call.
    #[must_use]
    pub fn new(bus: &EventBus, filter: Filter) -> Self {
        Self::with_capacity(bus, filter, RECORDED_MAX)
    }

    /// Does the same as [`Self::new`] for `capacity` events; when the recorder is full, the oldest event is dropped.
    #[must_use]
    pub fn with_capacity(bus: &EventBus, filter: Filter, capacity: usize) -> Self {
        let subscription = bus.subscribe_with(filter, capacity);
        Self(Arc::new(Mutex::new(Recording { subscription, events: BoundedLog::new(capacity), missed: 0 })))
    }

    /// Returns the recorded events, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Arc<Event>> {
        let mut recording = lock(&self.0);
        recording.receive();
        recording.events.iter().cloned().collect()
    }

    /// Returns the recorded events as lines: the kind, and the path unless the event concerns the run as a whole.
    #[must_use]
    pub fn story(&self) -> Story {
        let mut recording = lock(&self.0);
        recording.receive();
        let lines =
            recording.events.iter().map(|event| format!("{} {}", event.kind, event.subject()).trim_end().to_owned());
        Story::of(lines).after_lost(recording.events.lost() + recording.missed)
    }
}

impl Recording {
    /// Receives the buffered events.
    fn receive(&mut self) {
        while let Some(received) = self.subscription.try_next() {
            match received {
                Received::Event(event) => drop(self.events.push(event)),
                Received::Lost(lost) => self.missed += lost,
            }
        }
    }
}
