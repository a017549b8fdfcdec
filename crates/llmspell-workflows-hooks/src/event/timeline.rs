use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use uuid::Uuid;

use super::Event;

/// Limits on the events that the timelines of a bus retain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineSettings {
    /// The maximum number of runs; when it is exceeded, the run that started first is dropped.
    pub runs_max: usize,
    /// The maximum number of events per run; when it is exceeded, the oldest event is dropped.
    pub events_max: usize,
}

impl Default for TimelineSettings {
    fn default() -> Self {
        Self { runs_max: 1_000, events_max: 1_000 }
    }
}

/// The retained events of a run, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// The events.
    pub events: Vec<Arc<Event>>,
    /// The number of older events that were dropped.
    pub lost: u64,
}

/// The timelines of the most recently started runs.
pub(super) struct Timelines {
    settings: TimelineSettings,
    runs: HashMap<Uuid, RunEvents>,
    /// The runs, in the order of their first events.
    order: VecDeque<Uuid>,
}

#[derive(Default)]
struct RunEvents {
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
        let run = self.runs.entry(event.run_id).or_default();
        if run.events.len() >= self.settings.events_max.max(1) {
            run.events.pop_front();
            run.lost += 1;
        }
        run.events.push_back(event.clone());
    }

    pub(super) fn of(&self, run_id: Uuid) -> Option<Timeline> {
        let run = self.runs.get(&run_id)?;
        Some(Timeline { events: run.events.iter().cloned().collect(), lost: run.lost })
    }

    /// Returns the events of all runs with this correlation id, in the order in which they happened.
    pub(super) fn correlated(&self, correlation_id: &str) -> Timeline {
        let belongs = |run: &&RunEvents| {
            let last = run.events.back();
            last.is_some_and(|event| event.correlation_id.as_deref() == Some(correlation_id))
        };
        let mut timeline = Timeline::default();
        for run in self.runs.values().filter(belongs) {
            timeline.events.extend(run.events.iter().cloned());
            timeline.lost += run.lost;
        }
        timeline.events.sort_by_key(|event| event.order);
        timeline
    }
}
