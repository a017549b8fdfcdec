//! The parts of a report.

use std::borrow::Cow;

use jiff::Timestamp;
use llmspell_workflows_advanced::{KnownRun, PastStep, RunWait};
use llmspell_workflows_basic::{
    RunStatus, StepError,
    engine::{Awaited, Outcome, SkipReason, StepRecord, StepStatus, Warning},
    state::SharedValue,
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{errors_inside, metrics::between, milliseconds, next_command, output};

/// A step of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Step<'f> {
    pub(crate) path: String,
    /// The display name; for a recorded run, the name in the definition.
    pub(crate) name: Option<Cow<'f, str>>,
    pub(crate) status: &'static str,
    pub(super) attempts: u32,
    duration_ms: Option<f64>,
    pub(crate) output: Option<&'f SharedValue>,
    pub(crate) error: Option<Error<'f>>,
    pub(crate) skip_reason: Option<&'f SkipReason>,
    /// The event or time that the step waits for, with the start and the end of the wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waits_for: Option<&'f Awaited>,
}

/// A waiting step.
#[derive(Debug, Serialize)]
pub(super) struct ReportedWait<'f> {
    /// The path of the step, preceded by the paths of the enclosing `workflow` steps.
    path: &'f str,
    run_id: String,
    /// The event that the step waits for; `null` if the step waits only for a time.
    #[serde(rename = "for")]
    event: Option<&'f str>,
    since: String,
    until: Option<String>,
    /// The condition that an event must meet; `null` if there is none.
    filter: Option<&'f str>,
    /// The events that have arrived but do not meet the condition.
    not_accepted: NotAccepted<'f>,
    /// The command that ends the wait.
    command: Option<String>,
}

/// Events not accepted by a step's filter.
#[derive(Debug, Serialize)]
struct NotAccepted<'f> {
    count: usize,
    /// The data of the last such event.
    last: Option<&'f Value>,
}

/// A warning about a run.
#[derive(Debug, Serialize)]
pub(super) struct ReportedWarning<'f> {
    path: &'f str,
    code: &'f str,
    message: &'f str,
    /// The time of the warning; `null` for a run in memory.
    at: Option<String>,
}

/// The error of a failed run or step.
#[derive(Debug, Serialize)]
pub(crate) struct Error<'f> {
    pub(crate) code: &'f str,
    class: &'static str,
    pub(crate) message: &'f str,
    /// The path of the step; in a sub-workflow, the path begins with the path of the `workflow`
    /// step.
    path: Option<Cow<'f, str>>,
    retryable: bool,
    /// The errors of a block's inner steps, if the block failed because of several errors.
    errors: &'f [Value],
    cause: Option<Box<Self>>,
}

impl<'f> Step<'f> {
    pub(super) fn new(record: &'f StepRecord, name: Option<Cow<'f, str>>) -> Self {
        Self {
            path: record.path.to_string(),
            name,
            status: record.status.as_str(),
            attempts: if record.status == StepStatus::Skipped { 0 } else { record.attempts },
            duration_ms: record.ended_at.map(|ended_at| milliseconds(between(record.started_at, ended_at))),
            output: record.output.as_ref(),
            error: record.error.as_ref().map(Error::new),
            skip_reason: record.skip_reason.as_ref(),
            waits_for: None,
        }
    }

    /// Reports a recorded step of `known`.
    pub(super) fn past(step: &'f PastStep, known: &KnownRun) -> Self {
        let status = match (step.status(), known.status()) {
            // No process is running the step anymore, so the step is in the state of its run.
            (
                StepStatus::Running,
                run @ (RunStatus::Waiting | RunStatus::Paused | RunStatus::Interrupted | RunStatus::Stuck),
            ) if known.holder.is_none() => run.as_str(),
            (StepStatus::Running, _) if known.holder.is_none() => StepStatus::Pending.as_str(),
            (status, _) => status.as_str(),
        };
        let took = step.began.zip(step.ended).map(|(began, ended)| ended.saturating_sub(began));
        Self {
            path: step.path.clone(),
            name: None,
            status,
            attempts: if step.status() == StepStatus::Skipped { 0 } else { step.attempts },
            duration_ms: took.map(milliseconds),
            output: step.outcome.as_ref().and_then(output),
            error: step.outcome.as_ref().and_then(Outcome::error).or(step.recovered.as_ref()).map(Error::new),
            skip_reason: step.skip_reason(),
            waits_for: step.waits.as_ref(),
        }
    }
}

impl<'f> ReportedWait<'f> {
    pub(super) fn new(wait: &'f RunWait, root: Uuid) -> Self {
        let Awaited { signal, since, until } = &wait.awaited;
        let not_accepted = wait.filter.as_ref().map(|filter| &*filter.not_accepted).unwrap_or_default();
        Self {
            path: &wait.path,
            run_id: wait.run.to_string(),
            event: signal.as_deref(),
            since: since.to_string(),
            until: until.map(|until| until.to_string()),
            filter: wait.filter.as_ref().map(|filter| &*filter.condition),
            not_accepted: NotAccepted {
                count: not_accepted.len(),
                last: not_accepted.last().map(|signal| &signal.data),
            },
            command: next_command(wait, root),
        }
    }
}

impl<'f> ReportedWarning<'f> {
    pub(super) fn new(warning: &'f Warning, at: Option<Timestamp>) -> Self {
        let Warning { code, path, message } = warning;
        Self { path, code, message, at: at.map(|at| at.to_string()) }
    }
}

impl<'f> Error<'f> {
    pub(crate) fn new(error: &'f StepError) -> Self {
        Self::inside(error, "")
    }

    /// Creates the description of an error in a sub-workflow whose step is at `around`.
    fn inside(error: &'f StepError, around: &str) -> Self {
        let StepError { class, code, message, path, retryable, cause, .. } = error;
        let errors = errors_inside(error).map(Vec::as_slice).unwrap_or_default();
        let path = path.as_deref().map(|path| match around {
            "" => Cow::Borrowed(path),
            around => Cow::Owned(format!("{around}{path}")),
        });
        let inner = if *code == "child_failed" { path.as_deref().unwrap_or(around) } else { around };
        let cause = cause.as_deref().map(|cause| Box::new(Self::inside(cause, inner)));
        Self { code, class: class.as_str(), message, path, retryable: *retryable, errors, cause }
    }
}

/// Returns a line for each cause of `error`, outermost first. In a sub-workflow, the path of a step
/// begins with the path of the `workflow` step.
pub(crate) fn causes(error: &StepError) -> Vec<String> {
    let error = Error::new(error);
    std::iter::successors(error.cause.as_deref(), |error| error.cause.as_deref())
        .map(|cause| {
            let path = cause.path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
            format!("caused by {path}{} [{}]", cause.message, cause.code)
        })
        .collect()
}

#[test]
fn causes_inside_sub_workflows_have_full_paths() {
    let error = |code: &'static str, path: &str| StepError::configuration(code, "failed").at(path);
    let inner = error("child_failed", "/main/b").with_cause(error("process_failed", "/main/c"));
    let outer = error("branches_failed", "/main").with_cause(error("child_failed", "/main/a").with_cause(inner));
    let expected = [
        "caused by /main/a: failed [child_failed]",
        "caused by /main/a/main/b: failed [child_failed]",
        "caused by /main/a/main/b/main/c: failed [process_failed]",
    ];
    assert_eq!(causes(&outer), expected);
}
