use std::collections::{BTreeMap, HashMap};
use std::{thread, time::Duration};

use clap::Args;
use llmspell_workflows_advanced::{AttemptStatus, KnownRun, LoggedLine, OutputCursor, ProcessOutput, SubRun};
use llmspell_workflows_basic::activity::{OutputLine, OutputStream};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    selection::{check_step, is_selected},
    state::executor,
};
use crate::{
    App, Exit, Failure,
    output::{Format, Output, Paint},
    watch::{LineEvent, line_after_path},
};

/// How often the log is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Shows the output of the processes started by a run's steps, even while they run.
///
/// If an attempt writes a lot and does not complete, only its first and last lines are kept.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  spellflow runs logs @last\n  spellflow runs logs 0199c1 --step build --lines 20\n  \
    spellflow runs logs @last -f"
)]
pub(super) struct Logs {
    /// The run's id, a unique prefix of the id, or `@last`.
    run: String,
    /// Show only the step at this path (or path suffix) and the steps inside it.
    #[arg(long, value_name = "PATH")]
    step: Option<String>,
    /// Show at most this many lines from the end of each process's output.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    lines: usize,
    /// Follow the output line by line until the run ends or no process drives it.
    #[arg(short, long)]
    follow: bool,
}

impl Logs {
    pub(super) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let known = app.wait(app.home().find(&self.run))?;
        if self.follow {
            return self.follow(app, known);
        }
        let executor = executor(app)?;
        let family = family(app, &known)?;
        if let Some(step) = &self.step {
            check_step(app, &executor, &family, step)?;
        }
        let mut written = Vec::new();
        for SubRun { path, run } in family {
            let of_run = app.wait(executor.process_outputs(&run))?;
            written.extend(of_run.into_iter().map(|one| ProcessOutput { path: format!("{path}{}", one.path), ..one }));
        }
        written.retain(|one| self.selects(&one.path));
        let output = app.output();
        if written.is_empty() {
            output.note(&self.nothing_written());
        }
        if output.is_text() {
            output.text(&written.iter().map(|one| text(one, self.lines)).collect::<String>());
        } else {
            output.payload(&written.iter().map(|one| value(one, self.lines)).collect::<Vec<_>>());
        }
        Ok(Exit::Ok)
    }

    fn selects(&self, path: &str) -> bool {
        self.step.as_ref().is_none_or(|step| is_selected(path, step))
    }

    /// Returns the message for a run or a step without output.
    fn nothing_written(&self) -> String {
        match &self.step {
            Some(step) => format!("`{step}` has no output"),
            None => "no step of the run has output".to_owned(),
        }
    }

    fn follow(&self, app: &App, mut known: KnownRun) -> Result<Exit, Failure> {
        let (home, output) = (app.home(), *app.output());
        if !matches!(output.format(), Format::Text | Format::Jsonl) {
            let failure = Failure::usage("`--follow` writes line by line, which is not possible in this format");
            return Err(failure.with_help("use `-o jsonl`, or leave out `--follow`"));
        }
        let Some(outputs) = home.outputs() else {
            return Err(Failure::usage("this store does not keep the output of running steps"));
        };
        if let Some(step) = &self.step {
            check_step(app, &executor(app)?, &family(app, &known)?, step)?;
        }
        let mut followers = HashMap::<Uuid, Follower>::new();
        loop {
            // A read that begins after the end of the run returns all lines.
            let is_last = known.holder.is_none() || known.status().has_ended();
            for SubRun { path, run } in family(app, &known)? {
                let follower = followers.entry(run.id()).or_default();
                let mut lines = app.wait(outputs.read(run.id(), &mut follower.cursor))?;
                if is_last {
                    // Add the unfinished lines of interrupted attempts.
                    lines.extend_from_slice(follower.cursor.unfinished());
                }
                let lines =
                    lines.into_iter().filter(|line| self.selects(&format!("{path}{}", line.attempt.source.path)));
                follower.show(output, &path, lines.collect(), self.lines);
            }
            if is_last {
                break;
            }
            thread::sleep(POLL_INTERVAL);
            known = app.wait(home.find(&known.id().to_string()))?;
        }
        if output.is_text() {
            output.note(&format!("{} {}", known.status(), known.id()));
        }
        Ok(Exit::Ok)
    }
}

