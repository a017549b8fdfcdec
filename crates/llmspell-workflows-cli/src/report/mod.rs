//! Run reports for programs, with the same shape for every run status.

mod hints;
mod metrics;
mod parts;

use std::borrow::Cow;

use jiff::Timestamp;
use llmspell_workflows_advanced::{
    AdvancedMetrics, ExecutorError, History, Home, KnownRun, PastStep, ProcessUsage, RunWait,
};
use llmspell_workflows_basic::{
    Finished, StepError,
    engine::{Outcome, StepRecord, StepStatus},
    model::Definition,
    state::SharedValue,
};
use serde::Serialize;
use uuid::Uuid;

pub(crate) use hints::{answer, keep_global, keep_session, next_command, resolution, shell_word, with_options};
pub(crate) use metrics::{Counts, milliseconds};
use metrics::{Metrics, between};
pub(crate) use parts::{Error, Step, causes};
use parts::{ReportedWait, ReportedWarning};

/// The output of `run -o json` and `runs show -o json`; its shape is stable.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'f> {
    run_id: String,
    workflow: &'f str,
    version: &'f str,
    status: &'static str,
    output: Cow<'f, SharedValue>,
    /// The first error, which determined how the run ended, or why the run is stuck.
    error: Option<Error<'f>>,
    /// The errors of cleanup steps that failed after the first error.
    later_errors: Vec<Error<'f>>,
    steps: Vec<Step<'f>>,
    /// The runs of the sub-workflows, in start order; not known for a run in memory.
    children: Vec<String>,
    /// The waits of the run and its sub-workflows.
    waits: Vec<ReportedWait<'f>>,
    warnings: Vec<ReportedWarning<'f>>,
    /// The paths of executed steps, in start order.
    execution_path: Vec<String>,
    metrics: Metrics,
}

/// The last event of a run, with the run's status and report.
#[derive(Debug, Serialize)]
pub(crate) struct RunEvent<'f> {
    event: String,
    #[serde(flatten)]
    report: Report<'f>,
}

/// The recorded data of a run.
pub(crate) struct Recorded {
    pub(crate) known: KnownRun,
    pub(crate) history: History,
    pub(crate) waits: Vec<RunWait>,
    /// The error of the first stuck step in the run or its sub-workflows; it contains the step's
    /// full path.
    stuck: Option<StepError>,
    /// The run to resume.
    root: Uuid,
    /// The definition, unless it cannot be read.
    definition: Option<Definition>,
    metrics: AdvancedMetrics,
}

impl Recorded {
    /// Reads the records of `known`; `usage` contains the resources this process used to drive the
    /// run.
    pub(crate) async fn read(home: &dyn Home, known: KnownRun, usage: ProcessUsage) -> Result<Self, ExecutorError> {
        let (history, state) = home.history_and_state(&known).await?;
        let (waits, root) = (home.waits(&known).await?, home.root_of(&known).await?.id());
        let stuck = home.unresolved(&known).await?.into_iter().next();
        let stuck = stuck.map(|step| StepError { path: Some(step.to_string()), ..step.error });
        let definition = home.definition(&known.summary.definition).await.ok();
        let until = known.summary.ended_at.unwrap_or_else(Timestamp::now);
        let metrics = AdvancedMetrics::recorded((&history, &state), definition.as_ref(), until, usage);
        Ok(Self { known, history, waits, stuck, root, definition, metrics })
    }
}

impl<'f> Report<'f> {
    /// Converts the report to the last event of a run in the `jsonl` format.
    pub(crate) fn into_event(self) -> RunEvent<'f> {
        RunEvent { event: format!("run.{}", self.status), report: self }
    }

    /// Creates the report of a run in memory. The root step represents the run itself and is not
    /// listed.
    pub(crate) fn new(definition: &'f Definition, finished: &'f Finished, usage: ProcessUsage) -> Self {
        let name = |record: &'f StepRecord| record.name.as_deref().map(Cow::Borrowed);
        let steps: Vec<Step<'f>> = below_root(finished).map(|record| Step::new(record, name(record))).collect();
        Self {
            run_id: finished.run_id.to_string(),
            workflow: &definition.name,
            version: &definition.version,
            status: finished.status.as_str(),
            output: Cow::Borrowed(&finished.output),
            error: finished.error.as_ref().map(Error::new),
            later_errors: finished.later_errors.iter().map(Error::new).collect(),
            children: Vec::new(),
            waits: Vec::new(),
            warnings: finished.warnings.iter().map(|warning| ReportedWarning::new(warning, None)).collect(),
            execution_path: executed_paths(&steps),
            metrics: Metrics::new(
                Counts::of_finished(finished),
                AdvancedMetrics::in_memory(finished, definition, usage),
            ),
            steps,
        }
    }

    /// Creates a run's report from its records.
    pub(crate) fn past(recorded: &'f Recorded) -> Self {
        let Recorded { known, history, waits, stuck, root, definition, metrics } = recorded;
        let mut steps: Vec<Step<'f>> = past_steps(known, history).collect();
        for step in &mut steps {
            let path = step.path.parse().ok();
            let named = path.and_then(|path| definition.as_ref()?.step_at(&path));
            step.name = named.and_then(|step| step.name.as_deref()).map(Cow::Borrowed);
        }
        let end = history.end.as_ref().map(|(outcome, _)| outcome);
        let until = known.summary.ended_at.unwrap_or_else(Timestamp::now);
        Self {
            run_id: known.id().to_string(),
            workflow: &known.summary.workflow,
            version: &known.summary.version,
            status: known.status().as_str(),
            output: end.and_then(output).map_or_else(Cow::default, Cow::Borrowed),
            error: end.and_then(Outcome::error).or(stuck.as_ref()).map(Error::new),
            later_errors: end.map(Outcome::later_errors).unwrap_or_default().iter().map(Error::new).collect(),
            children: history.children.iter().map(ToString::to_string).collect(),
            waits: waits.iter().map(|wait| ReportedWait::new(wait, *root)).collect(),
            warnings: history.warnings.iter().map(|past| ReportedWarning::new(&past.warning, Some(past.at))).collect(),
            execution_path: executed_paths(&steps),
            metrics: Metrics::new(Counts::of(&steps, between(known.summary.started_at, until)), metrics.clone()),
            steps,
        }
    }
}

fn executed_paths(steps: &[Step<'_>]) -> Vec<String> {
    let skipped = StepStatus::Skipped.as_str();
    steps.iter().filter(|step| step.status != skipped).map(|step| step.path.clone()).collect()
}

/// Returns the steps of a run from its journal.
pub(crate) fn past_steps<'f>(known: &'f KnownRun, history: &'f History) -> impl Iterator<Item = Step<'f>> {
    let steps = history.steps.iter().filter(|step| is_below_root(step));
    steps.map(move |step| Step::past(step, known))
}

fn is_below_root(step: &PastStep) -> bool {
    step.path.matches('/').count() > 1
}

fn output(outcome: &Outcome) -> Option<&SharedValue> {
    match outcome {
        Outcome::Completed(output) => Some(&output.value),
        _ => None,
    }
}

fn below_root(finished: &Finished) -> impl Iterator<Item = &StepRecord> {
    finished.steps.iter().filter(|record| record.path.segments().len() > 1)
}

/// Returns the errors of a block's inner steps, if the block failed because of several errors.
fn errors_inside(error: &StepError) -> Option<&Vec<serde_json::Value>> {
    error.details.as_ref()?.get("errors")?.as_array()
}
