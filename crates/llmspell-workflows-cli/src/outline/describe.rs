//! Descriptions of steps.

use llmspell_workflows_basic::model::{
    Aggregation, Definition, Delay, ErrorMode, IterationMode, Loop, LoopSource, Parallel, Retry, Step, StepKind,
    ValidateMode,
};
use serde_json::{Value, json};

/// Returns a workflow's name and version.
pub(crate) fn title(definition: &Definition) -> String {
    format!("{} {}", definition.name, definition.version).trim().to_owned()
}

/// Describes what a step does: `tool web_searcher`, `loop over {{ pages }}, at most 4 at once`.
pub(crate) fn what(step: &Step) -> String {
    match &step.kind {
        StepKind::Activity(call) => format!("{} {}", call.activity.kind, call.activity.name).trim().to_owned(),
        StepKind::Loop(inner) => repetition(inner),
        StepKind::Parallel(parallel) => parallel_words(parallel),
        StepKind::Route(route) => format!("route from {}", route.start),
        StepKind::Sleep(delay) => format!("sleep {delay}"),
        StepKind::Workflow(sub) => format!("workflow {}", sub.workflow),
        StepKind::WaitForEvent(wait) => format!("wait for the event {}", wait.event),
        StepKind::Set(values) => {
            let keys: Vec<_> = values.keys().map(String::as_str).collect();
            format!("set {}", keys.join(", "))
        }
        StepKind::Validate(check) if check.mode == ValidateMode::Warn => "validate (warns only)".to_owned(),
        kind => kind.as_str().to_owned(),
    }
}

fn repetition(inner: &Loop) -> String {
    let mut words = match &inner.over {
        LoopSource::Items(items) => format!("loop over {}", shown(items)),
        LoopSource::Range { start, end, step } if *step == json!(1) => {
            format!("loop from {} to {} (exclusive)", shown(start), shown(end))
        }
        LoopSource::Range { start, end, step } => {
            format!("loop from {} to {} (exclusive) in steps of {}", shown(start), shown(end), shown(step))
        }
        LoopSource::While(condition) => format!("loop while {condition}"),
    };
    if let Some(condition) = &inner.until {
        words += &format!(", until {condition}");
    }
    if let Some(most) = inner.max_iterations {
        words += &format!(", at most {most} iterations");
    }
    words + &at_once(inner.mode == IterationMode::Parallel, inner.max_parallelism)
}

fn parallel_words(parallel: &Parallel) -> String {
    let mut words = "parallel".to_owned();
    if parallel.aggregation != Aggregation::All {
        words += &format!(", {} must succeed", parallel.aggregation);
    }
    match parallel.error_mode {
        ErrorMode::FailSlow => {}
        ErrorMode::FailFast => words += ", a failure cancels the rest",
        ErrorMode::BestEffort => words += ", failures are left out",
    }
    words + &parallel.max_parallelism.map(|most| format!(", at most {most} at once")).unwrap_or_default()
}

fn at_once(is_parallel: bool, most: Option<u32>) -> String {
    match (is_parallel, most) {
        (false, _) => String::new(),
        (true, None) => ", at once".to_owned(),
        (true, Some(most)) => format!(", at most {most} at once"),
    }
}

/// Renders a value as one short line.
fn shown(value: &Value) -> String {
    const CHARS: usize = 60;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() <= CHARS { text } else { text.chars().take(CHARS - 1).chain(['…']).collect() }
}

pub(super) fn retry_words(retry: &Value) -> String {
    let attempts = &retry["attempts_max"];
    match retry["backoff"].as_str() {
        _ if *attempts == 1 => "1 attempt".to_owned(),
        Some("immediate") | None => format!("up to {attempts} attempts"),
        Some(backoff) => {
            let delay = retry["initial_delay"].as_str().unwrap_or_default();
            format!("up to {attempts} attempts ({backoff} from {delay})")
        }
    }
}

/// Converts a retry policy to JSON for programs, with durations as strings.
pub(super) fn retry_data(retry: &Retry) -> Value {
    let delay = |duration| Delay::Fixed(duration).to_string();
    json!({
        "attempts_max": retry.attempts_max,
        "backoff": retry.backoff,
        "initial_delay": delay(retry.initial_delay),
        "delay_max": delay(retry.delay_max),
        "multiplier": retry.multiplier,
        "jitter": retry.jitter,
        "on_errors": retry.on_errors,
        "on_status_codes": retry.on_status_codes,
        "on_exit_codes": retry.on_exit_codes,
        "duration_max": retry.duration_max.map(delay),
    })
}
