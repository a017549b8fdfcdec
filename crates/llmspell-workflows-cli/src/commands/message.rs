//! Commands that send messages to runs, whichever process drives the run.

use clap::Args;
use llmspell_workflows_advanced::{Delivery, EventKind, KnownRun, Message, RunWait};
use llmspell_workflows_basic::RunStatus;
use serde_json::{Value, json};

use super::run::{SessionOptions, input, session_of};
use crate::{App, Exit, Failure, host};

/// Pauses a run: running steps finish, no further step starts, and the run can be resumed.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow pause @last")]
pub(crate) struct Pause {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
}

/// Cancels a run for good; its `finally` steps still run.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow cancel 0199c1")]
pub(crate) struct Cancel {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    /// Also undo the completed steps by running their `compensate` steps.
    #[arg(long)]
    compensate: bool,
}

/// Sends an event to a run; a step that waits for this event receives it.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow signal @last approved\n  \
    spellflow signal 0199c1 payment --data '{\"amount\": 12}'")]
pub(crate) struct Signal {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    /// The name of the event, as given in the waiting step.
    name: String,
    /// The event's data, in JSON.
    #[arg(long, value_name = "JSON", default_value = "null")]
    data: String,
}

impl Pause {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let known = app.wait(app.home().find(&self.run))?;
        if known.holder.is_none() && !known.status().has_ended() {
            return Ok(report(app, &known, &Delivery::Stored, "not running in any process", None));
        }
        let delivery = app.wait(app.home().post(&known, &Message::Pause))?;
        Ok(report(app, &known, &delivery, "pausing as soon as the running steps have ended", None))
    }
}

impl Cancel {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let known = app.wait(app.home().find(&self.run))?;
        let message = if self.compensate { Message::CancelAndCompensate } else { Message::Cancel };
        let delivery = app.wait(app.home().post(&known, &message))?;
        if delivery != Delivery::Stored {
            return Ok(report(app, &known, &delivery, "cancelling", None));
        }
        // No process is running the run, so this process cancels it and runs its `finally` steps. A
        // sub-workflow is resumed with its parent run.
        let known = app.wait(app.home().root_of(&known))?;
        let options = SessionOptions { wait: true, ..SessionOptions::default() };
        let (_, session) = session_of(app, &known, &options)?;
        let run = session.wait(session.executor().resume(&known))?;
        let exit = session.drive(EventKind::RunResumed, run, None);
        let now = app.wait(app.home().find(&known.id().to_string()))?;
        Ok(match now.status() {
            RunStatus::Cancelled | RunStatus::Compensated => Exit::Ok,
            _ => exit,
        })
    }
}

impl Signal {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let payload = input::json(&self.data).map_err(|error| {
            Failure::usage(format!("invalid data: {error}"))
                .with_help("write a string as '\"text\"' and an object as '{\"name\": \"text\"}'")
        })?;
        let settings = app.config()?.settings();
        host::check_recorded(settings, "the data", &payload)?;
        let known = app.wait(app.home().find(&self.run))?;
        let named = |wait: &&RunWait| wait.awaited.signal.as_deref() == Some(&*self.name);
        let mut waits = if known.status().has_ended() { Vec::new() } else { app.wait(app.home().waits(&known))? };
        if known.summary.parent.is_some() && !waits.iter().any(|wait| named(&wait)) {
            waits = app.wait(app.home().waits(&app.wait(app.home().root_of(&known))?))?;
        }
        let mut names: Vec<&str> = waits.iter().filter_map(|wait| wait.awaited.signal.as_deref()).collect();
        names.dedup();
        let accepts =
            |wait: &RunWait| wait.filter.as_ref().map_or(Some(true), |filter| filter.accepts(&self.name, &payload));
        let verdicts: Vec<(&RunWait, Option<bool>)> =
            waits.iter().filter(named).map(|wait| (wait, accepts(wait))).collect();
        let is_accepted = verdicts.iter().any(|(_, accepts)| *accepts == Some(true));
        let is_awaited = verdicts.iter().any(|(_, accepts)| *accepts != Some(false));
        let message = Message::Signal { name: self.name.clone(), payload };
        let delivery = app.wait(app.home().post(&known, &message))?;
        if verdicts.is_empty() {
            let waiting = match names.as_slice() {
                [] => "no step is waiting for an event now".to_owned(),
                names => format!("waiting now: `{}`", names.join("`, `")),
            };
            app.output().note(&format!("no step is waiting for `{}`; kept for later; {waiting}", self.name));
        }
        let mut not_accepted = Vec::new();
        for (wait, accepts) in verdicts {
            let Some(filter) = wait.filter.as_ref().filter(|_| accepts != Some(true)) else { continue };
            let (path, condition) = (&wait.path, &filter.condition);
            let note = match accepts {
                Some(_) => format!("not accepted by {path}; kept for later; its filter is `{condition}`"),
                None => format!("{path} accepts it only if its filter `{condition}` is true"),
            };
            app.output().note(&note);
            if accepts.is_some() {
                not_accepted.push(json!({"path": path, "filter": condition}));
            }
        }
        let root = app.wait(app.home().root_of(&known))?;
        let waiting = json!({"is_awaited": is_awaited, "waiting_for": names, "not_accepted_by": not_accepted});
        let effect = if is_accepted { "event accepted" } else { "event stored" };
        Ok(report(app, &root, &delivery, effect, Some(waiting)))
    }
}

/// Reports the delivery of a message. `effect` describes the effect of an accepted message, and
/// `more` contains further fields for programs.
fn report(app: &App, known: &KnownRun, delivery: &Delivery, effect: &str, more: Option<Value>) -> Exit {
    let (run, output) = (known.id(), app.output());
    let word = match delivery {
        Delivery::Received => "told",
        Delivery::Stored => "kept",
        Delivery::Unanswered(_) => "unanswered",
    };
    if !output.is_text() {
        let mut payload = json!({"run_id": run, "delivery": word});
        if let (Some(payload), Some(Value::Object(more))) = (payload.as_object_mut(), more) {
            payload.extend(more);
        }
        output.payload(&payload);
    }
    let note = match delivery {
        Delivery::Received => format!("run {run}: {effect}"),
        Delivery::Stored if known.status() == RunStatus::Running => format!("run {run}: {effect}"),
        Delivery::Stored => format!("run {run} is not running in any process; resume it with `spellflow resume {run}`"),
        Delivery::Unanswered(holder) => {
            format!("run {run} is owned by {}, which does not respond; it will receive the message later", holder.0)
        }
    };
    output.note(&note);
    Exit::Ok
}
