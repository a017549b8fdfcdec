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

/// The upper bounds of the classes of a [`Histogram`], in milliseconds; what takes longer is in one more.
const BOUNDS_MS: [u64; 10] = [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 60_000];

/// How many kinds of steps have figures of their own; further ones count as `other`.
const KINDS_MAX: usize = 1_000;

/// How many steps have their beginning remembered; when there are more, those are forgotten and not measured.
const STEPS_MAX: usize = 100_000;

/// Counts steps and measures how long they take, by workflow and kind.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

#[derive(Debug, Default)]
struct Registry {
    steps: BTreeMap<String, StepMetrics>,
    begun: HashMap<(Uuid, String), Timestamp>,
}

/// The figures of the steps of one kind in one workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StepMetrics {
    /// How many have begun.
    pub begun: u64,
    /// How many have completed.
    pub completed: u64,
    /// How many have failed, with all their attempts.
    pub failed: u64,
    /// How many attempts failed and were made again.
    pub retried: u64,
    /// How long those that have ended took.
    pub duration: Histogram,
}

/// How often something took how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Histogram {
    /// How many took at most 1, 5, 10, 50, 100, 500, 1,000, 5,000, 10,000 and 60,000 ms, and longer; each is in one.
    pub classes: [u64; BOUNDS_MS.len() + 1],
    /// How long all of them took together.
    pub sum: Duration,
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let class = BOUNDS_MS.iter().position(|bound| duration <= Duration::from_millis(*bound));
        self.classes[class.unwrap_or(BOUNDS_MS.len())] += 1;
        self.sum += duration;
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }
}

impl Metrics {
    /// At its points, after all others, so that it counts what came out.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let registration = Registration::new("metrics").priority(Priority::LOWEST);
        let registration = registration.at(BeforeStep, self.clone()).at(AfterStep, self.clone());
        registration.at(StepRetry, self.clone()).at(StepError, self.clone())
    }

    /// All figures, by `WORKFLOW/KIND`.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, StepMetrics> {
        self.lock().steps.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        lock(&self.0)
    }

    fn ended(&self, context: &HookContext, count: impl FnOnce(&mut StepMetrics)) {
        let mut registry = self.lock();
        let key = (context.run_id().unwrap_or_default(), context.path());
        let began = registry.begun.remove(&key);
        let figures = registry.of(context);
        count(figures);
        if let Some(began) = began {
            figures.duration.add(Duration::try_from(context.now().duration_since(began)).unwrap_or_default());
        }
    }
}

impl Registry {
    fn of(&mut self, context: &HookContext) -> &mut StepMetrics {
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
        registry.of(context).begun += 1;
        if registry.begun.len() >= STEPS_MAX {
            // Mostly those that were cancelled or skipped, whose end nobody tells.
            registry.begun.clear();
        }
        registry.begun.insert((context.run_id().unwrap_or_default(), context.path()), context.now());
        Ok(Before::Continue)
    }
}

#[async_trait]
impl Hook<AfterStep> for Metrics {
    async fn call(&self, context: &HookContext) -> Result<After, HookError> {
        self.ended(context, |figures| figures.completed += 1);
        Ok(After::Continue)
    }
}

#[async_trait]
impl Hook<StepRetry> for Metrics {
    async fn call(&self, context: &HookContext) -> Result<OnRetry, HookError> {
        self.lock().of(context).retried += 1;
        Ok(OnRetry::Continue)
    }
}

#[async_trait]
impl Hook<StepError> for Metrics {
    async fn call(&self, context: &HookContext) -> Result<OnError, HookError> {
        self.ended(context, |figures| figures.failed += 1);
        Ok(OnError::Continue)
    }
}
