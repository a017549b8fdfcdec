use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::WorkflowError;
use crate::{
    RunStatus, StepError, clock,
    engine::{Outcome, Run, SkipReason, StepRecord, StepStatus, UndoEnd, Warning},
    state::{Change, SharedValue},
    sync::lock,
};

/// A run that has ended, in whatever way.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The run's id.
    pub run_id: Uuid,
    /// How it ended.
    pub status: RunStatus,
    /// What it gave; null unless it completed.
    pub output: SharedValue,
    /// Why it did not complete.
    pub error: Option<StepError>,
    /// Why it completed without having run: its trigger was false.
    pub skipped: Option<SkipReason>,
    /// What it changed in its state, in order.
    pub state_changes: Vec<Change>,
    /// All executed steps in the order in which they began.
    pub steps: Steps,
    /// What was odd on the way: the first warnings, at most [`crate::Limits::warnings_max`].
    pub warnings: Vec<Warning>,
    /// How many warnings came after those.
    pub warnings_dropped: u64,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// How far a run has come that did not complete, and undid what it did where that was due.
fn status(run: &Run, status: RunStatus) -> RunStatus {
    match &lock(&run.undos).end {
        UndoEnd::Compensated => RunStatus::Compensated,
        UndoEnd::No | UndoEnd::Stuck(_) => status,
    }
}

impl Finished {
    /// `run` as far as it has come, as one that ends now with `outcome`.
    #[must_use]
    pub fn new(run: &Arc<Run>, outcome: Outcome) -> Self {
        let mut skipped = None;
        let (status, output, error, state_changes) = match outcome {
            Outcome::Completed(output) => (RunStatus::Completed, output.value, None, output.state_changes),
            Outcome::Skipped(reason) => {
                skipped = Some(reason);
                (RunStatus::Completed, SharedValue::default(), None, Vec::new())
            }
            Outcome::Failed(failure) => {
                (status(run, RunStatus::Failed), SharedValue::default(), Some(*failure.error), Vec::new())
            }
            Outcome::Cancelled(cancelled) => {
                (status(run, RunStatus::Cancelled), SharedValue::default(), Some(cancelled.to_error()), Vec::new())
            }
            Outcome::Parked(_) => (RunStatus::Waiting, SharedValue::default(), None, Vec::new()),
            Outcome::Stuck(steps) => {
                let error = steps.into_iter().next().map(|step| *step.error);
                (RunStatus::Stuck, SharedValue::default(), error, Vec::new())
            }
        };
        Self {
            run_id: run.id(),
            status,
            output,
            error,
            skipped,
            state_changes,
            steps: Steps(Arc::new(StepsOf { run: run.clone(), records: OnceLock::new() })),
            warnings: run.warnings(),
            warnings_dropped: run.warnings_dropped(),
            started_at: run.started_at(),
            ended_at: run.clock().now(),
        }
    }

    /// The record of the step at `path`, or of the last one executed whose id is `path`.
    #[must_use]
    pub fn step(&self, path: &str) -> Option<&StepRecord> {
        let by_id = |record: &&StepRecord| record.path.id().is_some_and(|id| id.as_str() == path);
        self.steps.iter().find(|record| record.path.to_string() == path).or_else(|| self.steps.iter().rev().find(by_id))
    }

    /// Its output in the shape of seed documents.
    ///
    /// # Errors
    /// It did not complete.
    pub fn into_output(self) -> Result<WorkflowOutput, WorkflowError> {
        match (self.status, self.error.clone()) {
            (RunStatus::Completed, _) => Ok(WorkflowOutput::new(&self)),
            (RunStatus::Cancelled, error) => {
                Err(WorkflowError::Cancelled(error.map(|error| error.message).unwrap_or_default()))
            }
            (_, Some(error)) => Err(WorkflowError::Failed(error)),
            (_, None) => Err(WorkflowError::Parked(crate::engine::Wait::default())),
        }
    }
}

/// The steps of a run, put together when someone first looks at them.
#[derive(Clone)]
pub struct Steps(Arc<StepsOf>);

struct StepsOf {
    run: Arc<Run>,
    records: OnceLock<Vec<StepRecord>>,
}

impl Deref for Steps {
    type Target = [StepRecord];

    fn deref(&self) -> &[StepRecord] {
        self.0.records.get_or_init(|| self.0.run.steps())
    }
}

impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What a completed workflow gives.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkflowOutput {
    /// The result of the whole.
    pub final_result: Value,
    /// The record of every executed step, by path; [`Self::step`] finds one by id.
    pub step_results: BTreeMap<String, StepRecord>,
    /// The steps that ran, in the order in which they began: ids where unique, else paths.
    pub execution_path: Vec<String>,
    /// How long things took.
    pub metrics: WorkflowMetrics,
}

/// How long a run and its steps took.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkflowMetrics {
    /// From the first start to the end.
    pub total_duration: Duration,
    /// Of each step, by path.
    pub step_durations: BTreeMap<String, Duration>,
    /// How many steps were executed, skipped ones not counted.
    pub steps_executed: usize,
    /// How many attempts were made beyond each step's first.
    pub retries: u64,
}

impl WorkflowOutput {
    /// An output of code that records no steps of its own.
    #[must_use]
    pub fn of(final_result: Value) -> Self {
        Self { final_result, ..Self::default() }
    }

    fn new(finished: &Finished) -> Self {
        let steps = finished.steps.iter();
        let ran = || finished.steps.iter().filter(|record| record.status != StepStatus::Skipped);
        let durations = ran()
            .filter_map(|record| Some((record.path.to_string(), clock::until(record.started_at, record.ended_at?))));
        Self {
            final_result: finished.output.clone().into_value(),
            execution_path: execution_path(&finished.steps),
            metrics: WorkflowMetrics {
                total_duration: clock::until(finished.started_at, finished.ended_at),
                step_durations: durations.collect(),
                steps_executed: ran().count(),
                retries: ran().map(|record| u64::from(record.attempts.saturating_sub(1))).sum(),
            },
            step_results: steps.map(|record| (record.path.to_string(), record.clone())).collect(),
        }
    }

    /// The record of the step `id`, or at the path `id`; of several the one whose path sorts last.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&StepRecord> {
        let by_id = |record: &&StepRecord| record.path.id().is_some_and(|known| known.as_str() == id);
        self.step_results.get(id).or_else(|| self.step_results.values().rev().find(by_id))
    }
}

/// The steps that ran below the root, in the order in which they began: ids where unique, else paths.
pub(crate) fn execution_path(steps: &[StepRecord]) -> Vec<String> {
    let ran: Vec<_> = steps
        .iter()
        .filter(|record| record.status != StepStatus::Skipped && record.path.segments().len() > 1)
        .collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for id in ran.iter().filter_map(|record| record.path.id()) {
        *counts.entry(id.as_str()).or_default() += 1;
    }
    ran.iter()
        .map(|record| match record.path.id() {
            Some(id) if counts[id.as_str()] == 1 => id.to_string(),
            _ => record.path.to_string(),
        })
        .collect()
}
