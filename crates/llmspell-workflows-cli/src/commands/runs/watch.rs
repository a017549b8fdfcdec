use std::{collections::HashMap, thread, time::Duration};

use clap::Args;
use llmspell_workflows_advanced::{EventKind, KnownRun, ProcessUsage};
use llmspell_workflows_basic::RunStatus;
use serde::Serialize;

use super::{WrittenPaths, show::describe_wait};
use crate::{
    App, Exit, Failure,
    output::Format,
    report::{Error, Recorded, Report, Step, past_steps},
};

/// How often the journal is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Follows a run in another process until the run ends or no process drives it.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs watch @last\n  spellflow runs watch 0199c1 -o jsonl")]
pub(super) struct Watch {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
}

/// A status change of a step, in the formats for programs.
#[derive(Serialize)]
struct StepEvent<'s> {
    event: &'static str,
    path: &'s str,
    error: Option<&'s Error<'s>>,
}

impl Watch {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (home, output) = (app.home(), *app.output());
        let mut known = app.wait(home.find(&self.run))?;
        let mut reported = HashMap::new();
        loop {
            report_changes(app, &known, &mut reported)?;
            if known.holder.is_none() || known.status().has_ended() {
                break;
            }
            thread::sleep(POLL_INTERVAL);
            known = app.wait(home.find(&known.id().to_string()))?;
        }
        let status = known.status();
        if output.is_text() {
            output.note(&format!("{status} {}", known.id()));
            let history = app.wait(home.history(&known))?;
            if let Some(error) = history.end.as_ref().and_then(|(outcome, _)| outcome.error()) {
                let written = app.wait(WrittenPaths::read(&*home, &known))?;
                written.command(error).iter().for_each(|command| output.note(&format!("  logs: {command}")));
            }
        } else {
            let recorded = app.wait(Recorded::read(&*home, known, ProcessUsage::default()))?;
            let report = Report::past(&recorded);
            match output.format() {
                Format::Jsonl => output.payload(&report.into_event()),
                _ => output.payload(&report),
            }
        }
        Ok(match status {
            RunStatus::Completed => Exit::Ok,
            RunStatus::Failed => Exit::Failed,
            RunStatus::Cancelled => Exit::Interrupted,
            _ => Exit::Waiting,
        })
    }
}

/// Reports the steps whose status has changed since the last poll.
fn report_changes(app: &App, known: &KnownRun, reported: &mut HashMap<String, &'static str>) -> Result<(), Failure> {
    let (home, output) = (app.home(), *app.output());
    let history = app.wait(home.history(known))?;
    for step in past_steps(known, &history) {
        if reported.insert(step.path.clone(), step.status) == Some(step.status) {
            continue;
        }
        match output.format() {
            Format::Text => output.text(&line(&step)),
            Format::Jsonl => {
                let Step { path, status, error, .. } = &step;
                if let Some(event) = event(status) {
                    output.payload(&StepEvent { event: event.as_str(), path, error: error.as_ref() });
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns the event that gives a step this status; `None` if the event belongs to the step's
/// compensation.
fn event(status: &str) -> Option<EventKind> {
    Some(match status {
        "waiting" => EventKind::StepWaiting,
        "completed" => EventKind::StepCompleted,
        "failed" => EventKind::StepFailed,
        "skipped" => EventKind::StepSkipped,
        "cancelled" => EventKind::StepCancelled,
        "stuck" => EventKind::StepStuck,
        "compensated" => return None,
        _ => EventKind::StepStarted,
    })
}

fn line(step: &Step<'_>) -> String {
    let why = step.skip_reason.map(|reason| reason.message.clone());
    let why = why.or_else(|| step.error.as_ref().map(|error| format!("{} [{}]", error.message, error.code)));
    let why = why.or_else(|| step.waits_for.map(describe_wait)).unwrap_or_default();
    format!("{:<9} {}  {why}", step.status, step.path).trim_end().to_owned() + "\n"
}
