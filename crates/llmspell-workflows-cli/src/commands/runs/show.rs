use clap::Args;
use llmspell_workflows_advanced::{History, KnownRun, ProcessUsage, RunWait, UnresolvedStep};
use llmspell_workflows_basic::{
    RunStatus,
    engine::{Awaited, Outcome, Warning},
};

use uuid::Uuid;

use super::WrittenPaths;
use crate::{
    App, Exit, Failure,
    report::{Error, Recorded, Report, causes, next_command, past_steps, resolution, with_options},
    show,
    table::table,
};

/// The maximum number of characters shown from an event's data.
const DATA_CHARS_SHOWN: usize = 100;

/// Shows a run and its steps.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs show @last\n  spellflow runs show 0199c1 -o json")]
pub(super) struct Show {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
}

impl Show {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let (home, output) = (app.home(), app.output());
        let known = app.wait(home.find(&self.run))?;
        if output.is_text() {
            let history = app.wait(home.history(&known))?;
            let waits = app.wait(home.waits(&known))?;
            let root = app.wait(home.root_of(&known))?;
            // A step of a sub-workflow is resolved through the run that is resumed.
            let mut unresolved = app.wait(home.unresolved(&root))?;
            unresolved.retain(|step| root.id() == known.id() || step.run.id() == known.id());
            let root = root.id();
            let written = match history.end.as_ref().and_then(|(outcome, _)| outcome.error()) {
                Some(_) => Some(app.wait(WrittenPaths::read(&*home, &known))?),
                None => None,
            };
            output.text(&text(&known, &history, (&waits, root), &unresolved, written.as_ref()));
        } else {
            output.payload(&Report::past(&app.wait(Recorded::read(&*home, known, ProcessUsage::default()))?));
        }
        Ok(Exit::Ok)
    }
}

fn text(
    known: &KnownRun,
    history: &History,
    (waits, root): (&[RunWait], Uuid),
    unresolved: &[UnresolvedStep],
    written: Option<&WrittenPaths>,
) -> String {
    let end = history.end.as_ref().map(|(outcome, _)| outcome);
    let mut text = format!("{} {} {}\n", known.status(), known.summary.workflow, known.id());
    if let Some(origin) = &history.started.origin {
        let from = origin.path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default();
        text += &format!("created from run {}{from}\n", origin.run);
    }
    let rows = past_steps(known, history).map(|step| {
        let why = step.skip_reason.map(|reason| reason.message.clone());
        let of_error = |error: &Error<'_>| match step.output {
            Some(_) => format!("recovered from: {}", error.message),
            None => error.message.to_owned(),
        };
        let why = why.or_else(|| step.error.as_ref().map(of_error));
        let note = why.or_else(|| step.waits_for.map(describe_wait)).unwrap_or_default();
        [format!("  {}", step.status), step.path, note]
    });
    text += &table(rows);
    for wait in waits.iter().filter(|wait| wait.run != known.id()) {
        text += &format!("  {} of run {}: {}\n", wait.path, wait.run, describe_wait(&wait.awaited));
    }
    waits.iter().filter_map(not_accepted).for_each(|line| text += &format!("  {line}\n"));
    for wait in waits.iter().filter(|wait| wait.has_arrived) {
        let name = wait.awaited.signal.as_deref().unwrap_or_default();
        text +=
            &format!("the event `{name}` for {} is stored; the step receives it when the run is resumed\n", wait.path);
    }
    let mut commands: Vec<String> = waits.iter().filter_map(|wait| next_command(wait, root)).collect();
    commands.dedup();
    let verb = match known.status() {
        RunStatus::Interrupted | RunStatus::Paused => Some("resume"),
        RunStatus::Waiting if commands.is_empty() => Some("resume"),
        RunStatus::Failed => Some("retry"),
        _ => None,
    };
    commands.iter().for_each(|command| text += &format!("next: {command}\n"));
    for past in &history.warnings {
        let Warning { code, path, message } = &past.warning;
        text += &format!("warning[{code}]: {path}: {message}\n");
    }
    if let Some(error) = end.and_then(Outcome::error) {
        text += &format!("error[{}]: {}\n", error.code, error.message);
        causes(error).iter().for_each(|cause| text += &format!("  {cause}\n"));
        if let Some(command) = written.and_then(|written| written.command(error)) {
            text += &format!("  logs: {}\n", with_options(&command));
        }
    }
    for step in unresolved {
        let (path, error) = (step.to_string(), &step.error);
        let command = resolution(root, &path);
        text += &format!("error[{}]: {path}: {}\n", error.code, error.message);
        text += &format!("next: {}   (or `--failed`, or `--run-again`)\n", with_options(&command));
    }
    for error in end.map(Outcome::later_errors).unwrap_or_default() {
        text += &format!("later error[{}]: {}\n", error.code, error.message);
    }
    if let Some(verb) = verb {
        text += &format!("next: {}\n", with_options(&format!("spellflow {verb} {root}")));
    }
    let output = match end {
        Some(Outcome::Completed(output)) => show::value(&output.value),
        _ => String::new(),
    };
    text + &output
}

/// Describes what a step waits for.
pub(crate) fn describe_wait(awaited: &Awaited) -> String {
    let what = match &awaited.signal {
        Some(name) => format!("waiting for the event `{name}` since {}", awaited.since),
        None => format!("waiting since {}", awaited.since),
    };
    what + &awaited.until.map(|until| format!(", until {until}")).unwrap_or_default()
}

/// Describes the events that have arrived for a waiting step but are not accepted by its filter.
pub(crate) fn not_accepted(wait: &RunWait) -> Option<String> {
    let filter = wait.filter.as_ref()?;
    let last = filter.not_accepted.last()?;
    let events = match filter.not_accepted.len() {
        1 => "1 event".to_owned(),
        count => format!("{count} events"),
    };
    let data = shortened(&last.data.to_string());
    Some(format!(
        "{}: {events} not accepted by the filter `{}`; data of the last event: {data}",
        wait.path, filter.condition
    ))
}

/// Truncates a long text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(DATA_CHARS_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
