use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Call, Outcome, SkipReason};
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
    parent: Option<PathLink>,
    node: Arc<Node>,
    iteration: Option<u32>,
    generation: u32,
    attempts: u32,
    status: StepStatus,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    /// Whether it was given up on while it ran; how it ends after that counts no more.
    abandoned: bool,
    ending: Ending,
    notes: Option<Box<Notes>>,
}

enum Ending {
    None,
    Output(Arc<Value>),
    Error(Box<StepError>),
    Skipped(Box<SkipReason>),
}

/// What few records have.
#[derive(Default)]
struct Notes {
    name: Option<String>,
    /// The failure that the step's `on_error` steps dealt with.
    recovered: Option<StepError>,
}

impl Records {
    /// Notes that a step begins; returns the record's number.
    pub(crate) fn begin(&mut self, call: &Call, now: Timestamp) -> usize {
        self.0.push(Record {
            parent: call.around.parent.clone(),
            node: call.node.clone(),
            iteration: call.iteration(),
            generation: call.generation(),
            attempts: 1,
            status: StepStatus::Running,
            started_at: now,
            ended_at: None,
            abandoned: false,
            ending: Ending::None,
            notes: None,
        });
        self.0.len() - 1
    }

    pub(crate) fn name(&mut self, number: usize, name: &str) {
        self.0[number].notes.get_or_insert_default().name = Some(name.to_owned());
    }

    pub(crate) fn attempts(&mut self, number: usize, attempts: u32) {
        self.0[number].attempts = attempts;
    }

    /// Notes the failure that a step's `on_error` steps are about to deal with.
    pub(crate) fn recovering(&mut self, number: usize, error: &StepError) {
        self.0[number].notes.get_or_insert_default().recovered = Some(error.clone());
    }

    /// Notes how a step ended.
    pub(crate) fn end(&mut self, number: usize, outcome: &Outcome, now: Timestamp) {
        let record = &mut self.0[number];
        if record.abandoned {
            return;
        }
        record.ended_at = Some(now);
        (record.status, record.ending) = match outcome {
            Outcome::Completed(output) => (StepStatus::Completed, Ending::Output(output.value.clone())),
            Outcome::Skipped(reason) => (StepStatus::Skipped, Ending::Skipped(Box::new(reason.clone()))),
            Outcome::Failed(failure) => (StepStatus::Failed, Ending::Error(failure.error.clone())),
            Outcome::Cancelled(cancelled) => {
                (StepStatus::Cancelled, Ending::Error(Box::new(cancelled.to_error().at(record.path()))))
            }
            Outcome::Parked(_) => {
                record.ended_at = None;
                (StepStatus::Waiting, Ending::None)
            }
        };
    }

    /// Where the step of a record stands.
    pub(crate) fn path(&self, number: usize) -> PathLink {
        self.0[number].path()
    }

    /// Paths of the leaves at or under `path` that have begun and not ended, given up on or not.
    pub(crate) fn running_leaves(&self, path: &StepPath) -> Vec<String> {
        // One whose failure is being dealt with has ended itself.
        let is_open =
            |record: &Record| (record.status == StepStatus::Running || record.abandoned) && !record.is_recovering();
        let running = self.0.iter().filter(|record| record.node.is_leaf() && is_open(record));
        let paths = running.map(|record| record.path().to_path());
        paths.filter(|leaf| path.contains(leaf)).map(|leaf| leaf.to_string()).collect()
    }

    /// Marks what runs at or under `path` as stopped, whatever it still does.
    pub(crate) fn abandon(&mut self, path: &StepPath, now: Timestamp) {
        for record in &mut self.0 {
            if record.status == StepStatus::Running && path.contains(&record.path().to_path()) {
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
    /// Whether it has failed itself and its `on_error` steps are at work.
    fn is_recovering(&self) -> bool {
        self.notes.as_ref().is_some_and(|notes| notes.recovered.is_some())
    }

    fn path(&self) -> PathLink {
        PathLink::new(self.parent.clone(), self.node.id.clone(), self.iteration, self.generation)
    }

    fn to_public(&self) -> StepRecord {
        let recovered = || self.notes.as_ref()?.recovered.clone();
        let (output, error, skip_reason) = match &self.ending {
            Ending::None => (None, None, None),
            Ending::Output(value) => (Some(value.clone()), recovered(), None),
            Ending::Error(error) => (None, Some((**error).clone()), None),
            Ending::Skipped(reason) => (None, None, Some((**reason).clone())),
        };
        let named = self.notes.as_ref().and_then(|notes| notes.name.clone());
        StepRecord {
            path: self.path().to_path(),
            name: named.or_else(|| self.node.name.is_none().then(|| self.node.step.name.clone()).flatten()),
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
