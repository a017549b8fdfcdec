//! Messages to runs, whichever process has them.

use clap::Args;
use llmspell_workflows_advanced::{Delivery, KnownRun, Message};
use llmspell_workflows_basic::RunStatus;
use serde_json::json;

use super::run::{Session, Stay, input};
use crate::{App, Exit, Failure, host};

/// Lets no further step of a run begin; what is at work ends, and the run can be resumed.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow pause @last")]
pub(crate) struct Pause {
    /// The run: its id, the beginning of it, or `@last`.
    run: String,
}

/// Stops a run for good; its `finally` steps still run.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow cancel 0199c1")]
pub(crate) struct Cancel {
    /// The run: its id, the beginning of it, or `@last`.
    run: String,
    /// Undoes what it did, by the `compensate` of its steps.
    #[arg(long)]
    compensate: bool,
}

/// Sends a run an event that one of its steps waits for.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow signal @last approved\n  \
    spellflow signal 0199c1 payment --data '{\"amount\": 12}'")]
pub(crate) struct Signal {
    /// The run: its id, the beginning of it, or `@last`.
    run: String,
    /// The name of the event, as the step that waits for it says.
    name: String,
    /// What comes with it, in JSON.
    #[arg(long, value_name = "JSON", default_value = "null")]
    data: String,
}

impl Pause {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let known = app.wait(app.home().find(&self.run))?;
        if known.holder.is_none() && !known.status().has_ended() {
            return Ok(said(app, &known, &Delivery::Stored, "it is not at work"));
        }
        let delivery = app.wait(app.home().post(&known, &Message::Pause))?;
        Ok(said(app, &known, &delivery, "it pauses as soon as what is at work has ended"))
    }
}

impl Cancel {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let known = app.wait(app.home().find(&self.run))?;
        let message = if self.compensate { Message::CancelAndCompensate } else { Message::Cancel };
        let delivery = app.wait(app.home().post(&known, &message))?;
        if delivery != Delivery::Stored {
            return Ok(said(app, &known, &delivery, "it is being cancelled"));
        }
        // No process has it, so this one ends it, with its `finally` steps.
        let settings = app.config()?.settings().clone();
        let session = Session::new(app, &settings, &Stay { wait: true, timeout: None })?;
        let run = session.wait(session.executor().resume(&known))?;
        Ok(match session.go(run, None) {
            Exit::Interrupted => Exit::Ok,
            exit => exit,
        })
    }
}

impl Signal {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let payload = input::json(&self.data).map_err(|error| {
            Failure::usage(format!("the data is {error}")).with_help("a text is written as '\"text\"'")
        })?;
        let settings = app.config()?.settings();
        let values = settings.secrets.keys().filter_map(|name| Some((name, host::secret(settings, name)?)));
        if let Some((name, _)) = values.into_iter().find(|(_, value)| payload.to_string().contains(value.as_str())) {
            let message = format!("the data would be kept, and holds the secret `{name}`");
            return Err(Failure::new(Exit::Usage, "secret_would_be_recorded", message));
        }
        let known = app.wait(app.home().find(&self.run))?;
        let message = Message::Signal { name: self.name, payload };
        let delivery = app.wait(app.home().post(&known, &message))?;
        Ok(said(app, &known, &delivery, "it has the event"))
    }
}

/// Says what became of a message.
fn said(app: &App, known: &KnownRun, delivery: &Delivery, told: &str) -> Exit {
    let (run, output) = (known.id(), app.output());
    let word = match delivery {
        Delivery::Received => "told",
        Delivery::Stored => "kept",
        Delivery::Unanswered(_) => "unanswered",
    };
    if !output.is_text() {
        output.payload(&json!({"run_id": run, "delivery": word}));
    }
    let note = match delivery {
        Delivery::Received => format!("the run {run}: {told}"),
        Delivery::Stored if known.status() == RunStatus::Running => format!("the run {run}: {told}"),
        Delivery::Stored => format!("no process is at work on the run {run}; go on with `spellflow resume {run}`"),
        Delivery::Unanswered(holder) => {
            format!("the run {run} belongs to {}, which does not answer; it is told when it does", holder.0)
        }
    };
    output.note(&note);
    Exit::Ok
}
