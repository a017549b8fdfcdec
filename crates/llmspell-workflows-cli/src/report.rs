//! A run as programs read it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Finished, StepError,
    engine::{SkipReason, StepRecord, StepStatus},
    model::Definition,
};
use serde::Serialize;
use serde_json::Value;

/// What `run -o json` prints; the shape is stable.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'f> {
    run_id: String,
    workflow: &'f str,
    version: &'f str,
    status: &'static str,
    output: &'f Value,
    error: Option<Error<'f>>,
    steps: Vec<Step<'f>>,
    /// Paths of the steps that ran, in the order in which they began.
    execution_path: Vec<String>,
    metrics: Metrics,
}

#[derive(Debug, Serialize)]
struct Step<'f> {
    path: String,
    status: &'static str,
    attempts: u32,
    duration_ms: Option<f64>,
    output: Option<&'f Arc<Value>>,
    error: Option<Error<'f>>,
    skip_reason: Option<&'f SkipReason>,
}

/// Why a run or a step failed.
#[derive(Debug, Serialize)]
pub(crate) struct Error<'f> {
    code: &'f str,
    class: &'static str,
    message: &'f str,
    path: Option<&'f str>,
    retryable: bool,
}

/// Counts and times of a whole run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Metrics {
    pub(crate) duration_ms: f64,
    pub(crate) steps_executed: usize,
    pub(crate) steps_skipped: usize,
    pub(crate) retries: u64,
}

impl<'f> Report<'f> {
    /// The steps are those below the root, which is the run itself.
    pub(crate) fn new(definition: &'f Definition, finished: &'f Finished) -> Self {
        let ran = below_root(finished).filter(|record| record.status != StepStatus::Skipped);
        Self {
            run_id: finished.run_id.to_string(),
            workflow: &definition.name,
            version: &definition.version,
            status: finished.status.as_str(),
            output: &finished.output,
            error: finished.error.as_ref().map(Error::new),
            execution_path: ran.map(|record| record.path.to_string()).collect(),
            steps: below_root(finished).map(Step::new).collect(),
            metrics: Metrics::new(finished),
        }
    }
}

impl<'f> Step<'f> {
    fn new(record: &'f StepRecord) -> Self {
        Self {
            path: record.path.to_string(),
            status: record.status.as_str(),
            attempts: if record.status == StepStatus::Skipped { 0 } else { record.attempts },
            duration_ms: record.ended_at.map(|ended_at| milliseconds(between(record.started_at, ended_at))),
            output: record.output.as_ref(),
            error: record.error.as_ref().map(Error::new),
            skip_reason: record.skip_reason.as_ref(),
        }
    }
}

impl<'f> Error<'f> {
    pub(crate) fn new(error: &'f StepError) -> Self {
        let StepError { class, code, message, path, retryable, .. } = error;
        Self { code, class: class.as_str(), message, path: path.as_deref(), retryable: *retryable }
    }
}

impl Metrics {
    pub(crate) fn new(finished: &Finished) -> Self {
        let skipped = below_root(finished).filter(|record| record.status == StepStatus::Skipped).count();
        Self {
            duration_ms: milliseconds(between(finished.started_at, finished.ended_at)),
            steps_executed: below_root(finished).count() - skipped,
            steps_skipped: skipped,
            retries: below_root(finished).map(|record| u64::from(record.attempts.saturating_sub(1))).sum(),
        }
    }
}

fn below_root(finished: &Finished) -> impl Iterator<Item = &StepRecord> {
    finished.steps.iter().filter(|record| record.path.segments().len() > 1)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// With microseconds as the fraction.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
