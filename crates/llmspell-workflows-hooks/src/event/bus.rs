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
use crate::{Correlations, Report};

/// Tells subscribers what happens; cheap to clone.
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
    /// The kinds that anybody wants.
    wanted: AtomicU64,
    order: AtomicU64,
    subscribers: RwLock<Vec<Arc<Queue>>>,
    timelines: Option<Mutex<Timelines>>,
    correlations: Correlations,
}

/// Something that a host has recorded of a run.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    /// Which run.
    pub run_id: Uuid,
    /// The number of the record.
    pub sequence: u64,
    /// Which event of that record it is, from 0.
    pub part: u32,
    /// What has happened.
    pub kind: EventKind,
    /// Where in the run; `None`: to the run as a whole.
    pub path: Option<PathLink>,
    /// When.
    pub timestamp: Timestamp,
    /// What more there is to say.
    pub data: EventData,
}

/// What is to be published.
struct Told {
    sequence: Option<u64>,
    part: u32,
    kind: EventKind,
    run_id: Uuid,
    path: Option<PathLink>,
    timestamp: Timestamp,
    data: EventData,
}

impl Told {
    /// What happened to a run as a whole and is on no record.
    fn transient(kind: EventKind, run_id: Uuid, timestamp: Timestamp, data: EventData) -> Self {
        Self { sequence: None, part: 0, kind, run_id, path: None, timestamp, data }
    }
}

/// A handler of events at work; dropped, it goes no further.
#[derive(Debug)]
pub struct Handling(JoinHandle<()>);

impl Default for EventBus {
    fn default() -> Self {
        Self::new()
    }
}