/// Returns a run and the runs of its sub-workflows.
fn family(app: &App, known: &KnownRun) -> Result<Vec<SubRun>, Failure> {
    let mut runs = vec![SubRun { path: String::new(), run: known.clone() }];
    let home = app.home();
    runs.extend(app.wait(home.sub_runs(known))?);
    Ok(runs)
}

/// Follows the log of one run.
#[derive(Default)]
struct Follower {
    cursor: OutputCursor,
    /// Whether the lines that existed at the start have been read.
    has_begun: bool,
    /// The number of the next line to show, by attempt.
    next: BTreeMap<u64, u64>,
}

impl Follower {
    /// Shows the lines read. Of the lines that existed at the start, shows at most `lines_max` per
    /// attempt.
    fn show(&mut self, output: Output, around: &str, lines: Vec<LoggedLine>, lines_max: usize) {
        let has_begun = std::mem::replace(&mut self.has_begun, true);
        let mut left = HashMap::<u64, usize>::new();
        lines.iter().for_each(|line| *left.entry(line.attempt.id).or_default() += 1);
        for LoggedLine { attempt, number, line } in lines {
            let remaining = left.entry(attempt.id).or_default();
            *remaining -= 1;
            let next = match self.next.get(&attempt.id) {
                Some(next) => *next,
                None if !has_begun && *remaining >= lines_max => continue,
                None => 0,
            };
            let (path, tries) =
                (format!("{around}{}", attempt.source.path), attempt.source.attempt + attempt.source.cuts);
            self.next.insert(attempt.id, number + 1);
            if output.format() == Format::Jsonl {
                output.payload(&LineEvent::new(&path, tries, &line));
                continue;
            }
            if number > next {
                output.text(&format!("{path} | ({} not shown)\n", counted(number - next)));
            }
            output.text(&line_after_path(&path, tries, &line, |head| output.on_out(Paint::Dim, head)));
        }
    }
}

fn counted(lines: u64) -> String {
    format!("{lines} {}", if lines == 1 { "line" } else { "lines" })
}

/// Describes how an attempt ended.
fn ending(one: &ProcessOutput) -> String {
    let message =
        || one.error.as_ref().map(|error| format!(": {} [{}]", error.message, error.code)).unwrap_or_default();
    match (one.status, one.exit_code) {
        (AttemptStatus::Completed | AttemptStatus::Failed, Some(code)) => format!("exit code {code}"),
        (AttemptStatus::Completed, None) => "no exit code".to_owned(),
        (AttemptStatus::Failed, None) => format!("failed{}", message()),
        (AttemptStatus::TimedOut, _) => format!("timed out{}", message()),
        (status, _) => status.as_str().to_owned(),
    }
}

fn text(one: &ProcessOutput, lines: usize) -> String {
    let mut text = format!("{}, attempt {}: {}\n", one.path, one.attempt, ending(one));
    if one.lines.is_empty() {
        text += &recorded("  ", &one.stdout_form.shown(&one.stdout), one.stdout_bytes_left_out, lines);
        text += &recorded("! ", &one.stderr_form.shown(&one.stderr), one.stderr_bytes_left_out, lines);
    } else {
        text += &logged(&one.lines, lines);
    }
    if let Some(error) = &one.log_error {
        text += &format!("  (the end of the output was not logged: {error})\n");
    }
    text
}

