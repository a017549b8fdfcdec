use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::sync::lock;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Hook, HookContext, HookError, Priority, Registration,
    answer::{After, Before, OnError, OnRetry},
    point::{AfterStep, BeforeStep, StepError, StepRetry},
};

/// The upper bounds of [`Histogram`] buckets in milliseconds; the last bucket has no bound.
const BOUNDS_MS: [u64; 10] = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 60_000];

/// The maximum number of step kinds with separate metrics; further kinds are counted as `other`.
const KINDS_MAX: usize = 1_000;

/// The maximum number of remembered start times. When it is exceeded, all are discarded and
/// their steps are not timed.
const STEPS_MAX: usize = 100_000;

/// Counts steps and measures their durations, by workflow and kind.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

#[derive(Debug, Default)]
struct Registry {
    steps: BTreeMap<String, StepMetrics>,
    started: HashMap<(Uuid, String), Timestamp>,
}

/// The metrics of one kind of step in a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StepMetrics {
    /// The number of started steps.
    pub started: u64,
    /// The number of completed steps.
    pub completed: u64,
    /// The number of steps that failed after all their attempts.
    pub failed: u64,
    /// The number of failed attempts that were retried.
    pub retried: u64,
    /// The durations of the steps that have ended.
    pub duration: Histogram,
}

/// The distribution of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Histogram {
    /// The number of durations of at most 1, 5, 10, 50, 100, 500, 1,000, 5,000, 10,000 and 60,000 ms, and of longer
    /// ones; each duration is counted in one bucket.
    pub buckets: [u64; BOUNDS_MS.len() + 1],
    /// The sum of all durations.
    pub sum: Duration,
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let bucket = BOUNDS_MS.iter().position(|bound| duration <= Duration::from_millis(*bound));
        self.buckets[bucket.unwrap_or(BOUNDS_MS.len())] += 1;
        self.sum += duration;
    }

    /// Returns the number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Metrics {
    /// Returns a registration that calls the hook after all other hooks so that it counts final results.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let registration = Registration::new("metrics").priority(Priority::LOWEST);
        let registration = registration.at(BeforeStep, self.clone()).at(AfterStep, self.clone());
        registration.at(StepRetry, self.clone()).at(StepError, self.clone())
    }

    /// Returns all metrics, by `WORKFLOW/KIND`.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, StepMetrics> {
        self.lock().steps.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        lock(&self.0)
    }

    fn record_end(&self, context: &HookContext, count: impl FnOnce(&mut StepMetrics)) {
        let mut registry = self.lock();
        let key = (context.run_id().unwrap_or_default(), context.path());
        let start = registry.started.remove(&key);
        let metrics = registry.metrics(context);
        count(metrics);
        if let Some(start) = start {
            metrics.duration.add(Duration::try_from(context.now().duration_since(start)).unwrap_or_default());
        }
    }
}

impl Registry {
    fn metrics(&mut self, context: &HookContext) -> &mut StepMetrics {
        let kind = context.step().map_or("host", |step| step.kind.as_str());
        let name = format!("{}/{kind}", context.workflow());
        let is_full = self.steps.len() >= KINDS_MAX && !self.steps.contains_key(&name);
        self.steps.entry(if is_full { "other".to_owned() } else { name }).or_default()
    }
}

#[async_trait]
impl Hook<BeforeStep> for Metrics {
    async fn call(&self, context: &HookContext) -> Result<Before, HookError> {
        let mut registry = self.lock();
        registry.metrics(context).started += 1;
        if registry.started.len() >= STEPS_MAX {
            // Most of these steps were cancelled or skipped, so no hook reported their end.
            registry.started.clear();
        }
        registry.started.insert((context.run_id().unwrap_or_default(), context.path()), context.now());
        Ok(Before::Continue)
    }
}

#[async_trait]
impl Hook<AfterStep> for Metrics {
    async fn call(&self, context: &HookContext) -> Result<After, HookError> {
        self.record_end(context, |metrics| metrics.completed += 1);
        Ok(After::Continue)
    }
}

#[async_trait]
impl Hook<StepRetry> for Metrics {
    async fn call(&self, context: &HookContext) -> Result<OnRetry, HookError> {
        self.lock().metrics(context).retried += 1;
        Ok(OnRetry::Continue)
    }
}

#[async_trait]
impl Hook<StepError> for Metrics {
    async fn call(&self, context: &HookContext) -> Result<OnError, HookError> {
        self.record_end(context, |metrics| metrics.failed += 1);
        Ok(OnError::Continue)
    }
}