impl EventBus {
    /// A bus without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Correlations::default(), None)
    }

    /// A bus that keeps the last events of each run, whether anybody subscribes or not.
    #[must_use]
    pub fn with_timelines(settings: TimelineSettings) -> Self {
        Self::with(Correlations::default(), Some(settings))
    }

    /// A bus whose events carry what `correlations` say, with timelines or without.
    #[must_use]
    pub fn with(correlations: Correlations, timelines: Option<TimelineSettings>) -> Self {
        let wanted = AtomicU64::new(if timelines.is_some() { u64::MAX } else { 0 });
        let timelines = timelines.map(|settings| Mutex::new(Timelines::new(settings)));
        let (order, subscribers) = (AtomicU64::new(0), RwLock::default());
        Self(Arc::new(Inner { wanted, order, subscribers, timelines, correlations }))
    }

    /// What ties runs together on this bus.
    #[must_use]
    pub fn correlations(&self) -> &Correlations {
        &self.0.correlations
    }

    /// Subscribes to what gets through `filter`, with the usual buffer.
    #[must_use]
    pub fn subscribe(&self, filter: Filter) -> Subscription {
        self.subscribe_with(filter, EVENTS_BUFFERED_MAX)
    }

    /// The same with a buffer for `capacity` events.
    #[must_use]
    pub fn subscribe_with(&self, filter: Filter, capacity: usize) -> Subscription {
        let queue = Arc::new(Queue::new(filter, capacity));
        {
            let mut subscribers = self.0.subscribers.write().unwrap_or_else(PoisonError::into_inner);
            subscribers.push(queue.clone());
            self.0.note_wanted(&subscribers);
        }
        let bus = Arc::downgrade(&self.0);
        let leave = Box::new(move |queue: &Arc<Queue>| {
            if let Some(bus) = bus.upgrade() {
                let mut subscribers = bus.subscribers.write().unwrap_or_else(PoisonError::into_inner);
                subscribers.retain(|other| !Arc::ptr_eq(other, queue));
                bus.note_wanted(&subscribers);
            }
        });
        Subscription { queue, leave }
    }

    /// Calls `handler` with each event that gets through `filter`, one after the other, in a task of its own.
    ///
    /// A panic in it is reported, and the next event is handled.
    pub fn handle<F, Fut>(&self, filter: Filter, handler: F) -> Handling
    where
        F: Fn(Received) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let mut subscription = self.subscribe(filter);
        Handling(tokio::spawn(async move {
            while let Some(received) = subscription.next().await {
                if AssertUnwindSafe(async { handler(received).await }).catch_unwind().await.is_err() {
                    tracing::error!(target: targets::EVENT, "a handler of events panicked");
                }
            }
        }))
    }

    /// Whether anybody wants events of this kind.
    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.0.wanted.load(Ordering::Relaxed) & kind.bit() != 0
    }

    /// Whether anybody wants any.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed) != 0
    }

    /// Says something about a run, as a host.
    pub fn say(&self, run_id: Uuid, data: Value) {
        if self.wants(EventKind::Custom) {
            self.publish(Told::transient(EventKind::Custom, run_id, Timestamp::now(), EventData::Custom(data)));
        }
    }

    /// Tells what a host did with a run as a whole and is on no record; `data` is made only if anybody wants it.
    pub fn tell_of(&self, kind: EventKind, run_id: Uuid, at: Timestamp, data: impl FnOnce() -> EventData) {
        if self.wants(kind) {
            self.publish(Told::transient(kind, run_id, at, data()));
        }
    }

    /// Tells what a host has recorded of a run.
    pub fn tell_recorded(&self, recorded: RecordedEvent) {
        let RecordedEvent { run_id, sequence, part, kind, path, timestamp, data } = recorded;
        if self.wants(kind) {
            self.publish(Told { sequence: Some(sequence), part, kind, run_id, path, timestamp, data });
        }
    }

    /// What has happened to a run, as far as it is kept; `None` where nothing is.
    #[must_use]
    pub fn timeline(&self, run_id: Uuid) -> Option<Timeline> {
        let timelines = self.0.timelines.as_ref()?;
        lock(timelines).of(run_id)
    }

    /// What has happened to all runs that belong to `correlation_id`, as far as it is kept.
    #[must_use]
    pub fn correlated(&self, correlation_id: &str) -> Timeline {
        let Some(timelines) = &self.0.timelines else { return Timeline::default() };
        lock(timelines).correlated(correlation_id)
    }

    /// Tells what happened to the step of `call`, in a run of which nothing is recorded; `data` is made only if anybody
    /// wants it.
    pub(crate) fn tell(&self, kind: EventKind, call: &Call, data: impl FnOnce() -> EventData) {
        // Counted also where nobody wants it, so that its number does not depend on who listens.
        let sequence = Some(call.run().next_event());
        self.tell_step(sequence, kind, call, data);
    }

    /// Tells what happened to the step of `call` and is on no record.
    pub(crate) fn tell_transient(&self, kind: EventKind, call: &Call, data: impl FnOnce() -> EventData) {
        self.tell_step(None, kind, call, data);
    }

    fn tell_step(&self, sequence: Option<u64>, kind: EventKind, call: &Call, data: impl FnOnce() -> EventData) {
        if self.wants(kind) {
            let (run, path) = (call.run(), Some(call.path().clone()));
            let told = Told::transient(kind, run.id(), run.now(), data());
            self.publish(Told { sequence, path, ..told });
        }
    }

    /// Tells what happened to a run as a whole of which nothing is recorded.
    pub(crate) fn tell_of_run(&self, kind: EventKind, run: &Run, data: impl FnOnce() -> EventData) {
        let sequence = Some(run.next_event());
        if self.wants(kind) {
            let told = Told::transient(kind, run.id(), run.now(), data());
            self.publish(Told { sequence, ..told });
        }
    }

    pub(crate) fn hook_trouble(&self, call: &Call, report: &Report) {
        self.tell_transient(EventKind::HookTroubled, call, || EventData::Hook {
            hook: report.hook.to_string(),
            point: report.point.to_string(),
            code: report.trouble.code().to_owned(),
        });
    }

    fn publish(&self, told: Told) {
        let Told { sequence, part, kind, run_id, path, timestamp, data } = told;
        let correlation_id = self.0.correlations.given(run_id);
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
    fn note_wanted(&self, subscribers: &[Arc<Queue>]) {
        let kept = if self.timelines.is_some() { u64::MAX } else { 0 };
        let wanted = subscribers.iter().fold(kept, |wanted, queue| wanted | queue.mask);
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

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.abort();
    }
}
