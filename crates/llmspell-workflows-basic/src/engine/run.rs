use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Asker, Cancel, CancelReason, Engine, Extensions, Happening, Scope, StepRecord,
    branches::Branches,
    mailbox::Mailbox,
    permits::{Permit, Share},
    record::Records,
    run_clock::RunClock,
    undo::Undos,
};
use crate::{
    ErrorClass, Limits, PathLink, StepError, StepPath, clock, model::Definition, plan::Plan, secrets::Masker,
    state::Change, sync::lock, targets, workflow::WorkflowInput,
};

/// If the engine's clock is at least this far behind a run's records, the run emits a warning. A
/// smaller difference is normal between machines and after a clock adjustment.
const CLOCK_BEHIND_MIN: SignedDuration = SignedDuration::from_secs(1);

/// One execution of a definition, shared by all its steps.
pub struct Run {
    pub(crate) id: Uuid,
    pub(crate) started_at: Timestamp,
    /// Whether the run has no records except for its start.
    pub(super) is_new: bool,
    pub(crate) engine: Engine,
    pub(super) clock: RunClock,
    pub(crate) plan: Arc<Plan>,
    pub(crate) input: WorkflowInput,
    pub(crate) variables: IndexMap<String, Value>,
    pub(crate) env: HashMap<String, Value>,
    /// See [`Run::variable_env`].
    pub(super) variable_env: BTreeMap<String, Option<String>>,
    pub(crate) secrets: HashMap<String, Value>,
    pub(crate) masker: Masker,
    pub(crate) cancel: Cancel,
    /// Stops the cleanup steps (`finally` and compensation). Only a shutdown triggers this request:
    /// cleanup steps run even if the run is cancelled.
    pub(crate) cleanup: Cancel,
    /// Whether the root step has ended, so that the run can no longer be cancelled.
    pub(super) has_ended_root: AtomicBool,
    /// The number of each step's attempts that were interrupted because a process ended, by step
    /// path.
    pub(super) cuts: HashMap<String, u32>,
    /// Whether to undo the run's steps even though its root step has completed.
    pub(super) undoes_ended: AtomicBool,
    /// Child runs in this process that have ended and can be undone.
    pub(super) ended_children: Mutex<HashMap<Uuid, Arc<Run>>>,
    /// The time limit of the root step, in addition to the definition's limit.
    pub(crate) timeout: Option<Duration>,
    /// The time limit set when the run was driven, and the time at which it expires.
    pub(crate) given_limit: OnceLock<(Duration, Timestamp)>,
    /// Steps that an earlier process began but did not end, and that must be entered even if the
    /// run is stopped. Sub-workflows must be entered to clean up; activities that must not run
    /// twice, because their effect is unknown.
    pub(super) unsettled: Vec<StepPath>,
    pub(crate) records: Arc<Mutex<Records>>,
    pub(crate) warnings: Mutex<Warnings>,
    pub(crate) retries_left: Option<AtomicI64>,
    pub(crate) generations: Mutex<HashMap<String, u32>>,
    /// The current scope of the root list, for the steps that run after it has failed or ended.
    pub(crate) root_scope: Mutex<Option<Arc<Scope>>>,
    /// The run's shares in the named limits of its definition.
    pub(super) shares: Vec<Share>,
    pub(crate) extensions: Extensions,
    pub(super) branches: Branches,
    pub(crate) mailbox: Mailbox,
    pub(crate) undos: Mutex<Undos>,
    /// The number of runs that enclose this run.
    pub(crate) depth: u32,
    /// The generation in which a step starts, keyed by the path that the step would otherwise have.
    /// All other steps start in their first generation.
    pub(super) reentered: HashMap<String, u32>,
    /// Inputs that replace activities' parameters, by step path.
    pub(super) inputs: HashMap<String, Arc<Value>>,
    /// The state before any step has run, without the input.
    pub(super) first_state: Vec<Change>,
    /// The number of events emitted so far, if the run is not recorded.
    pub(super) emitted_events: AtomicU64,
    /// The total size of the activities' outputs so far, in bytes of JSON.
    pub(super) output_bytes: AtomicU64,
}

