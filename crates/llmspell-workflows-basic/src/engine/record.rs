use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Outcome, SkipReason};
use crate::{PathLink, StepError, StepPath, plan::Node};

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// At work.
    Running,
    /// Parked until a time or a message comes.
    Waiting,
    /// Did what it should.
    Completed,
    /// Failed for good.
    Failed,
    /// Did not run, for a reason.
    Skipped,
    /// Was stopped.
    Cancelled,
}

impl StepStatus {
    /// The status as programs read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a run knows of one executed step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    /// Where it stands.
    pub path: StepPath,
    /// Its name with references resolved, if it has one.
    pub name: Option<String>,
    /// Whether it did something itself rather than run other steps.
    pub is_leaf: bool,
    /// How far it has come.
    pub status: StepStatus,
    /// How many attempts it took.
    pub attempts: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it gave.
    pub output: Option<Arc<Value>>,
    /// Why it failed, was stopped, or was dealt with by its `on_error`.
    pub error: Option<StepError>,
    /// Why it did not run.
    pub skip_reason: Option<SkipReason>,
}

/// All steps of a run in the order in which they began.
#[derive(Default)]
pub(crate) struct Records(Vec<Record>);

struct Record {
    path: PathLink,
    node: Arc<Node>,
    name: Option<Box<str>>,
    status: StepStatus,
    attempts: u32,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    /// Whether it was given up on while it ran; how it ends after that counts no more.
    abandoned: bool,
    result: Ending,
    /// The failure that its `on_error` steps dealt with.
    recovered: Option<Box<StepError>>,
}

enum Ending {
    None,
    Output(Arc<Value>),
    Error(Box<StepError>),
    Skipped(Box<SkipReason>),
}

impl Records {
    /// Notes that a step begins; returns the record's number.
    pub(crate) fn begin(&mut self, path: PathLink, node: Arc<Node>, now: Timestamp) -> usize {
        self.0.push(Record {
            path,
            node,
            name: None,
            status: StepStatus::Running,
            attempts: 1,
            started_at: now,
            ended_at: None,
            abandoned: false,
            result: Ending::None,
            recovered: None,
        });
        self.0.len() - 1
    }

    pub(crate) fn name(&mut self, number: usize, name: &str) {
        self.0[number].name = Some(name.into());
    }

    pub(crate) fn attempts(&mut self, number: usize, attempts: u32) {
        self.0[number].attempts = attempts;
    }

    /// Notes how a step ended.
    pub(crate) fn end(&mut self, number: usize, outcome: &Outcome, now: Timestamp) {
        let record = &mut self.0[number];
        if record.abandoned {
            return;
        }
        record.ended_at = Some(now);
        (record.status, record.result) = match outcome {
            Outcome::Completed(output) => (StepStatus::Completed, Ending::Output(output.value.clone())),
            Outcome::Skipped(reason) => (StepStatus::Skipped, Ending::Skipped(Box::new(reason.clone()))),
            Outcome::Failed(failure) => (StepStatus::Failed, Ending::Error(failure.error.clone())),
            Outcome::Cancelled(cancelled) => {
                (StepStatus::Cancelled, Ending::Error(Box::new(cancelled.to_error().at(&record.path))))
            }
            Outcome::Parked(_) => {
                record.ended_at = None;
                (StepStatus::Waiting, Ending::None)
            }
        };
    }

    /// Notes the failure that a step's `on_error` steps are about to deal with.
    pub(crate) fn recovering(&mut self, number: usize, error: &StepError) {
        self.0[number].recovered = Some(Box::new(error.clone()));
    }

    /// Paths of the leaves at or under `path` that have begun and not ended, given up on or not.
    pub(crate) fn running_leaves(&self, path: &StepPath) -> Vec<String> {
        // One whose failure is being dealt with has ended itself.
        let is_open =
            |record: &Record| (record.status == StepStatus::Running || record.abandoned) && record.recovered.is_none();
        let running = self.0.iter().filter(|record| record.node.is_leaf() && is_open(record));
        running
            .map(|record| record.path.to_path())
            .filter(|leaf| path.contains(leaf))
            .map(|leaf| leaf.to_string())
            .collect()
    }

    /// Marks the leaves at or under `path` as stopped, whatever they still do.
    pub(crate) fn abandon(&mut self, path: &StepPath, now: Timestamp) {
        for record in &mut self.0 {
            if record.status == StepStatus::Running && path.contains(&record.path.to_path()) {
                record.status = StepStatus::Cancelled;
                record.ended_at = Some(now);
                record.abandoned = true;
            }
        }
    }

    pub(crate) fn to_vec(&self) -> Vec<StepRecord> {
        self.0.iter().map(Record::to_public).collect()
    }
}

impl Record {
    fn to_public(&self) -> StepRecord {
        let (output, error, skip_reason) = match &self.result {
            Ending::None => (None, None, None),
            Ending::Output(value) => (Some(value.clone()), self.recovered.as_deref().cloned(), None),
            Ending::Error(error) => (None, Some((**error).clone()), None),
            Ending::Skipped(reason) => (None, None, Some((**reason).clone())),
        };
        StepRecord {
            path: self.path.to_path(),
            name: self.name.as_deref().map(Into::into),
            is_leaf: self.node.is_leaf(),
            status: self.status,
            attempts: self.attempts,
            started_at: self.started_at,
            ended_at: self.ended_at,
            output,
            error,
            skip_reason,
        }
    }
}
