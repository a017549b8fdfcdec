use std::collections::{BTreeMap, BTreeSet};

use llmspell_workflows_basic::RunStatus;
use serde_json::Value;

/// The course of an uninterrupted run: the states in which it comes to rest, in order.
///
/// A run rests when it ends, waits for a signal, or has failed. A signal or a retry brings the run
/// to the next rung.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Ladder {
    pub(super) rungs: Vec<Rung>,
    /// The cleanup effects of a run cancelled before its first step.
    pub(super) cleanup: BTreeSet<String>,
    /// The outputs of the activities, by effect.
    pub(super) outputs: BTreeMap<String, Value>,
}

/// A state in which a run comes to rest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rung {
    pub(super) rest: Rest,
    /// The signals that the run waits for.
    pub(super) waits: BTreeSet<String>,
    /// The effects so far, as `WORKFLOW:PATH`.
    pub(super) effects: BTreeSet<String>,
}

/// The external view of a resting run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rest {
    pub(super) status: RunStatus,
    /// The output; null unless the run completed.
    pub(super) output: Value,
    /// The code of the error, if the run failed.
    pub(super) error: Option<String>,
}

impl Ladder {
    /// Returns the signal that brings the run from this rung to the next one.
    pub(super) fn signal_at(&self, rung: usize) -> Option<&str> {
        self.rungs.get(rung + 1)?;
        self.rungs[rung].waits.first().map(String::as_str)
    }

    /// Returns whether a retry brings the run from this rung to the next one.
    pub(super) fn is_retried_at(&self, rung: usize) -> bool {
        self.rungs[rung].rest.status == RunStatus::Failed && self.rungs.len() > rung + 1
    }
}

/// One of the definitions of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edition {
    /// The definition that runs start with.
    Original,
    /// The next definition, which extends the original definition.
    Next,
    /// The correction with this number.
    Corrected(usize),
}

impl Edition {
    /// Returns whether steps of the original definition have changed.
    pub(super) fn is_corrected(self) -> bool {
        matches!(self, Self::Corrected(_))
    }
}

/// Identifies a ladder: the workflow, and how the run was created.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LadderId {
    /// The number of the workflow in the cast.
    pub(super) role: usize,
    /// The definition that the run has or continues with.
    pub(super) edition: Edition,
    /// For a fork, the rung of its source and the step where the fork begins.
    pub(super) fork: Option<(usize, String)>,
}

impl LadderId {
    pub(super) fn of(role: usize) -> Self {
        Self { role, edition: Edition::Original, fork: None }
    }

    /// Returns the fork that must be made to find the ladder. A run under a corrected definition
    /// ends like a new run of that definition, so its ladder is that of a new run.
    pub(super) fn climbed_fork(&self) -> Option<(usize, &String)> {
        let (rung, from) = self.fork.as_ref().filter(|_| !self.edition.is_corrected())?;
        Some((*rung, from))
    }
}