/// A run's first warnings, and the number of warnings after them.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    kept: Vec<Warning>,
    dropped: u64,
}

/// A problem that did not stop a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable code in snake case, documented under `docs/errors`.
    pub code: String,
    /// The path of the step.
    pub path: String,
    /// A description of the problem.
    pub message: String,
}

impl Run {
    /// Returns the id of the run: a UUID v7, or a UUID v8 for a child run.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns when the run was started for the first time.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Returns the definition of the run.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.plan.definition
    }

    /// Returns the input of the run.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.input.initial_data
    }

    /// Returns the number of runs that enclose this run.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Returns the engine that drives the run.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Requests cancellation; the run ends once all running steps have ended.
    ///
    /// Cleanup is not cancelled: the `finally` steps of the run still run. A run that is already
    /// undoing its steps or running its `finally` steps finishes this work, and ends with the same
    /// status as without the request.
    pub fn cancel(&self) {
        self.cancel_by(&Asker::default());
    }

    /// Like [`cancel`](Self::cancel), but requested by `by` instead of this process.
    pub fn cancel_by(&self, by: &Asker) {
        self.cancelled_by(by, false);
    }

    pub(super) fn cancelled_by(&self, by: &Asker, compensates: bool) {
        if lock(&self.undos).requested(compensates) && !self.is_shut_down() {
            let mut by = by.clone();
            by.reason.iter_mut().for_each(|reason| self.masker.mask_text(reason));
            self.engine.stack().observe(self, Happening::Cancels { by: &by, compensates });
        }
        if !self.has_ended_root.load(Ordering::SeqCst) {
            self.cancel.cancel(CancelReason::Requested);
        }
    }

    /// Limits the time of the run from now on, in addition to the limit of the definition. Only the first call has an
    /// effect.
    ///
    /// On the first start and on each retry, this replaces [`RunOptions::timeout`]. A recorded
    /// deadline still applies if it is earlier.
    ///
    /// [`RunOptions::timeout`]: super::RunOptions::timeout
    pub fn limit_time(&self, timeout: Duration) {
        let _ = self.given_limit.set((timeout, clock::after(self.now(), timeout)));
    }

    /// Returns whether a cleanup is in progress in the run itself, in an attempt of a block,
    /// or in a sub-workflow. A cancellation does not stop a cleanup.
    #[must_use]
    pub fn cleans_up(&self) -> bool {
        self.cancel.cleans_up()
    }

    /// Stops the run because the process is shutting down; nothing is recorded, so the run can be resumed.
    pub fn shut_down(&self) {
        self.cleanup.cancel(CancelReason::Shutdown);
        self.cancel.cancel(CancelReason::Shutdown);
    }

    /// Returns the run's extension of type `T`.
    #[must_use]
    pub fn extension<T: std::any::Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.extensions.get()
    }

    /// Returns whether the run was stopped because the process is shutting down.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.cancel.reason() == Some(CancelReason::Shutdown)
    }

    /// Returns the records of all steps so far, in the order they began.
    #[must_use]
    pub fn steps(&self) -> Vec<StepRecord> {
        self.records().to_vec(&self.masker)
    }

    /// Returns the first warnings of the run, at most [`Limits::warnings_max`].
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        lock(&self.warnings).kept.clone()
    }

    /// Returns the number of warnings dropped because they exceeded the limit.
    #[must_use]
    pub fn warnings_dropped(&self) -> u64 {
        lock(&self.warnings).dropped
    }

    /// Reports a problem in the step at `path` that does not stop the run.
    pub fn warn(&self, code: &str, path: &PathLink, message: String) {
        let message = self.masker.masked(&message).into_owned();
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

    /// Warns about each named limit for which a current run of another version of the definition
    /// declares a different number.
    pub(super) fn warn_about_differing_limits(&self) {
        for share in &self.shares {
            let Some(other) = share.other_number() else { continue };
            let (name, holders) = (share.name(), share.holders());
            let message = format!(
                "this version of `{}` sets the limit `{name}` to {holders}, but another running version sets it to \
                 {other}; each step waits until fewer steps hold the limit than its own version allows",
                self.definition().name
            );
            self.warn("limit_differs", &PathLink::new(None, self.plan.root.id.clone(), None, 1), message);
        }
    }

    /// Warns about each field that is missing from the input although an expression reads it
    /// without a default.
    ///
    /// If a definition declares no inputs, any unknown name may be a field of the input; a
    /// condition that reads a missing field sees null.
    pub(super) fn warn_about_missing_fields(&self) {
        let given = &self.input.initial_data;
        if !self.is_new || given.get("task").is_some() {
            return;
        }
        let read = self.plan.input_fields().iter().filter(|(_, required)| **required).map(|(name, _)| name);
        for name in read.filter(|name| given.get(name.as_str()).is_none() && self.parameter(name).is_none()) {
            let message = format!(
                "the workflow reads `{name}`, which is not a step, a variable or a field of the input; conditions \
                 treat it as null"
            );
            self.warn("input_field_missing", &PathLink::new(None, self.plan.root.id.clone(), None, 1), message);
        }
    }

    /// Warns if the engine's clock is behind the records of the run.
    pub(super) fn warn_about_clock(&self) {
        let behind = self.clock.ahead();
        if behind >= CLOCK_BEHIND_MIN {
            let behind = SignedDuration::from_secs(behind.as_secs());
            let message = format!(
                "this machine's clock is {behind:#} behind the last record of the run; the run continues from the time \
                 of that record, so that its waits do not take longer"
            );
            self.warn("clock_went_back", &PathLink::new(None, self.plan.root.id.clone(), None, 1), message);
        }
    }

    /// Waits for a permit of the limit `name`.
    ///
    /// # Errors
    /// Fails if neither the definition nor the engine declares the limit, or if the limit's holders
    /// cannot be counted.
    pub(crate) async fn permit(&self, name: &str) -> Result<Permit, StepError> {
        let Some(share) = self.engine.permits().find(name, &self.shares) else {
            let message = format!("neither the workflow nor the engine declares the concurrency limit `{name}`");
            return Err(StepError::configuration("unknown_limit", message));
        };
        share.acquire_shared(self.engine.shared_limits()).await
    }

    /// Returns the current time of the run. This is the time of the engine's clock, unless that
    /// clock is behind the run's records, for example because the system clock was set back.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns how far the run's clock is ahead of the engine's clock; zero unless the engine's
    /// clock is behind the run's records.
    #[must_use]
    pub fn clock_ahead(&self) -> SignedDuration {
        self.clock.ahead()
    }

    /// Returns the number of the next event of an unrecorded run; the events are numbered from 0.
    pub fn next_event(&self) -> u64 {
        self.emitted_events.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the plan of the run.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn clock(&self) -> &RunClock {
        &self.clock
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        lock(&self.records)
    }

    /// Returns an error if `count`, the number of steps that have begun, exceeds the limit.
    pub(crate) fn too_many_steps(&self, count: usize) -> Option<StepError> {
        let limit = self.limits().run_steps_max;
        if (count as u64) <= limit {
            return None;
        }
        let message = format!("the run has executed {limit} steps, the limit `run_steps_max`");
        Some(StepError::new(ErrorClass::Resource, "run_steps_max", message).retryable(false))
    }

    /// Takes one retry from the workflow's retry budget; returns `false` if the budget is used up.
    pub(crate) fn take_retry(&self) -> bool {
        self.retries_left.as_ref().is_none_or(|left| left.fetch_sub(1, Ordering::Relaxed) > 0)
    }

    pub(crate) fn set_root_scope(&self, scope: &Arc<Scope>) {
        *lock(&self.root_scope) = Some(scope.clone());
    }

    /// Returns the next generation of the step at `path`, which has already been entered.
    pub(crate) fn next_generation(&self, path: &PathLink) -> u32 {
        let generations = lock(&self.generations);
        let last = generations.get(&path.first_entry()).copied();
        last.unwrap_or(1).max(path.generation()).saturating_add(1)
    }

    /// Records that the step at `path` was entered under the generation in the path.
    pub(crate) fn record_entry(&self, path: &PathLink) {
        let mut generations = lock(&self.generations);
        let last = generations.entry(path.first_entry()).or_insert(1);
        *last = path.generation().max(*last);
    }
}
