//! A run as its journal tells it, in the shape of `run -o json`.

use llmspell_workflows_advanced::{History, KnownRun, PastStep};
use llmspell_workflows_basic::engine::{Outcome, SkipReason, StepStatus};
use serde::Serialize;
use serde_json::Value;

use crate::{report::Error, show, table::table};

/// What `runs show -o json` prints; the shape is stable.
#[derive(Debug, Serialize)]
pub(super) struct Report<'h> {
    run_id: String,
    workflow: &'h str,
    version: &'h str,
    status: &'static str,
    output: Option<&'h Value>,
    error: Option<Error<'h>>,
    steps: Vec<Step<'h>>,
    /// Paths of the steps that ran, in the order in which the journal first names them.
    execution_path: Vec<&'h str>,
}

#[derive(Debug, Serialize)]
struct Step<'h> {
    path: &'h str,
    status: &'static str,
    attempts: u32,
    output: Option<&'h Value>,
    error: Option<Error<'h>>,
    skip_reason: Option<&'h SkipReason>,
}

pub(super) fn report<'h>(known: &KnownRun, history: &'h History) -> Report<'h> {
    let end = history.end.as_ref().map(|(outcome, _)| outcome);
    let ran = below_root(history).filter(|step| step.status() != StepStatus::Skipped);
    Report {
        run_id: known.run.to_string(),
        workflow: &history.started.workflow,
        version: &history.started.version,
        status: known.status(),
        output: end.and_then(output),
        error: end.and_then(Outcome::error).map(Error::new),
        execution_path: ran.map(|step| step.path.as_str()).collect(),
        steps: below_root(history).map(|step| self::step(known, step)).collect(),
    }
}

pub(super) fn text(known: &KnownRun, history: &History) -> String {
    let end = history.end.as_ref().map(|(outcome, _)| outcome);
    let mut text = format!("{} {} {}\n", known.status(), history.started.workflow, known.run);
    let rows = below_root(history).map(|past| {
        let step = step(known, past);
        let reason = step.skip_reason.map(|reason| reason.message.clone());
        let note = reason.or_else(|| past.outcome.as_ref()?.error().map(|error| error.message.clone()));
        [format!("  {}", step.status), step.path.to_owned(), note.unwrap_or_default()]
    });
    text += &table(rows);
    if let Some(error) = end.and_then(Outcome::error) {
        text += &format!("error[{}]: {}\n", error.code, error.message);
    }
    text + &end.and_then(output).map(show::value).unwrap_or_default()
}

fn below_root(history: &History) -> impl Iterator<Item = &PastStep> {
    history.steps.iter().filter(|step| step.path.matches('/').count() > 1)
}

fn step<'h>(known: &KnownRun, step: &'h PastStep) -> Step<'h> {
    let status = match step.status() {
        // Nobody is at work on it any more.
        StepStatus::Running if known.holder.is_none() => StepStatus::Pending,
        status => status,
    };
    Step {
        path: &step.path,
        status: status.as_str(),
        attempts: if status == StepStatus::Skipped { 0 } else { step.attempts },
        output: step.outcome.as_ref().and_then(output),
        error: step.outcome.as_ref().and_then(Outcome::error).map(Error::new),
        skip_reason: step.skip_reason(),
    }
}

fn output(outcome: &Outcome) -> Option<&Value> {
    match outcome {
        Outcome::Completed(output) => Some(&output.value),
        _ => None,
    }
}
