use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Asker, Cancel, CancelReason, Engine, Extensions, Happening, Scope, StepRecord,
    branches::Branches,
    mailbox::Mailbox,
    permits::{Permit, Share},
    record::Records,
    scope::object,
    undo::Undos,
};
use crate::{
    Clock, ErrorClass, Limits, PathLink, StepError, model::Definition, plan::Plan, state::Change, sync::lock, targets,
    workflow::WorkflowInput,
};

/// One execution of a definition: what all its steps share.
pub struct Run {
    pub(crate) id: Uuid,
    pub(crate) started_at: Timestamp,
    pub(crate) engine: Engine,
    pub(crate) plan: Arc<Plan>,
    pub(crate) input: WorkflowInput,
    pub(crate) variables: IndexMap<String, Value>,
    pub(crate) env: HashMap<String, Value>,
    pub(crate) secrets: HashMap<String, Value>,
    pub(crate) cancel: Cancel,
    /// What stops the steps that run in any case, and whether they have begun.
    pub(crate) cleanup: Cancel,
    pub(crate) cleans_up: AtomicBool,
    pub(crate) records: Mutex<Records>,
    pub(crate) warnings: Mutex<Warnings>,
    pub(crate) retries_left: Option<AtomicI64>,
    pub(crate) generations: Mutex<HashMap<String, u32>>,
    /// The root list as it stands, for what runs when it has failed or ended.
    pub(crate) root_scope: Mutex<Option<Arc<Scope>>>,
    /// What it has of the named limits of its definition.
    pub(super) shares: Vec<Share>,
    pub(crate) extensions: Extensions,
    pub(super) branches: Branches,
    pub(crate) mailbox: Mailbox,
    pub(crate) undos: Mutex<Undos>,
    /// How many runs there are around it.
    pub(crate) depth: u32,
    /// Steps that are entered as another generation, and activities with another input, by path.
    pub(super) reentered: HashMap<String, u32>,
    pub(super) inputs: HashMap<String, Arc<Value>>,
    /// What is in the state before any step, beside the input.
    pub(super) first_state: Vec<Change>,
    /// How many events of it have been told, where nothing is recorded.
    pub(super) told: AtomicU64,
}

/// The first warnings of a run, and how many came after them.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    kept: Vec<Warning>,
    dropped: u64,
}

/// Something odd that did not keep a run from going on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable snake_case code.
    pub code: String,
    /// Where.
    pub path: String,
    /// What.
    pub message: String,
}

