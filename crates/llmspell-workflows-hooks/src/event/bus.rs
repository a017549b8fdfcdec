use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::FutureExt;
use jiff::Timestamp;
use llmspell_workflows_basic::{PathLink, Run, engine::Call, sync::lock, targets};
use serde_json::Value;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{
    EVENTS_BUFFERED_MAX, Event, EventData, EventKind, Filter, Received, Subscription, Timeline, TimelineSettings,
    queue::Queue, timeline::Timelines,
};
use crate::{Correlations, HookReport};

/// Publishes events to subscribers; cheap to clone.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use llmspell_workflows_basic::{Engine, WorkflowInput, engine::Position, model::{Definition, Step}};
/// use llmspell_workflows_hooks::event::{EventBus, EventLayer, Filter, Received};
/// use serde_json::Map;
///
/// let bus = EventBus::new();
/// let mut ends = bus.subscribe(Filter::all().kind("*.completed"));
/// let engine = Engine::builder().interceptor(Position::Hooks, EventLayer::new(bus.clone())).build();
/// engine.run(Definition::sequence("small", [Step::set("only", Map::new())]), WorkflowInput::default()).await?;
///
/// let mut seen = Vec::new();
/// while let Some(Received::Event(event)) = ends.try_next() {
///     seen.push(format!("{} {}", event.kind, event.subject()));
/// }
/// assert_eq!(seen, ["step.completed /main/only", "run.completed "]);
/// # Ok::<(), llmspell_workflows_basic::WorkflowError>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct EventBus(Arc<Inner>);

struct Inner {
    /// The bit set of the event kinds that have a subscriber or a timeline.
    wanted: AtomicU64,
    order: AtomicU64,
    subscribers: RwLock<Vec<Arc<Queue>>>,
    timelines: Option<Mutex<Timelines>>,
    correlations: Correlations,
}

/// An event in a run, as recorded by a host.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    /// The run.
    pub run_id: Uuid,
    /// The number of the record.
    pub sequence: u64,
    /// The number of the event within its record, from 0.
    pub part: u32,
    /// The kind of event.
    pub kind: EventKind,
    /// The path of the step; `None` if the event concerns the run as a whole.
    pub path: Option<PathLink>,
    /// When the event happened.
    pub timestamp: Timestamp,
    /// Further data.
    pub data: EventData,
}

/// An event to publish.
struct Publication {
    sequence: Option<u64>,
    part: u32,
    kind: EventKind,
    run_id: Uuid,
    path: Option<PathLink>,
    timestamp: Timestamp,
    data: EventData,
}

impl Publication {
    /// Creates an unrecorded event about the run as a whole.
    fn unrecorded(kind: EventKind, run_id: Uuid, timestamp: Timestamp, data: EventData) -> Self {
        Self { sequence: None, part: 0, kind, run_id, path: None, timestamp, data }
    }
}

/// A running event handler. Dropping this stops the handler.
#[derive(Debug)]
pub struct HandlerTask(JoinHandle<()>);

impl Default for EventBus {
    fn default() -> Self {
        Self::new()
    }
}

