//! Run reports for programs.

use std::{borrow::Cow, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_advanced::{History, KnownRun, PastStep, RunWait};
use llmspell_workflows_basic::{
    Finished, StepError,
    engine::{Awaited, Outcome, SkipReason, StepRecord, StepStatus},
    model::Definition,
    state::SharedValue,
};
use serde::Serialize;

/// The output of `run -o json` and `runs show -o json`; its shape is stable.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'f> {
    run_id: String,
    workflow: &'f str,
    version: &'f str,
    status: &'static str,
    output: Cow<'f, SharedValue>,
    /// The first error, which decided how the run ended.
    error: Option<Error<'f>>,
    /// The errors of cleanup steps that failed after that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    later_errors: Vec<Error<'f>>,
    steps: Vec<Step<'f>>,
    /// The runs of its sub-workflows, in the order in which they were started; only for recorded runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<Vec<String>>,
    /// What the run and its sub-workflows wait for; only for recorded runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<Vec<ReportedWait<'f>>>,
    /// Paths of the steps that ran, in start order.
    execution_path: Vec<String>,
    metrics: Metrics,
}

/// A step of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Step<'f> {
    pub(crate) path: String,
    pub(crate) status: &'static str,
    attempts: u32,
    duration_ms: Option<f64>,
    pub(crate) output: Option<&'f SharedValue>,
    pub(crate) error: Option<Error<'f>>,
    pub(crate) skip_reason: Option<&'f SkipReason>,
    /// The event or time that the step waits for, with the start and the end of the wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waits_for: Option<&'f Awaited>,
}

/// A step that waits.
#[derive(Debug, Serialize)]
struct ReportedWait<'f> {
    /// The path of the step, through the steps of sub-workflows.
    path: &'f str,
    run_id: String,
    /// The event that the step waits for; `null` if it waits only for a time.
    #[serde(rename = "for")]
    event: Option<&'f str>,
    since: String,
    until: Option<String>,
    /// The command that ends the wait.
    command: Option<String>,
}

/// Why a run or a step failed.
#[derive(Debug, Serialize)]
pub(crate) struct Error<'f> {
    pub(crate) code: &'f str,
    class: &'static str,
    pub(crate) message: &'f str,
    path: Option<&'f str>,
    retryable: bool,
}

/// Counts and the duration of a run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Metrics {
    pub(crate) duration_ms: f64,
    pub(crate) steps_executed: usize,
    pub(crate) steps_skipped: usize,
    pub(crate) retries: u64,
}

impl<'f> Report<'f> {
    /// Creates the report of a finished run. The root step is the run itself and is not listed.
    pub(crate) fn new(definition: &'f Definition, finished: &'f Finished) -> Self {
        let steps: Vec<Step<'f>> = below_root(finished).map(Step::new).collect();
        Self {
            run_id: finished.run_id.to_string(),
            workflow: &definition.name,
            version: &definition.version,
            status: finished.status.as_str(),
            output: Cow::Borrowed(&finished.output),
            error: finished.error.as_ref().map(Error::new),
            later_errors: finished.later_errors.iter().map(Error::new).collect(),
            children: None,
            waits: None,
            execution_path: executed_paths(&steps),
            metrics: Metrics::new(finished),
            steps,
        }
    }

    /// Creates the report of a run from its journal.
    pub(crate) fn past(known: &'f KnownRun, history: &'f History, waits: &'f [RunWait]) -> Self {
        let steps: Vec<Step<'f>> = past_steps(known, history).collect();
        let end = history.end.as_ref().map(|(outcome, _)| outcome);
        let until = known.summary.ended_at.unwrap_or_else(Timestamp::now);
        Self {
            run_id: known.id().to_string(),
            workflow: &known.summary.workflow,
            version: &known.summary.version,
            status: known.status().as_str(),
            output: end.and_then(output).map_or_else(Cow::default, Cow::Borrowed),
            error: end.and_then(Outcome::error).map(Error::new),
            later_errors: end.map(Outcome::later_errors).unwrap_or_default().iter().map(Error::new).collect(),
            children: Some(history.children.iter().map(ToString::to_string).collect()),
            waits: Some(waits.iter().map(ReportedWait::new).collect()),
            execution_path: executed_paths(&steps),
            metrics: Metrics::of(&steps, between(known.summary.started_at, until)),
            steps,
        }
    }
}

fn executed_paths(steps: &[Step<'_>]) -> Vec<String> {
    let skipped = StepStatus::Skipped.as_str();
    steps.iter().filter(|step| step.status != skipped).map(|step| step.path.clone()).collect()
}

/// Returns the steps of a run, from its journal.
pub(crate) fn past_steps<'f>(known: &'f KnownRun, history: &'f History) -> impl Iterator<Item = Step<'f>> {
    let has_process = known.holder.is_some();
    let steps = history.steps.iter().filter(|step| step.path.matches('/').count() > 1);
    steps.map(move |step| Step::past(step, has_process))
}

fn output(outcome: &Outcome) -> Option<&SharedValue> {
    match outcome {
        Outcome::Completed(output) => Some(&output.value),
        _ => None,
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
            waits_for: None,
        }
    }

    fn past(step: &'f PastStep, has_process: bool) -> Self {
        let status = match step.status() {
            // No process is running the step any more.
            StepStatus::Running if !has_process => StepStatus::Pending,
            status => status,
        };
        let took = step.began.zip(step.ended).map(|(began, ended)| ended.saturating_sub(began));
        Self {
            path: step.path.clone(),
            status: status.as_str(),
            attempts: if status == StepStatus::Skipped { 0 } else { step.attempts },
            duration_ms: took.map(milliseconds),
            output: step.outcome.as_ref().and_then(output),
            error: step.outcome.as_ref().and_then(Outcome::error).map(Error::new),
            skip_reason: step.skip_reason(),
            waits_for: step.waits.as_ref(),
        }
    }
}

impl<'f> ReportedWait<'f> {
    fn new(wait: &'f RunWait) -> Self {
        let Awaited { signal, since, until } = &wait.awaited;
        Self {
            path: &wait.path,
            run_id: wait.run.to_string(),
            event: signal.as_deref(),
            since: since.to_string(),
            until: until.map(|until| until.to_string()),
            command: signal.as_ref().map(|name| answer(wait.run, name)),
        }
    }
}

/// Returns the command that sends the event `name` to `run`.
pub(crate) fn answer(run: impl std::fmt::Display, name: &str) -> String {
    // A name that begins with a dash would be read as an option.
    let separator = if name.starts_with('-') { "-- " } else { "" };
    format!("spellflow signal {run} {separator}{}", shell_word(name))
}

/// Returns `word` as one word of a shell command.
pub(crate) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

impl<'f> Error<'f> {
    pub(crate) fn new(error: &'f StepError) -> Self {
        let StepError { class, code, message, path, retryable, .. } = error;
        Self { code, class: class.as_str(), message, path: path.as_deref(), retryable: *retryable }
    }
}

impl Metrics {
    fn of(steps: &[Step<'_>], took: Duration) -> Self {
        let skipped = steps.iter().filter(|step| step.skip_reason.is_some()).count();
        Self {
            duration_ms: milliseconds(took),
            steps_executed: steps.len() - skipped,
            steps_skipped: skipped,
            retries: steps.iter().map(|step| u64::from(step.attempts.saturating_sub(1))).sum(),
        }
    }

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

/// Converts to milliseconds, with microsecond precision.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