impl Run {
    /// Its id, a UUID v7.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// When it was started for the first time.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// What it executes.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.plan.definition
    }

    /// The input it was started with.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.input.initial_data
    }

    /// The engine that drives it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Asks it to stop; it ends once every step at work has.
    ///
    /// Its `finally` steps run all the same; asked while those run, they stop too.
    pub fn cancel(&self) {
        self.cancel_by(&Asker::default());
    }

    /// The same, asked by somebody else than this process.
    pub fn cancel_by(&self, by: &Asker) {
        self.cancelled_by(by, false);
    }

    pub(super) fn cancelled_by(&self, by: &Asker, compensates: bool) {
        if self.cancel.reason().is_none() {
            self.engine.stack().observe(self, Happening::Cancels { by, compensates });
        }
        if self.cleans_up.load(Ordering::SeqCst) {
            self.cleanup.cancel(CancelReason::Requested);
        }
        self.cancel.cancel(CancelReason::Requested);
    }

    /// Asks it to stop because the process does; nothing of that is recorded.
    pub fn shut_down(&self) {
        self.cleanup.cancel(CancelReason::Shutdown);
        self.cancel.cancel(CancelReason::Shutdown);
    }

    /// What it was given for interceptors, of type `T`.
    #[must_use]
    pub fn extension<T: std::any::Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.extensions.get()
    }

    /// Whether it was asked to stop because the process goes down.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.cancel.reason() == Some(CancelReason::Shutdown)
    }

    /// All steps so far in the order in which they began.
    #[must_use]
    pub fn steps(&self) -> Vec<StepRecord> {
        self.records().to_vec()
    }

    /// The warnings so far, at most [`Limits::warnings_max`] of them: the first ones.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        lock(&self.warnings).kept.clone()
    }

    /// How many warnings came after those that are kept.
    #[must_use]
    pub fn warnings_dropped(&self) -> u64 {
        lock(&self.warnings).dropped
    }

    /// Notes something odd at `path` that does not keep the run from going on.
    pub fn warn(&self, code: &str, path: &PathLink, message: String) {
        let message = self.masked_text(message);
        tracing::warn!(target: targets::WARNING, run = %self.id, code, path = %path, "{message}");
        let warning = Warning { code: code.to_owned(), path: path.to_string(), message };
        self.engine.stack().observe(self, Happening::Warns(&warning));
        let mut warnings = lock(&self.warnings);
        if warnings.kept.len() < self.limits().warnings_max {
            warnings.kept.push(warning);
        } else {
            warnings.dropped += 1;
        }
    }

    /// Warns of named limits to which runs of other versions of its definition give another number.
    pub(super) fn warn_of_differing_limits(&self) {
        for share in &self.shares {
            let Some(other) = share.other_number() else { continue };
            let (name, holders) = (share.name(), share.holders());
            let message = format!(
                "this version of `{}` lets {holders} steps hold the limit `{name}` at once, and another version that is \
                 running lets {other}; each step waits until fewer hold it than its own version allows",
                self.definition().name
            );
            self.warn("limit_differs", &PathLink::new(None, self.plan.root.id.clone(), None, 1), message);
        }
    }

    /// Waits for a permit of the limit that `name` means to its definition.
    ///
    /// # Errors
    /// Neither the definition nor the engine declares it.
    pub(crate) async fn permit(&self, name: &str) -> Result<Permit, StepError> {
        let Some(share) = self.engine.permits().find(name, &self.shares) else {
            let message = format!("neither the workflow nor the engine declares the concurrency limit `{name}`");
            return Err(StepError::configuration("unknown_limit", message));
        };
        Ok(share.acquire().await)
    }

    /// The time as it sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// The number of the next event of a run of which nothing is recorded, from 0.
    pub fn next_event(&self) -> u64 {
        self.told.fetch_add(1, Ordering::Relaxed)
    }

    /// Its definition, made ready.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.engine.clock()
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    /// The input under its name in seed documents: its field `task` where it has one.
    pub(crate) fn task(&self) -> &Value {
        self.input.initial_data.get("task").unwrap_or(&self.input.initial_data)
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&Value> {
        self.input.parameters.get(name)
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    pub(crate) fn variable_names(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
    }

    pub(crate) fn variables_value(&self) -> Value {
        object(self.variables.iter().map(|(name, value)| (name.as_str(), value)))
    }

    pub(crate) fn env(&self, name: &str) -> Option<&Value> {
        self.env.get(name)
    }

    pub(crate) fn secret(&self, name: &str) -> Option<&Value> {
        self.secrets.get(name)
    }

    /// Why a run that has begun `count` steps may not begin another, if so.
    pub(crate) fn too_many_steps(&self, count: usize) -> Option<StepError> {
        let limit = self.limits().run_steps_max;
        if (count as u64) <= limit {
            return None;
        }
        let message = format!("the run has executed {limit} steps, which is the limit `run_steps_max`");
        Some(StepError::new(ErrorClass::Resource, "run_steps_max", message).retryable(false))
    }

    /// Takes one retry from the workflow's budget; `false` if none is left.
    pub(crate) fn take_retry(&self) -> bool {
        self.retries_left.as_ref().is_none_or(|left| left.fetch_sub(1, Ordering::Relaxed) > 0)
    }

    /// What stops the steps that run in any case, which begin now.
    pub(crate) fn begin_cleanup(&self) -> Cancel {
        self.cleans_up.store(true, Ordering::SeqCst);
        self.cleanup.clone()
    }

    pub(crate) fn root_scope(&self) -> Option<Arc<Scope>> {
        lock(&self.root_scope).clone()
    }

    pub(crate) fn set_root_scope(&self, scope: &Arc<Scope>) {
        *lock(&self.root_scope) = Some(scope.clone());
    }

    /// The number of the next entry into the step at `path`, which has been entered before.
    pub(crate) fn next_generation(&self, path: &PathLink) -> u32 {
        let generations = lock(&self.generations);
        let last = generations.get(&path.first_entry()).copied();
        last.unwrap_or(1).max(path.generation()) + 1
    }

    /// Notes that the step at `path` was entered as the generation that the path names.
    pub(crate) fn entered_as(&self, path: &PathLink) {
        let mut generations = lock(&self.generations);
        let last = generations.entry(path.first_entry()).or_insert(1);
        *last = path.generation().max(*last);
    }
}
