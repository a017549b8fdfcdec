use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::CancelReason;
use crate::{
    ErrorClass, StepError,
    state::{Change, SharedValue},
};

/// The result of executing a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The step completed.
    Completed(Output),
    /// The step was skipped, for this reason.
    Skipped(SkipReason),
    /// The step failed permanently.
    Failed(Failure),
    /// The step was cancelled.
    Cancelled(Box<Cancelled>),
    /// The step waits without using a thread or a task.
    Parked(Wait),
    /// The step itself or steps inside it are stuck and must be resolved manually.
    ///
    /// A block with a stuck step waits as long as any of its other steps waits, and becomes stuck
    /// once they have all ended. A stuck step does not cause an enclosing step to be retried,
    /// compensated or ended.
    Stuck(Vec<StuckStep>),
}

/// The output of a completed step. A step changes its run only through its output.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Output {
    /// The value that later steps see.
    pub value: SharedValue,
    /// The step's changes to the run's state, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state_changes: Vec<Change>,
}

impl Output {
    /// Creates an output without state changes.
    pub fn new(value: impl Into<SharedValue>) -> Self {
        Self { value: value.into(), state_changes: Vec::new() }
    }
}

/// Why a step did not run: a code and a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipReason {
    /// One of `condition_false`, `condition_unevaluable`, `dependency_failed`, `dependencies_skipped`,
    /// `trigger_rule`, `before_starting_step`, `trigger_false`, or a code of an interceptor.
    pub code: Cow<'static, str>,
    /// A description of the reason.
    pub message: String,
}

impl SkipReason {
    /// Creates a reason.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A failure, and whether it is handled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Why the step failed.
    pub error: Box<StepError>,
    /// Whether the step has `on_error: continue`, so the enclosing steps continue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handled: bool,
    /// The errors of cleanup steps that failed after this failure, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_errors: Vec<StepError>,
}

impl Failure {
    /// Creates an unhandled failure.
    pub fn new(error: impl Into<Box<StepError>>) -> Self {
        Self { error: error.into(), handled: false, later_errors: Vec::new() }
    }

    /// Adds the errors of cleanup steps that failed later.
    #[must_use]
    pub fn with_later_errors(mut self, errors: impl IntoIterator<Item = StepError>) -> Self {
        self.later_errors.extend(errors);
        self
    }
}

/// Why a step was cancelled, and the activities left behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Why the step was cancelled.
    pub reason: CancelReason,
    /// Paths of activities that did not stop within the grace period and were dropped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aborted: Vec<String>,
    /// Paths of activities that block their thread and are still running.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_running: Vec<String>,
    /// The errors of cleanup steps that failed after the cancellation, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_errors: Vec<StepError>,
}

impl Cancelled {
    /// Creates a cancellation that left nothing behind.
    #[must_use]
    pub fn new(reason: CancelReason) -> Self {
        Self { reason, aborted: Vec::new(), still_running: Vec::new(), later_errors: Vec::new() }
    }

    /// Adds the activities left behind by `other`.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.aborted.extend(other.aborted);
        self.still_running.extend(other.still_running);
        self.later_errors.extend(other.later_errors);
    }

    /// Converts the cancellation to an error.
    pub(crate) fn to_error(&self) -> StepError {
        let message = format!("{}{}", self.reason.as_str(), self.left_behind());
        StepError::new(ErrorClass::Cancelled, "cancelled", message)
    }

    /// Describes the activities left behind; returns an empty string if there are none.
    #[must_use]
    pub fn left_behind(&self) -> String {
        let mut text = String::new();
        if !self.aborted.is_empty() {
            text += &format!("; dropped after the grace period: {}", self.aborted.join(", "));
        }
        if !self.still_running.is_empty() {
            text += &format!("; still running despite the request to stop: {}", self.still_running.join(", "));
        }
        text
    }
}

/// Why a step is parked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wait {
    /// When the step continues, if it waits for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// The number of the last message seen by the step, if it waits for a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox_after: Option<u64>,
}

impl Wait {
    /// Combines two waits, with the earlier time and the lower message number.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let earliest = |one: Option<Timestamp>, two: Option<Timestamp>| match (one, two) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        let inbox_after = match (self.inbox_after, other.inbox_after) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { wake_at: earliest(self.wake_at, other.wake_at), inbox_after }
    }
}

