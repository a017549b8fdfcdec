use std::sync::{Arc, Mutex};

use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_hooks::{
    EventBus,
    event::{Event, Filter, Received, Subscription},
};

use super::RECORDED_MAX;
use crate::{Story, kept::Kept};

/// Keeps the last events that get through a filter; cheap to clone. See [the module](super) for an example.
#[derive(Debug, Clone)]
pub struct EventRecorder(Arc<Mutex<Recording>>);

#[derive(Debug)]
struct Recording {
    subscription: Subscription,
    kept: Kept<Arc<Event>>,
    /// How many the bus had no room for before they were taken.
    missed: u64,
}

impl EventRecorder {
    /// Keeps what `bus` tells from now on and `filter` lets through.
    #[must_use]
    pub fn new(bus: &EventBus, filter: Filter) -> Self {
        Self::with_room(bus, filter, RECORDED_MAX)
    }

    /// The same with room for so many events; the oldest makes room.
    #[must_use]
    pub fn with_room(bus: &EventBus, filter: Filter, room: usize) -> Self {
        let subscription = bus.subscribe_with(filter, room);
        Self(Arc::new(Mutex::new(Recording { subscription, kept: Kept::new(room), missed: 0 })))
    }

    /// The events so far, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Arc<Event>> {
        let mut recording = lock(&self.0);
        recording.take();
        recording.kept.iter().cloned().collect()
    }

    /// What has happened so far, a line each: the kind of the event, and where; nothing more for a run as a whole.
    #[must_use]
    pub fn story(&self) -> Story {
        let mut recording = lock(&self.0);
        recording.take();
        let lines =
            recording.kept.iter().map(|event| format!("{} {}", event.kind, event.subject()).trim_end().to_owned());
        Story::of(lines).after_lost(recording.kept.lost() + recording.missed)
    }
}

impl Recording {
    /// Takes what waits at the bus.
    fn take(&mut self) {
        while let Some(received) = self.subscription.try_next() {
            match received {
                Received::Event(event) => drop(self.kept.push(event)),
                Received::Lost(lost) => self.missed += lost,
            }
        }
    }
}
