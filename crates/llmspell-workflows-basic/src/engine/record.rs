use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Call, Outcome, SkipReason, StuckStep};
use crate::{
    PathLink, StepError, StepPath,
    plan::{Node, NodeRef, Plan, Role},
    secrets::{Masker, SharedMasking},
    state::SharedValue,
};

/// The status of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepStatus {
    /// The step has not begun.
    Pending,
    /// The step is running.
    Running,
    /// The step is parked until a time or until a message arrives.
    Waiting,
    /// The step completed.
    Completed,
    /// The step failed permanently.
    Failed,
    /// The step did not run; the record contains the reason.
    Skipped,
    /// The step was cancelled.
    Cancelled,
    /// The step completed, and was undone.
    Compensated,
    /// The step must be resolved manually, because its outcome is unknown or it cannot be undone.
    Stuck,
}

impl StepStatus {
    /// Returns the serialized name.
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
            Self::Compensated => "compensated",
            Self::Stuck => "stuck",
        }
    }
}

/// The record of one executed step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    /// The path of the step.
    pub path: StepPath,
    /// The name of the step with references resolved, if it has a name.
    pub name: Option<String>,
    /// Whether the step is a leaf.
    pub is_leaf: bool,
    /// The status of the step.
    pub status: StepStatus,
    /// The number of attempts.
    pub attempts: u32,
    /// When the step began.
    pub started_at: Timestamp,
    /// When the step ended.
    pub ended_at: Option<Timestamp>,
    /// The output of the step.
    pub output: Option<SharedValue>,
    /// Why the step failed or was cancelled, or the failure that its `on_error` handled.
    pub error: Option<StepError>,
    /// Why the step did not run.
    pub skip_reason: Option<SkipReason>,
}

/// The records of all steps of a run, in the order they began.
pub(crate) struct Records {
    plan: Arc<Plan>,
    all: Vec<Record>,
    /// The paths of the enclosing steps. Consecutive records of siblings share an entry.
    parents: Vec<PathLink>,
}

struct Record {
    /// The index in `parents`.
    parent: Option<u32>,
    node: NodeRef,
    iteration: Option<u32>,
    generation: u32,
    attempts: u32,
    status: StepStatus,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    /// Whether the step was abandoned while it was running; its outcome is ignored from then on.
    abandoned: bool,
    result: RecordedResult,
    details: Option<Box<Details>>,
}

enum RecordedResult {
    None,
    Output(SharedValue),
    Error(Box<StepError>),
    Skipped(Box<SkipReason>),
}

/// Fields that few records need.
#[derive(Default)]
struct Details {
    name: Option<String>,
    /// The failure that the step's `on_error` steps handled.
    recovered: Option<StepError>,
    /// The error of the last failed attempt after which the step was retried.
    retried: Option<StepError>,
}

