use clap::Args;
use jiff::Timestamp;
use llmspell_workflows_advanced::WorkflowEvent;
use serde_json::Value;

use crate::{App, Exit, Failure, table::table, watch::elapsed};

/// Shows the events of a run in order, from its journal.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs events @last\n  spellflow runs events 0199c1 -o json")]
pub(super) struct Events {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
}

impl Events {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let home = app.home();
        let known = app.wait(home.find(&self.run))?;
        let events = app.wait(home.events(&known))?;
        let output = app.output();
        if output.is_text() {
            let start = known.summary.started_at;
            output.text(&table(events.iter().map(|event| row(start, event))));
        } else {
            output.payload(&events);
        }
        Ok(Exit::Ok)
    }
}

fn row(start: Timestamp, event: &WorkflowEvent) -> [String; 4] {
    let after = |at: Timestamp| elapsed(at.duration_since(start).try_into().unwrap_or_default());
    let at = format!("+{}", after(event.timestamp));
    [at, event.kind.to_string(), event.path.clone(), short(&details(event))]
}

/// Returns the details of an event: the message of a failure, skip or warning, or otherwise all its
/// data.
fn details(event: &WorkflowEvent) -> String {
    let data = serde_json::to_value(&event.data).unwrap_or_default();
    // An event without data serializes as a string, and an end event contains only the duration.
    let Some((kind, body)) = data.as_object().and_then(|fields| fields.iter().next()) else { return String::new() };
    let message = ["/error/message", "/message", "/0/error/message"].into_iter().find_map(|at| body.pointer(at));
    match message.and_then(Value::as_str) {
        Some(message) => message.to_owned(),
        None if kind == "ended" => String::new(),
        None => body.to_string(),
    }
}

/// Truncates `text` if it is long.
fn short(text: &str) -> String {
    /// The maximum number of characters.
    const SHOWN: usize = 100;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