/// A step that must be resolved manually, because its outcome is unknown or it cannot be undone.
///
/// A stuck step is displayed as its path, preceded by the paths of the sub-workflow steps that enclose its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StuckStep {
    /// The paths of the sub-workflow steps that enclose the step's run, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<String>,
    /// The path of the step in its own run.
    pub path: String,
    /// Why the step is stuck.
    pub error: Box<StepError>,
}

impl StuckStep {
    /// Creates a stuck step of the run itself.
    pub fn new(path: impl Into<String>, error: StepError) -> Self {
        Self { around: Vec::new(), path: path.into(), error: Box::new(error) }
    }

    /// Converts this to a stuck step of the parent run, in which the step at `path` is the sub-workflow.
    #[must_use]
    pub fn inside(mut self, path: impl Into<String>) -> Self {
        self.around.insert(0, path.into());
        self
    }
}

impl fmt::Display for StuckStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.around.iter().try_for_each(|path| f.write_str(path))?;
        f.write_str(&self.path)
    }
}

/// The steps of a block that wait or are stuck.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnfinishedSteps {
    wait: Option<Wait>,
    waiting: usize,
    stuck: Vec<StuckStep>,
}

impl UnfinishedSteps {
    /// Adds a parked or stuck step; returns any other outcome.
    pub(crate) fn take(&mut self, outcome: Outcome) -> Option<Outcome> {
        match outcome {
            Outcome::Parked(wait) => {
                self.waiting += 1;
                self.wait = Some(self.wait.take().map_or(wait.clone(), |other| other.and(wait)));
                None
            }
            Outcome::Stuck(steps) => {
                self.stuck.extend(steps);
                None
            }
            ended @ (Outcome::Completed(_) | Outcome::Skipped(_) | Outcome::Failed(_) | Outcome::Cancelled(_)) => {
                Some(ended)
            }
        }
    }

    /// Returns the number of waiting steps. A waiting step counts towards the limit on concurrent
    /// steps: if another step began in its place, the run would be resumed for that step again and
    /// again until the wait ends.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns the resulting outcome of the block; `None` if no step waits or is stuck.
    pub(crate) fn outcome(self) -> Option<Outcome> {
        match self {
            Self { wait: Some(wait), .. } => Some(Outcome::Parked(wait)),
            Self { wait: None, stuck, .. } if !stuck.is_empty() => Some(Outcome::Stuck(stuck)),
            Self { .. } => None,
        }
    }

    /// Returns `ended`, the outcome of a block that does not need its waiting steps. If there are
    /// stuck steps, returns a stuck outcome instead, unless the process is shutting down.
    pub(crate) fn stuck_or(self, ended: Outcome) -> Outcome {
        let shuts_down = matches!(&ended, Outcome::Cancelled(cancelled) if cancelled.reason == CancelReason::Shutdown);
        if self.stuck.is_empty() || shuts_down { ended } else { Outcome::Stuck(self.stuck) }
    }
}

impl Outcome {
    /// Creates the outcome of a step that completed without state changes.
    pub fn completed(value: impl Into<SharedValue>) -> Self {
        Self::Completed(Output::new(value))
    }

    /// Creates the outcome of a step that failed.
    #[must_use]
    pub fn failed(error: StepError) -> Self {
        Self::Failed(Failure::new(error))
    }

    /// Returns whether the step has ended, that is, whether it is neither parked nor stuck.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Completed(_) | Self::Skipped(_) | Self::Failed(_) | Self::Cancelled(_) => true,
            Self::Parked(_) | Self::Stuck(_) => false,
        }
    }

    /// Returns the outcome of a cancelled step.
    #[must_use]
    pub fn cancelled(cancelled: Cancelled) -> Self {
        Self::Cancelled(Box::new(cancelled))
    }

    /// Returns the errors of cleanup steps that failed after the run had failed or had been cancelled.
    #[must_use]
    pub fn later_errors(&self) -> &[StepError] {
        match self {
            Self::Failed(failure) => &failure.later_errors,
            Self::Cancelled(cancelled) => &cancelled.later_errors,
            Self::Completed(_) | Self::Skipped(_) | Self::Parked(_) | Self::Stuck(_) => &[],
        }
    }

    /// Returns the error of a failed step.
    #[must_use]
    pub fn error(&self) -> Option<&StepError> {
        match self {
            Self::Failed(failure) => Some(&failure.error),
            _ => None,
        }
    }
}

impl From<Result<Output, StepError>> for Outcome {
    fn from(result: Result<Output, StepError>) -> Self {
        match result {
            Ok(output) => Self::Completed(output),
            Err(error) => Self::failed(error),
        }
    }
}
