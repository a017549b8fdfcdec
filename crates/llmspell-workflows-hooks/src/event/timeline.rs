use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use uuid::Uuid;

use super::Event;

/// How much the timelines of a bus keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineSettings {
    /// Of how many runs; the one that began first makes room.
    pub runs_max: usize,
    /// How many events of each; the oldest makes room.
    pub events_max: usize,
}

impl Default for TimelineSettings {
    fn default() -> Self {
        Self { runs_max: 1_000, events_max: 1_000 }
    }
}

/// What has happened to a run, oldest first, as far as it is kept.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// The events.
    pub events: Vec<Arc<Event>>,
    /// How many older ones are no longer kept.
    pub lost: u64,
}

/// The timelines of the runs that began last.
pub(super) struct Timelines {
    settings: TimelineSettings,
    runs: HashMap<Uuid, Kept>,
    /// The runs in the order in which their first events came.
    order: VecDeque<Uuid>,
}

#[derive(Default)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    lost: u64,
}

impl Timelines {
    pub(super) fn new(settings: TimelineSettings) -> Self {
        Self { settings, runs: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn push(&mut self, event: &Arc<Event>) {
        if !self.runs.contains_key(&event.run_id) {
            if self.order.len() >= self.settings.runs_max.max(1)
                && let Some(first) = self.order.pop_front()
            {
                self.runs.remove(&first);
            }
            self.order.push_back(event.run_id);
        }
        let kept = self.runs.entry(event.run_id).or_default();
        if kept.events.len() >= self.settings.events_max.max(1) {
            kept.events.pop_front();
            kept.lost += 1;
        }
        kept.events.push_back(event.clone());
    }

    pub(super) fn of(&self, run_id: Uuid) -> Option<Timeline> {
        let kept = self.runs.get(&run_id)?;
        Some(Timeline { events: kept.events.iter().cloned().collect(), lost: kept.lost })
    }

    /// The events of all runs that belong to `correlation_id`, in the order in which they happened.
    pub(super) fn correlated(&self, correlation_id: &str) -> Timeline {
        let belongs = |kept: &&Kept| {
            let last = kept.events.back();
            last.is_some_and(|event| event.correlation_id.as_deref() == Some(correlation_id))
        };
        let mut timeline = Timeline::default();
        for kept in self.runs.values().filter(belongs) {
            timeline.events.extend(kept.events.iter().cloned());
            timeline.lost += kept.lost;
        }
        timeline.events.sort_by_key(|event| event.order);
        timeline
    }
}
