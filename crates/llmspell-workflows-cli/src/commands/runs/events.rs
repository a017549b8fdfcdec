use clap::Args;
use jiff::Timestamp;
use llmspell_workflows_advanced::{ProcessOutput, WorkflowEvent};
use serde_json::{Value, json};

use super::state::executor;
use crate::{App, Exit, Failure, table::table, watch::elapsed};

/// Shows the events of a run in order, from its journal.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs events @last\n  spellflow runs events 0199c1 -o json")]
pub(super) struct Events {
    /// The run: its id, a unique prefix of it, or `@last`.
    run: String,
}

/// Shows the output of the processes that a run's steps started.
///
/// For a failed process, only the end of its output is recorded.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow runs logs @last\n  spellflow runs logs 0199c1 --step build --lines 20")]
pub(super) struct Logs {
    /// The run: its id, a unique prefix of it, or `@last`.
    run: String,
    /// Show only steps whose path ends with this text.
    #[arg(long, value_name = "PATH")]
    step: Option<String>,
    /// Show at most this many lines from the end of each process's output.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    lines: usize,
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

/// Returns the details of an event: the message of a failure, skip or warning, otherwise all of its data.
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

impl Logs {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let known = app.wait(app.home().find(&self.run))?;
        let mut written = app.wait(executor(app)?.process_outputs(&known))?;
        if let Some(step) = &self.step {
            let suffix = format!("/{}", step.trim_start_matches('/'));
            written.retain(|one| one.path.ends_with(&suffix));
        }
        let output = app.output();
        if output.is_text() {
            output.text(&written.iter().map(|one| text(one, self.lines)).collect::<String>());
        } else {
            let line = |one: &ProcessOutput| {
                let (stdout, cut_out) = last_lines(&one.stdout, self.lines);
                let (stderr, cut_err) = last_lines(&one.stderr, self.lines);
                json!({
                    "path": one.path, "attempt": one.attempt, "exit_code": one.exit_code,
                    "stdout": stdout, "stdout_type": one.stdout_form.name(),
                    "stderr": stderr, "stderr_type": one.stderr_form.name(),
                    "lines_left_out": cut_out + cut_err,
                })
            };
            output.payload(&written.iter().map(line).collect::<Vec<_>>());
        }
        Ok(Exit::Ok)
    }
}

fn text(one: &ProcessOutput, lines: usize) -> String {
    let end = one.exit_code.map_or("no exit code".to_owned(), |number| format!("exit code {number}"));
    let mut text = format!("{}, attempt {}: {end}\n", one.path, one.attempt);
    for (sign, written) in [("  ", one.stdout_form.shown(&one.stdout)), ("! ", one.stderr_form.shown(&one.stderr))] {
        let (last, left_out) = last_lines(&written, lines);
        if left_out > 0 {
            text += &format!("{sign}({left_out} earlier lines not shown; use `--lines` to show more)\n");
        }
        last.lines().for_each(|line| text += &format!("{sign}{line}\n"));
    }
    text
}

/// Returns the last `lines` lines of `text`, and the number of lines before them.
fn last_lines(text: &str, lines: usize) -> (&str, usize) {
    let count = text.lines().count();
    let left_out = count.saturating_sub(lines);
    let begin = text.split_inclusive('\n').take(left_out).map(str::len).sum();
    (&text[begin..], left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_returns_the_end_and_counts_the_rest() {
        for (lines, expected) in [(0, ("", 3)), (1, ("c", 2)), (2, ("b\nc", 1)), (9, ("a\nb\nc", 0))] {
            assert_eq!(last_lines("a\nb\nc", lines), expected, "{lines}");
        }
        assert_eq!(last_lines("a\nb\n", 1), ("b\n", 1));
        assert_eq!(last_lines("", 1), ("", 0));
    }
}
