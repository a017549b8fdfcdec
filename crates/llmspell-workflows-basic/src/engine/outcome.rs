use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::CancelReason;
use crate::{
    ErrorClass, StepError,
    state::{Change, SharedValue},
};

/// How the execution of a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it should.
    Completed(Output),
    /// It did not run, for a reason.
    Skipped(SkipReason),
    /// It failed for good.
    Failed(Failure),
    /// It was stopped.
    Cancelled(Cancelled),
    /// It waits for something, and holds no thread and no task until then.
    Parked(Wait),
    /// Somebody has to say what became of these steps, which are it or inside of it.
    ///
    /// A block with a stuck step is stuck as soon as its other steps have ended or wait; one of them that waits keeps
    /// the block waiting. Nothing above a stuck step is retried, compensated or ended because of it.
    Stuck(Vec<StuckStep>),
}

/// What a completed step gives: it changes the run through this alone.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Output {
    /// What later steps see.
    pub value: SharedValue,
    /// What it changes in the run's state, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state_changes: Vec<Change>,
}

impl Output {
    /// An output that changes no state.
    pub fn new(value: impl Into<SharedValue>) -> Self {
        Self { value: value.into(), state_changes: Vec::new() }
    }
}

/// Why a step did not run, in words and for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipReason {
    /// One of `condition_false`, `condition_unevaluable`, `dependency_failed`, `dependencies_skipped`,
    /// `trigger_rule`, `before_starting_step`, `trigger_false`, or an interceptor's own.
    pub code: Cow<'static, str>,
    /// The reason in words.
    pub message: String,
}

impl SkipReason {
    /// The reason `code`, in words `message`.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A failure, and whether the step itself said that the steps around it go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub error: Box<StepError>,
    /// Whether the step's `on_error: continue` has dealt with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handled: bool,
}

/// That a step was stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Why.
    pub reason: CancelReason,
    /// Paths of activities that did not stop within the grace and were dropped where they stood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aborted: Vec<String>,
    /// Paths of activities that block their thread and run on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_running: Vec<String>,
}

impl Cancelled {
    /// Stopped for `reason`, with nothing left behind.
    #[must_use]
    pub fn new(reason: CancelReason) -> Self {
        Self { reason, aborted: Vec::new(), still_running: Vec::new() }
    }

    /// Adds what `other` left behind.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.aborted.extend(other.aborted);
        self.still_running.extend(other.still_running);
    }

    /// That it was stopped, as an error.
    pub(crate) fn to_error(&self) -> StepError {
        let message = format!("{}{}", self.reason.as_str(), self.left_behind());
        StepError::new(ErrorClass::Cancelled, "cancelled", message)
    }

    /// What was left behind in words; empty where nothing was.
    #[must_use]
    pub fn left_behind(&self) -> String {
        let mut text = String::new();
        if !self.aborted.is_empty() {
            text += &format!("; did not stop when asked to and was dropped: {}", self.aborted.join(", "));
        }
        if !self.still_running.is_empty() {
            text += &format!("; ignores the request to stop and still runs: {}", self.still_running.join(", "));
        }
        text
    }
}

/// What a parked step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wait {
    /// The time at which it goes on, if it waits for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
    /// The number of the last message it has seen, if it waits for a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox_after: Option<u64>,
}

impl Wait {
    /// What both wait for: the earliest of each.
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

/// A step whose outcome is unknown, or that cannot be undone: it has to be resolved by hand.
///
/// It is shown as its path, behind the paths of the sub-workflow steps around its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StuckStep {
    /// The steps that are the runs around its own, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub around: Vec<String>,
    /// The step, in its own run.
    pub path: String,
    /// Why it is stuck.
    pub error: Box<StepError>,
}

impl StuckStep {
    /// The step at `path` of the run itself.
    pub fn new(path: impl Into<String>, error: StepError) -> Self {
        Self { around: Vec::new(), path: path.into(), error: Box::new(error) }
    }

    /// The same step as seen from the run around its own, where the step at `path` is that run.
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

/// The steps of a block that have not ended although they no longer run: those that wait, and those that are stuck.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unended {
    wait: Option<Wait>,
    stuck: Vec<StuckStep>,
}

impl Unended {
    /// Takes in how a step came back; an outcome that is an end is given back.
    pub(crate) fn take(&mut self, outcome: Outcome) -> Option<Outcome> {
        match outcome {
            Outcome::Parked(wait) => {
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

    /// How the block comes back because of them, if it does.
    pub(crate) fn outcome(self) -> Option<Outcome> {
        match self {
            Self { wait: Some(wait), .. } => Some(Outcome::Parked(wait)),
            Self { wait: None, stuck } if !stuck.is_empty() => Some(Outcome::Stuck(stuck)),
            Self { .. } => None,
        }
    }

    /// How the block comes back that would end with `ended` whatever still waits: steps that are stuck keep it from
    /// that, unless the process shuts down.
    pub(crate) fn over(self, ended: Outcome) -> Outcome {
        let shuts_down = matches!(&ended, Outcome::Cancelled(cancelled) if cancelled.reason == CancelReason::Shutdown);
        if self.stuck.is_empty() || shuts_down { ended } else { Outcome::Stuck(self.stuck) }
    }
}

impl Outcome {
    /// Completed with `value`, changing no state.
    pub fn completed(value: impl Into<SharedValue>) -> Self {
        Self::Completed(Output::new(value))
    }

    /// Failed with `error`.
    #[must_use]
    pub fn failed(error: StepError) -> Self {
        Self::Failed(Failure { error: Box::new(error), handled: false })
    }

    /// Whether it is an end: everything but parked and stuck.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Completed(_) | Self::Skipped(_) | Self::Failed(_) | Self::Cancelled(_) => true,
            Self::Parked(_) | Self::Stuck(_) => false,
        }
    }

    /// The error, if it failed.
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
