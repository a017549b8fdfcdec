//! Explains why a run is or is not waiting at the end of a case, and how to change the test.

use llmspell_workflows_basic::{
    ErrorClass,
    engine::{StepRecord, StepStatus},
};
use serde_json::json;

use super::{Case, Ended, watch::WaitingStep};

/// Describes what each waiting step waits for, and how to change the test so that the step can
/// continue.
pub(super) fn waiting(case: &Case, ended: &Ended) -> String {
    let mut lines: Vec<String> = ended.waits.iter().map(|(path, wait)| wait_line(path, wait, case)).collect();
    if lines.is_empty() {
        let waiting = |status| matches!(status, StepStatus::Running | StepStatus::Waiting);
        let steps = ended.steps.iter().filter(|record| record.is_leaf && waiting(record.status));
        let steps: Vec<_> = steps.map(|record| record.path.to_string()).collect();
        lines.push(format!("nothing can continue the run; unfinished steps: {}", steps.join(", ")));
    }
    lines.join("\n")
}

/// Returns the run's error, its origin in a sub-workflow, and advice about events that never
/// arrived.
pub(super) fn failed(case: &Case, ended: &Ended) -> String {
    let Some(error) = &ended.finished.error else { return String::new() };
    let mut lines = vec![error.to_string()];
    if error.code == "child_failed" {
        let inside = format!("{}/main/", error.path.as_deref().unwrap_or_default());
        let failed = |step: &&StepRecord| step.is_leaf && step.status == StepStatus::Failed;
        for step in ended.steps.iter().filter(failed).filter(|step| step.path.to_string().starts_with(&inside)) {
            let error = step.error.iter().map(|error| format!("{}: {} [{}]", step.path, error.message, error.code));
            lines.extend(error);
        }
    }
    // A timeout of the run or of an enclosing step cancels the wait.
    let is_timeout = error.class == ErrorClass::Timeout;
    let is_unmet = |step: &StepRecord| match step.status {
        StepStatus::Failed => true,
        StepStatus::Cancelled => is_timeout,
        _ => false,
    };
    for (event, path) in &ended.awaited {
        let is_sent = case.messages.iter().any(|message| message.is_signal(event));
        if !is_sent && ended.steps.iter().any(|step| is_unmet(step) && step.path.to_string() == *path) {
            lines.push(format!("{path} waited for the event `{event}`; {}", to_send(event)));
        }
    }
    lines.join("\n")
}

fn to_send(event: &str) -> String {
    format!("to send it, add `messages: [{{signal: {}, data: …}}]` to the case", scalar(event))
}

fn wait_line(path: &str, wait: &WaitingStep, case: &Case) -> String {
    let length = wait.until.map(|until| format!("{:#}", until.duration_since(wait.since)));
    let Some(event) = &wait.event else {
        return format!("{path} waits for {}; raise or remove `stop_after`", length.unwrap_or_default());
    };
    let time = length.as_ref().map(|length| format!(" for at most {length}")).unwrap_or_default();
    let advice = if case.messages.iter().any(|message| message.is_signal(event)) {
        "its signals in `messages` were refused by its `filter`, received by other steps, or due only after `stop_after`"
            .to_owned()
    } else {
        let time_out = if length.is_some() { "; to let it time out, raise or remove `stop_after`" } else { "" };
        format!("{}{time_out}", to_send(event))
    };
    format!("{path} waits for the event `{event}`{time}; {advice}")
}

/// Explains why a run that should be waiting has ended.
pub(super) fn not_waiting(case: &Case, ended: &Ended) -> String {
    let error = ended.finished.error.as_ref().map(|error| format!("{error}\n")).unwrap_or_default();
    let advice = match case.stop_after {
        Some(_) => "the run ended before `stop_after`",
        None => {
            "in a test, time passes until the run ends; to stop it earlier, add `stop_after` to the case, such as \
                 `stop_after: 1h`"
        }
    };
    format!("{error}{advice}")
}

/// Returns `text` as a scalar for a YAML mapping in braces.
pub(super) fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
    if is_plain { text.to_owned() } else { json!(text).to_string() }
}