/// Renders a recorded stream without its first `bytes_left_out` bytes.
fn recorded(sign: &str, written: &str, bytes_left_out: u64, lines: usize) -> String {
    let (last, not_shown_count) = last_lines(written, lines);
    let mut text = match bytes_left_out {
        0 => String::new(),
        count => format!(
            "{sign}({count} earlier bytes not kept; to keep all output of a process that fails, write it to a file)\n"
        ),
    };
    text += &not_shown(sign, not_shown_count);
    last.lines().for_each(|line| text += &format!("{sign}{}\n", OutputLine::last_state(line)));
    text
}

fn not_shown(sign: &str, left_out: usize) -> String {
    match left_out {
        0 => String::new(),
        _ => format!("{sign}({left_out} earlier lines not shown; use `--lines` to show more)\n"),
    }
}

/// Renders logged lines in the order they were written, and the number of lines not kept.
fn logged(all: &[LoggedLine], lines: usize) -> String {
    let from = all.len().saturating_sub(lines);
    let mut text = not_shown("  ", from);
    let mut next = all.get(from).map_or(0, |line| line.number);
    for LoggedLine { number, line, .. } in &all[from..] {
        if *number > next {
            text += &format!("  ({} not kept)\n", counted(number - next));
        }
        next = number + 1;
        let sign = if line.stream == OutputStream::Stderr { "! " } else { "  " };
        text += &format!("{sign}{}\n", line.text);
    }
    text
}

fn value(one: &ProcessOutput, lines: usize) -> Value {
    let (stdout, cut_out) = last_lines(&one.stdout, lines);
    let (stderr, cut_err) = last_lines(&one.stderr, lines);
    json!({
        "path": one.path, "attempt": one.attempt, "status": one.status.as_str(), "exit_code": one.exit_code,
        "stdout": stdout, "stdout_type": one.stdout_form.name(),
        "stderr": stderr, "stderr_type": one.stderr_form.name(),
        "lines_left_out": one.lines_left_out + (cut_out + cut_err) as u64,
        "stdout_bytes_left_out": one.stdout_bytes_left_out, "stderr_bytes_left_out": one.stderr_bytes_left_out,
        "log_error": one.log_error,
    })
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
    use llmspell_workflows_basic::BytesForm;

    use super::*;

    fn output(stdout: &str) -> ProcessOutput {
        ProcessOutput {
            path: "/main/a".to_owned(),
            attempt: 1,
            status: AttemptStatus::Failed,
            error: None,
            exit_code: Some(3),
            stdout: stdout.to_owned(),
            stdout_form: BytesForm::Text,
            stderr: String::new(),
            stderr_form: BytesForm::Text,
            lines: Vec::new(),
            lines_unfinished: 0,
            lines_left_out: 0,
            stdout_bytes_left_out: 0,
            stderr_bytes_left_out: 0,
            log_error: None,
        }
    }

    #[test]
    fn missing_output_is_reported() {
        let cut = ProcessOutput { stdout_bytes_left_out: 7, ..output("end\n") };
        let shown = text(&cut, 10);
        assert!(shown.starts_with("/main/a, attempt 1: exit code 3\n  (7 earlier bytes not kept; "), "{shown}");
        assert!(shown.ends_with("write it to a file)\n  end\n"), "{shown}");
        let unlogged = ProcessOutput { log_error: Some("2 lines: disk full".to_owned()), ..output("begin\n") };
        let shown = text(&unlogged, 10);
        assert!(shown.ends_with("  begin\n  (the end of the output was not logged: 2 lines: disk full)\n"), "{shown}");
    }

    #[test]
    fn last_lines_returns_the_end_and_counts_the_rest() {
        for (lines, expected) in [(0, ("", 3)), (1, ("c", 2)), (2, ("b\nc", 1)), (9, ("a\nb\nc", 0))] {
            assert_eq!(last_lines("a\nb\nc", lines), expected, "{lines}");
        }
        assert_eq!(last_lines("a\nb\n", 1), ("b\n", 1));
        assert_eq!(last_lines("", 1), ("", 0));
    }
}