impl Records {
    /// Creates the empty records of a run of `plan`.
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        // Enough for a run without loops, in which each node has at most one record.
        let all = Vec::with_capacity(plan.nodes.len().min(1_024));
        Self { plan, all, parents: Vec::new() }
    }

    /// Records that a step begins; returns the number of the new record.
    pub(crate) fn begin(&mut self, call: &Call, now: Timestamp) -> usize {
        let parent = call.context.parent.as_ref().map(|parent| self.parent(parent));
        self.all.push(Record {
            parent,
            node: call.node_ref(),
            iteration: call.iteration(),
            generation: call.generation(),
            attempts: 1,
            status: StepStatus::Running,
            started_at: now,
            ended_at: None,
            abandoned: false,
            result: RecordedResult::None,
            details: None,
        });
        self.all.len() - 1
    }

    fn parent(&mut self, parent: &PathLink) -> u32 {
        if !self.parents.last().is_some_and(|last| last.is(parent)) {
            self.parents.push(parent.clone());
        }
        u32::try_from(self.parents.len() - 1).expect("`run_steps_max` allows far fewer steps")
    }

    pub(crate) fn name(&mut self, number: usize, name: &str) {
        self.all[number].details.get_or_insert_default().name = Some(name.to_owned());
    }

    pub(crate) fn attempts(&mut self, number: usize, attempts: u32) {
        self.all[number].attempts = attempts;
    }

    /// Records the error of a failed attempt that another attempt follows.
    pub(crate) fn record_retry(&mut self, number: usize, error: &StepError) {
        self.all[number].details.get_or_insert_default().retried = Some(error.clone());
    }

    /// Returns the number of attempts of a step so far, and the error of the last one that another attempt followed.
    pub(crate) fn retries(&self, number: usize) -> (u32, Option<StepError>) {
        let record = &self.all[number];
        (record.attempts, record.details.as_ref().and_then(|details| details.retried.clone()))
    }

    /// Records the failure that the step's `on_error` steps are about to handle.
    pub(crate) fn record_recovery(&mut self, number: usize, error: &StepError) {
        self.all[number].details.get_or_insert_default().recovered = Some(error.clone());
    }

    /// Records the outcome of a step.
    pub(crate) fn end(&mut self, number: usize, outcome: &Outcome, now: Timestamp) {
        if self.all[number].abandoned {
            return;
        }
        let (status, result) = match outcome {
            Outcome::Completed(output) => (StepStatus::Completed, RecordedResult::Output(output.value.clone())),
            Outcome::Skipped(reason) => (StepStatus::Skipped, RecordedResult::Skipped(Box::new(reason.clone()))),
            Outcome::Failed(failure) => (StepStatus::Failed, RecordedResult::Error(failure.error.clone())),
            Outcome::Cancelled(cancelled) => {
                (StepStatus::Cancelled, RecordedResult::Error(Box::new(cancelled.to_error().at(self.path(number)))))
            }
            Outcome::Parked(_) => (StepStatus::Waiting, RecordedResult::None),
            Outcome::Stuck(steps) => (StepStatus::Stuck, stuck(&self.path(number), steps)),
        };
        let record = &mut self.all[number];
        record.ended_at = outcome.is_final().then_some(now);
        (record.status, record.result) = (status, result);
    }

    /// Returns the path of a record's step.
    pub(crate) fn path(&self, number: usize) -> PathLink {
        self.path_of(&self.all[number])
    }

    fn path_of(&self, record: &Record) -> PathLink {
        let parent = record.parent.map(|parent| self.parents[parent as usize].clone());
        PathLink::new(parent, self.node(record).id.clone(), record.iteration, record.generation)
    }

    fn node<'a>(&'a self, record: &'a Record) -> &'a Node {
        record.node.in_plan(&self.plan)
    }

    /// Returns the paths of the leaves at or below `path` that have begun but not ended,
    /// including abandoned ones.
    pub(crate) fn running_leaves(&self, path: &StepPath) -> Vec<String> {
        // A leaf whose failure is being handled has already ended.
        let is_open =
            |record: &Record| (record.status == StepStatus::Running || record.abandoned) && !record.is_recovering();
        let running = self.all.iter().filter(|record| self.node(record).step.kind.is_leaf() && is_open(record));
        let paths = running.map(|record| self.path_of(record).to_path());
        paths.filter(|leaf| path.contains(leaf)).map(|leaf| leaf.to_string()).collect()
    }

    /// Marks the running steps at or below `path` as cancelled, although they are still running.
    pub(crate) fn abandon(&mut self, path: &StepPath, now: Timestamp) {
        for number in 0..self.all.len() {
            if self.all[number].status == StepStatus::Running && path.contains(&self.path(number).to_path()) {
                let record = &mut self.all[number];
                record.status = StepStatus::Cancelled;
                record.ended_at = Some(now);
                record.abandoned = true;
            }
        }
    }

    /// Returns the steps directly inside the last generation of the step at `path`; `number` is the
    /// number of that step's record.
    pub(crate) fn children(&self, number: usize, path: &PathLink, masker: &Masker) -> Vec<StepRecord> {
        let later = self.all.get(number + 1..).unwrap_or_default().iter();
        let inside: Vec<_> = later.filter_map(|record| Some((self.inside(record, path)?, record))).collect();
        let last = inside.iter().map(|(generation, _)| *generation).max();
        let of_last = inside.into_iter().filter(|(generation, _)| Some(*generation) == last);
        let mut masking = SharedMasking::new(masker);
        of_last.map(|(_, record)| self.to_public(record, &mut masking)).collect()
    }

    /// Returns the generation of the step at `path` that directly contains the step of `record`, if any.
    fn inside(&self, record: &Record, path: &PathLink) -> Option<u32> {
        let parent = record.parent.map(|parent| &self.parents[parent as usize]);
        let node = self.node(record);
        if node.role != Role::Iteration {
            return parent.filter(|parent| parent.enters_as(path)).map(PathLink::generation);
        }
        // An iteration's path is its loop's path with a number appended.
        let is_sibling = match (parent, path.parent()) {
            (Some(one), Some(other)) => one.is_same_place(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        (is_sibling && &node.id == path.id()).then_some(record.generation)
    }

    pub(crate) fn to_vec(&self, masker: &Masker) -> Vec<StepRecord> {
        let mut masking = SharedMasking::new(masker);
        self.all.iter().map(|record| self.to_public(record, &mut masking)).collect()
    }

    /// Returns the record with its secrets masked.
    fn to_public(&self, record: &Record, masking: &mut SharedMasking<'_>) -> StepRecord {
        let masker = masking.masker();
        let node = self.node(record);
        let recovered = || record.details.as_ref()?.recovered.clone();
        let (output, error, skip_reason) = match &record.result {
            RecordedResult::None => (None, None, None),
            RecordedResult::Output(value) => (Some(masking.mask(value)), recovered(), None),
            RecordedResult::Error(error) => (None, Some(masker.masked_error((**error).clone())), None),
            RecordedResult::Skipped(reason) => (None, None, Some(masker.masked_reason((**reason).clone()))),
        };
        let named = record.details.as_ref().and_then(|details| details.name.clone());
        StepRecord {
            path: self.path_of(record).to_path(),
            name: named.or_else(|| node.name.is_none().then(|| node.step.name.clone()).flatten()),
            is_leaf: node.step.kind.is_leaf(),
            status: record.status,
            attempts: record.attempts,
            started_at: record.started_at,
            ended_at: record.ended_at,
            output,
            error,
            skip_reason,
        }
    }
}

/// Returns why the step at `path` is stuck. A block has no error itself if only steps inside it are
/// stuck.
fn stuck(path: &PathLink, steps: &[StuckStep]) -> RecordedResult {
    let path = path.to_string();
    let own = steps.iter().find(|step| step.around.is_empty() && step.path == path);
    own.map_or(RecordedResult::None, |step| RecordedResult::Error(step.error.clone()))
}

impl Record {
    /// Returns whether the step has failed and its `on_error` steps are running.
    fn is_recovering(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.recovered.is_some())
    }
}
