use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::WorkflowError;
use crate::{
    RunStatus, StepError, clock,
    engine::{Outcome, Records, Run, SkipReason, StepRecord, StepStatus, UndoStatus, Warning},
    secrets::Masker,
    state::{Change, SharedValue},
    sync::lock,
};

/// The result of a driven run: its status, output and records.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The run's id.
    pub run_id: Uuid,
    /// The status of the run.
    pub status: RunStatus,
    /// The output; null unless the run completed.
    pub output: SharedValue,
    /// The first error, which decided how the run ended; `None` if the run completed.
    pub error: Option<StepError>,
    /// The errors of cleanup steps that failed after the first error, in order.
    pub later_errors: Vec<StepError>,
    /// Why the run was skipped, if its trigger was false. The status of a skipped run is `completed`.
    pub skipped: Option<SkipReason>,
    /// The changes to the state, in order.
    pub state_changes: Vec<Change>,
    /// The records of all executed steps, in the order they started.
    pub steps: Steps,
    /// The first warnings, at most [`crate::Limits::warnings_max`].
    pub warnings: Vec<Warning>,
    /// The number of warnings dropped because they exceeded the limit.
    pub warnings_dropped: u64,
    /// When the run was started.
    pub started_at: Timestamp,
    /// When the run ended.
    pub ended_at: Timestamp,
}

/// Returns the status of a run that did not complete, taking its compensation into account.
fn status(run: &Run, status: RunStatus) -> RunStatus {
    match &lock(&run.undos).status {
        UndoStatus::Compensated => RunStatus::Compensated,
        UndoStatus::NotCompensated | UndoStatus::Stuck(_) => status,
    }
}

impl Finished {
    /// Creates the result of `run` from `outcome`; the run ends at the current time.
    #[must_use]
    pub fn new(run: &Arc<Run>, outcome: Outcome) -> Self {
        let (mut skipped, mut later_errors) = (None, Vec::new());
        let (status, output, error, state_changes) = match outcome {
            Outcome::Completed(output) => {
                let output = run.shown_output(output);
                (RunStatus::Completed, output.value, None, output.state_changes)
            }
            Outcome::Skipped(reason) => {
                skipped = Some(run.masker().masked_reason(reason));
                (RunStatus::Completed, SharedValue::default(), None, Vec::new())
            }
            Outcome::Failed(failure) => {
                later_errors = failure.later_errors;
                (status(run, RunStatus::Failed), SharedValue::default(), Some(*failure.error), Vec::new())
            }
            Outcome::Cancelled(mut cancelled) => {
                later_errors = std::mem::take(&mut cancelled.later_errors);
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
            error: error.map(|error| run.masker().masked_error(error)),
            later_errors: later_errors.into_iter().map(|error| run.masker().masked_error(error)).collect(),
            skipped,
            state_changes,
            steps: Steps(Arc::new(StepRecords {
                source: run.records.clone(),
                masker: run.masker().clone(),
                records: OnceLock::new(),
            })),
            warnings: run.warnings(),
            warnings_dropped: run.warnings_dropped(),
            started_at: run.started_at(),
            ended_at: run.now(),
        }
    }

    /// Returns the record of the step at `path`, or of the last executed step with the id `path`.
    #[must_use]
    pub fn step(&self, path: &str) -> Option<&StepRecord> {
        let by_id = |record: &&StepRecord| record.path.id().is_some_and(|id| id.as_str() == path);
        self.steps.iter().find(|record| record.path.to_string() == path).or_else(|| self.steps.iter().rev().find(by_id))
    }

    /// Converts the result to a [`WorkflowOutput`].
    ///
    /// # Errors
    /// Fails if the run did not complete.
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

/// The records of a run's steps, collected on first access.
#[derive(Clone)]
pub struct Steps(Arc<StepRecords>);

/// Does not keep the run itself alive, because its journal would then stay leased.
struct StepRecords {
    source: Arc<Mutex<Records>>,
    masker: Masker,
    records: OnceLock<Vec<StepRecord>>,
}

impl Deref for Steps {
    type Target = [StepRecord];

    fn deref(&self) -> &[StepRecord] {
        self.0.records.get_or_init(|| with_compensated(lock(&self.0.source).to_vec(&self.0.masker)))
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

/// The output of a completed workflow.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkflowOutput {
    /// The output of the whole workflow.
    pub final_result: Value,
    /// The records of all executed steps by path; [`Self::step`] also finds a record by its step's id.
    pub step_results: BTreeMap<String, StepRecord>,
    /// The executed steps, in the order they started. A step is named by its id if the id is
    /// unique, and by its path otherwise.
    pub execution_path: Vec<String>,
    /// Durations and counts.
    pub metrics: WorkflowMetrics,
}

/// The durations and counts of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkflowMetrics {
    /// The time from the start of the run to its end.
    pub total_duration: Duration,
    /// The duration of each step, by path.
    pub step_durations: BTreeMap<String, Duration>,
    /// The number of executed steps; skipped steps do not count.
    pub steps_executed: usize,
    /// The number of retries: all attempts beyond the first attempt of each step.
    pub retries: u64,
}

impl WorkflowOutput {
    /// Creates the output of code, without step records.
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

    /// Returns the record at the path `id`, or the record of the step with the id
    /// `id` whose path sorts last.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&StepRecord> {
        let by_id = |record: &&StepRecord| record.path.id().is_some_and(|known| known.as_str() == id);
        self.step_results.get(id).or_else(|| self.step_results.values().rev().find(by_id))
    }
}

/// Returns the executed steps below the root, in the order they started. A step is named by its
/// id if the id is unique, and by its path otherwise.
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

/// Sets the status of steps that have been undone.
fn with_compensated(mut records: Vec<StepRecord>) -> Vec<StepRecord> {
    let undo = |record: &StepRecord| {
        let (last, undone) = record.path.segments().split_last()?;
        let is_undone = last.id.as_str() == "$undo" && record.status == StepStatus::Completed;
        is_undone.then(|| crate::StepPath::new(undone.to_vec()))
    };
    let undone: Vec<crate::StepPath> = records.iter().filter_map(undo).collect();
    for path in undone {
        let of_step = |record: &&mut StepRecord| record.path == path && record.status == StepStatus::Completed;
        records.iter_mut().filter(of_step).for_each(|record| record.status = StepStatus::Compensated);
    }
    records
}