impl EventBus {
    /// Creates a bus without timelines.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Correlations::default(), None)
    }

    /// Creates a bus that keeps the most recent events of each run, whether or not there are subscribers.
    #[must_use]
    pub fn with_timelines(settings: TimelineSettings) -> Self {
        Self::with(Correlations::default(), Some(settings))
    }

    /// Creates a bus whose events contain the ids in `correlations`, with or without timelines.
    #[must_use]
    pub fn with(correlations: Correlations, timelines: Option<TimelineSettings>) -> Self {
        let wanted = AtomicU64::new(if timelines.is_some() { u64::MAX } else { 0 });
        let timelines = timelines.map(|settings| Mutex::new(Timelines::new(settings)));
        let (order, subscribers) = (AtomicU64::new(0), RwLock::default());
        Self(Arc::new(Inner { wanted, order, subscribers, timelines, correlations }))
    }

    /// Returns the correlation ids of this bus.
    #[must_use]
    pub fn correlations(&self) -> &Correlations {
        &self.0.correlations
    }

    /// Subscribes to the events that match `filter`, with a buffer of the default size.
    #[must_use]
    pub fn subscribe(&self, filter: Filter) -> Subscription {
        self.subscribe_with(filter, EVENTS_BUFFERED_MAX)
    }

    /// Subscribes to the events that match `filter`, with a buffer for `capacity` events.
    #[must_use]
    pub fn subscribe_with(&self, filter: Filter, capacity: usize) -> Subscription {
        let queue = Arc::new(Queue::new(filter, capacity));
        {
            let mut subscribers = self.0.subscribers.write().unwrap_or_else(PoisonError::into_inner);
            subscribers.push(queue.clone());
            self.0.update_wanted(&subscribers);
        }
        let bus = Arc::downgrade(&self.0);
        let unsubscribe = Box::new(move |queue: &Arc<Queue>| {
            if let Some(bus) = bus.upgrade() {
                let mut subscribers = bus.subscribers.write().unwrap_or_else(PoisonError::into_inner);
                subscribers.retain(|other| !Arc::ptr_eq(other, queue));
                bus.update_wanted(&subscribers);
            }
        });
        Subscription { queue, unsubscribe }
    }

    /// Calls `handler` with each event that matches `filter`, one at a time, in a separate task.
    ///
    /// If the handler panics, the panic is logged and the next event is handled.
    pub fn handle<F, Fut>(&self, filter: Filter, handler: F) -> HandlerTask
    where
        F: Fn(Received) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let mut subscription = self.subscribe(filter);
        HandlerTask(tokio::spawn(async move {
            while let Some(received) = subscription.next().await {
                if AssertUnwindSafe(async { handler(received).await }).catch_unwind().await.is_err() {
                    tracing::error!(target: targets::EVENT, "an event handler panicked");
                }
            }
        }))
    }

    /// Returns whether there is a subscriber or a timeline for events of this kind.
    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.0.wanted.load(Ordering::Relaxed) & kind.bit() != 0
    }

    /// Returns whether there is a subscriber or a timeline for events of any kind.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed) != 0
    }

    /// Publishes a host-defined event about a run.
    pub fn publish_custom(&self, run_id: Uuid, data: Value) {
        if self.wants(EventKind::Custom) {
            self.publish(Publication::unrecorded(EventKind::Custom, run_id, Timestamp::now(), EventData::Custom(data)));
        }
    }

    /// Publishes an unrecorded event about the run as a whole; to be called by the run's host.
    ///
    /// `data` is called only if the kind is wanted.
    pub fn publish_unrecorded(&self, kind: EventKind, run_id: Uuid, at: Timestamp, data: impl FnOnce() -> EventData) {
        if self.wants(kind) {
            self.publish(Publication::unrecorded(kind, run_id, at, data()));
        }
    }

    /// Publishes an event that a host has recorded.
    pub fn publish_recorded(&self, recorded: RecordedEvent) {
        let RecordedEvent { run_id, sequence, part, kind, path, timestamp, data } = recorded;
        if self.wants(kind) {
            self.publish(Publication { sequence: Some(sequence), part, kind, run_id, path, timestamp, data });
        }
    }

    /// Returns the retained events of a run; `None` if there are none.
    #[must_use]
    pub fn timeline(&self, run_id: Uuid) -> Option<Timeline> {
        let timelines = self.0.timelines.as_ref()?;
        lock(timelines).of(run_id)
    }

    /// Returns the retained events of all runs with this correlation id.
    #[must_use]
    pub fn correlated(&self, correlation_id: &str) -> Timeline {
        let Some(timelines) = &self.0.timelines else { return Timeline::default() };
        lock(timelines).correlated(correlation_id)
    }

    /// Publishes an event about the step of `call`, in a run without a journal.
    ///
    /// `data` is called only if the kind is wanted.
    pub(crate) fn publish_step(&self, kind: EventKind, call: &Call, data: impl FnOnce() -> EventData) {
        // Events are counted even without subscribers so that the numbers do not depend on subscriptions.
        let sequence = Some(call.run().next_event());
        self.publish_step_as(sequence, kind, call, data);
    }

    /// Publishes an unrecorded event about the step of `call`.
    pub(crate) fn publish_step_unrecorded(&self, kind: EventKind, call: &Call, data: impl FnOnce() -> EventData) {
        self.publish_step_as(None, kind, call, data);
    }

    fn publish_step_as(&self, sequence: Option<u64>, kind: EventKind, call: &Call, data: impl FnOnce() -> EventData) {
        if self.wants(kind) {
            let (run, path) = (call.run(), Some(call.path().clone()));
            let publication = Publication::unrecorded(kind, run.id(), run.now(), data());
            self.publish(Publication { sequence, path, ..publication });
        }
    }

    /// Publishes an event about `run` as a whole; the run has no journal.
    pub(crate) fn publish_run(&self, kind: EventKind, run: &Run, data: impl FnOnce() -> EventData) {
        let sequence = Some(run.next_event());
        if self.wants(kind) {
            let publication = Publication::unrecorded(kind, run.id(), run.now(), data());
            self.publish(Publication { sequence, ..publication });
        }
    }

    pub(crate) fn publish_hook_failure(&self, call: &Call, report: &HookReport) {
        self.publish_step_unrecorded(EventKind::HookTroubled, call, || EventData::Hook {
            hook: report.hook.to_string(),
            point: report.point.to_string(),
            code: report.failure.code().to_owned(),
        });
    }

    fn publish(&self, publication: Publication) {
        let Publication { sequence, part, kind, run_id, path, timestamp, data } = publication;
        let correlation_id = self.0.correlations.explicit(run_id);
        let order = self.0.order.fetch_add(1, Ordering::Relaxed);
        let event = Arc::new(Event { sequence, part, order, kind, run_id, correlation_id, path, timestamp, data });
        if let Some(timelines) = &self.0.timelines {
            lock(timelines).push(&event);
        }
        let subscribers = self.0.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().for_each(|queue| queue.push(&event));
    }
}

impl Inner {
    fn update_wanted(&self, subscribers: &[Arc<Queue>]) {
        let base = if self.timelines.is_some() { u64::MAX } else { 0 };
        let wanted = subscribers.iter().fold(base, |wanted, queue| wanted | queue.mask);
        self.wanted.store(wanted, Ordering::Relaxed);
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBus").field("is_wanted", &self.is_wanted()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let subscribers = self.subscribers.get_mut().unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().for_each(|queue| queue.close());
    }
}

impl Drop for HandlerTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
