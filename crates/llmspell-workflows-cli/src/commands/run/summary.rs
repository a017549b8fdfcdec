//! The result of a run, for people: the run's output goes to standard output, and the rest to
//! standard error.

use std::{path::Path, time::Duration};

use llmspell_workflows_basic::{
    BytesForm, Finished, RunStatus, StepError, StepPath,
    activity::OutputLine,
    engine::{StepStatus, Warning},
    model::Definition,
};

use crate::{
    commands::runs::WrittenPaths,
    output::{Output, Paint},
    report::{Counts, causes},
    show,
    watch::{elapsed, sign},
};

/// The number of lines shown from the end of a failed process's output.
const LINES_SHOWN: usize = 10;

pub(super) fn show(
    output: Output,
    definition: &Definition,
    finished: &Finished,
    file: Option<&Path>,
    written: Option<&WrittenPaths>,
    is_durable: bool,
) {
    warnings(output, finished);
    output.note(&headline(output, definition, finished));
    if let Some(error) = &finished.error {
        let can_retry = finished.status == RunStatus::Failed || !finished.later_errors.is_empty();
        let retry = || can_retry.then(|| format!("spellflow retry {}", finished.run_id));
        let path = error.path.as_deref().unwrap_or("/main");
        let next = if is_durable { retry() } else { next_command(definition, path, file) };
        failure(output, error, path);
        logs(output, error, written);
        for error in &finished.later_errors {
            later_failure(output, error);
            logs(output, error, written);
        }
        if let Some(next) = next {
            output.note(&format!("  next: {next}"));
        }
    }
    output.text(&show::value(&finished.output));
}

/// Shows each warning on its own line, followed by the number of dropped warnings.
pub(super) fn warnings(output: Output, finished: &Finished) {
    finished.warnings.iter().for_each(|one| warning(output, one));
    if finished.warnings_dropped > 0 {
        let more = counted(finished.warnings_dropped, "further warning", "further warnings");
        let head = output.on_err(Paint::Warn, "! warning  ");
        output
            .note(&format!("{head} {more} not kept, because the limit `warnings_max` is {}", finished.warnings.len()));
    }
}

fn warning(output: Output, warning: &Warning) {
    let head = output.on_err(Paint::Warn, "! warning  ");
    output.note(&format!("{head} {}  {} [{}]", warning.path, warning.message, warning.code));
}

fn headline(output: Output, definition: &Definition, finished: &Finished) -> String {
    let (status, paint) = match finished.status {
        RunStatus::Completed => (StepStatus::Completed, Paint::Good),
        RunStatus::Cancelled => (StepStatus::Cancelled, Paint::Warn),
        _ => (StepStatus::Failed, Paint::Bad),
    };
    let metrics = Counts::of_finished(finished);
    let took = elapsed(Duration::from_secs_f64(metrics.duration_ms / 1000.0));
    let mut counts = vec![counted(metrics.steps_executed as u64, "step", "steps")];
    if metrics.steps_skipped > 0 {
        counts.push(format!("{} skipped", metrics.steps_skipped));
    }
    if metrics.retries > 0 {
        counts.push(counted(metrics.retries, "retry", "retries"));
    }
    let head = output.on_err(paint, &format!("{} {}", sign(status), finished.status.as_str()));
    format!("{head} {} in {took}: {}", definition.name, counts.join(", "))
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Shows the failure of a cleanup step that failed after the run had failed.
fn later_failure(output: Output, error: &StepError) {
    let head = output.on_err(Paint::Bad, &format!("later error[{}]", error.code));
    output.note(&format!("{head}: {}", error.message));
    output.note(&format!("  --> {}, attempt {}", error.path.as_deref().unwrap_or("/main"), error.attempt.max(1)));
}

/// Shows where and why the run failed, and the help.
fn failure(output: Output, error: &StepError, path: &str) {
    let head = output.on_err(Paint::Bad, &format!("error[{}]", error.code));
    output.note(&format!("{head}: {}", error.message));
    output.note(&format!("  --> {path}, attempt {}", error.attempt.max(1)));
    let detail = |name: &str| error.details.as_ref().and_then(|details| details.get(name)?.as_str());
    let form = detail("stderr_type").and_then(BytesForm::from_name).unwrap_or(BytesForm::Text);
    let written = form.shown(detail("stderr").unwrap_or_default());
    let lines: Vec<_> = written.lines().collect();
    if lines.len() > 1 {
        lines[lines.len().saturating_sub(LINES_SHOWN)..].iter().for_each(|line| {
            output.note(&format!("   | {}", OutputLine::last_state(line)));
        });
    }
    causes(error).iter().for_each(|cause| output.note(&format!("  {cause}")));
    if let Some(help) = help(error) {
        output.note(&format!("  help: {help}"));
    }
}

/// Prints the command that shows the output of the failed step, if the step wrote any.
pub(super) fn logs(output: Output, error: &StepError, written: Option<&WrittenPaths>) {
    if let Some(command) = written.and_then(|written| written.command(error)) {
        output.note(&format!("  logs: {command}"));
    }
}

fn help(error: &StepError) -> Option<&'static str> {
    let mut causes = std::iter::successors(Some(error), |error| error.cause.as_deref());
    match causes.find_map(|error| error.details.as_ref()?.get("retries_ended_by")?.as_str()) {
        Some("max_retry_budget") => return Some("raise `max_retry_budget`, which the retries of all steps share"),
        Some("max_duration") => return Some("raise `max_duration`, which ends the retries of the step"),
        _ => {}
    }
    if error.details.as_ref().is_some_and(|details| details["limit"] == "total_timeout") {
        return Some("raise the step's `total_timeout`, which all its attempts share");
    }
    Some(match &*error.code {
        "process_failed" => "`allow_failure: true` accepts any exit code as a result",
        "command_not_found" | "program_not_found" => "install the program, or give its absolute path",
        "program_not_allowed" => "`tools.programs` in `spellflow.toml` lists the programs that may be started",
        "path_outside_roots" => "`--root DIR` lets tools use another folder",
        "host_refused" => "`--allow-host HOST` lets tools connect to the host",
        "missing_secret" => "`[secrets]` in `spellflow.toml` names the environment variable of each secret",
        "event_timeout" => "send an event that the step's `filter` accepts, or raise the step's `timeout`",
        "run_timed_out" => "`--timeout` and `timeouts.total` of the definition limit the steps of a run",
        _ if error.class == llmspell_workflows_basic::ErrorClass::Timeout => "raise the step's `timeout`",
        _ if error.retryable && error.attempt > 1 => {
            "more attempts may help: raise `max_attempts` of the step's `retries`"
        }
        _ if error.retryable => "another attempt may help: `retries: 2` on the step allows two more",
        _ => return None,
    })
}

/// Suggests starting at the failed step if it is in the root list but is not the first step;
/// otherwise, suggests showing all details.
fn next_command(definition: &Definition, path: &str, file: Option<&Path>) -> Option<String> {
    let file = crate::report::shell_word(&file.filter(|file| file.as_os_str() != "-")?.display().to_string());
    let path: StepPath = path.parse().ok()?;
    let id = path.segments().get(1)?.id.to_string();
    let list = match &definition.body {
        llmspell_workflows_basic::model::StepKind::Sequence(steps) => steps,
        _ => return Some(format!("spellflow run {file} -o json")),
    };
    let position = list.iter().position(|step| step.id == id)?;
    Some(match position {
        0 => format!("spellflow run {file} -o json"),
        _ => format!("spellflow run {file} --start-step {id}   (without the outputs of earlier steps)"),
    })
}
