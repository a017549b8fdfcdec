//! Queries on the state of a run.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::{
    StepError,
    engine::{Asker, Compensable, Decision, DecisionKey, Outcome, Output},
};
use serde_json::Value;
use uuid::Uuid;

use super::{Phase, RunEnd, RunState, StepState, state::generation_of};
use crate::record::{End, Record, Request, Started};

impl RunState {
    /// Returns the data that the run was started with, under its current definition. Returns `None` if the run was
    /// never started.
    #[must_use]
    pub fn started(&self) -> Option<&Started> {
        self.started.as_ref()
    }

    /// Returns the time from the start of the run to `at` in microseconds, the unit of records.
    #[must_use]
    pub fn time_us(&self, at: jiff::Timestamp) -> u64 {
        let since = self.started.as_ref().map(|started| at.duration_since(started.at).as_micros());
        since.and_then(|micros| u64::try_from(micros).ok()).unwrap_or(0)
    }

    /// Returns the run's phase.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Returns the number of the last message to the run before it was retried; cancel requests
    /// up to this message no longer count.
    #[must_use]
    pub fn settled_messages(&self) -> u64 {
        self.settled_messages
    }

    /// Returns how the run ended; `None` if it has not ended.
    #[must_use]
    pub fn closed(&self) -> Option<&RunEnd> {
        match &self.phase {
            Phase::Closed(closed) => Some(closed),
            Phase::Unstarted | Phase::Driven(_) | Phase::Suspended(_) => None,
        }
    }

    /// Returns the number of records, which is also the number of the next record.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the hashes of all definitions that the run has had, in order.
    #[must_use]
    pub fn definitions(&self) -> &[String] {
        &self.definitions
    }

    /// Returns the requests that concern the run as a whole, each with its requester, in order.
    #[must_use]
    pub fn asked(&self) -> &[(Request, Asker)] {
        &self.asked
    }

    /// Returns the state of the step at `path`, if it has records.
    #[must_use]
    pub fn step(&self, path: &str) -> Option<&StepState> {
        self.steps.get(path)
    }

    /// Returns all steps that have records, with their paths, in no particular order.
    pub fn steps(&self) -> impl Iterator<Item = (&str, &StepState)> {
        self.steps.iter().map(|(path, step)| (path.as_str(), step))
    }

    /// Returns the child runs started by the run's steps, in the order in which they were recorded.
    #[must_use]
    pub fn children(&self) -> Vec<Uuid> {
        let mut children: Vec<(u64, Uuid)> = self.steps.values().flat_map(StepState::children).collect();
        children.sort_unstable();
        children.into_iter().map(|(_, child)| child).collect()
    }

    /// Returns the path of the step entered at `entry`.
    pub(super) fn entered(&self, entry: &str) -> String {
        match self.reentered.get(entry) {
            Some(generation) => generation_of(entry, *generation),
            None => entry.to_owned(),
        }
    }

    /// Returns the highest number of a message to the run that the records mention; 0 if they mention none.
    #[must_use]
    pub fn last_known_message(&self) -> u64 {
        let asked = self.asked.iter().filter_map(|(_, by)| by.message);
        asked.chain(self.received.iter().copied()).chain([self.settled_messages]).max().unwrap_or(0)
    }

    /// Returns all child runs that steps have ever started, in no particular order.
    pub fn all_children(&self) -> impl Iterator<Item = Uuid> {
        self.all_children.iter().copied()
    }

    pub(super) fn has_child(&self, child: Uuid) -> bool {
        self.steps.values().flat_map(StepState::children).any(|(_, known)| known == child)
    }

    /// Returns the starting generation of each reentered step, by the path it would otherwise have.
    #[must_use]
    pub fn reentered(&self) -> &BTreeMap<String, u32> {
        &self.reentered
    }

    /// Returns the choice `key` of the step at `path`.
    #[must_use]
    pub fn decision(&self, path: &str, key: &DecisionKey) -> Option<&Decision> {
        self.steps.get(path)?.decision(key)
    }

    /// Returns how the step at `path` ended, as recorded.
    #[must_use]
    pub fn end(&self, path: &str) -> Option<&End> {
        self.steps.get(path)?.end()
    }

    /// Returns the outcome of `end`, with its references resolved.
    ///
    /// # Errors
    /// Returns an error if a reference has no target; the string names the missing target.
    pub fn outcome(&self, path: &str, end: &End) -> Result<Outcome, String> {
        Ok(match end {
            End::Completed { output, changes } => Outcome::Completed(Output {
                value: self.known.value(output).map_err(missing)?,
                state_changes: self.known.changes(path, changes).map_err(missing)?,
            }),
            End::Skipped(reason) => Outcome::Skipped(reason.clone()),
            End::Failed(failure) => Outcome::Failed(failure.clone()),
            End::Cancelled(cancelled) => Outcome::cancelled(cancelled.clone()),
        })
    }

    /// Marks a step as stuck; the caller records it.
    pub(super) fn set_stuck(&mut self, path: String, error: StepError) {
        self.steps.entry(path).or_default().stuck = Some(error);
    }

    /// Returns the input for compensating the step.
    pub(super) fn compensable(step: &StepState) -> Option<&Arc<Value>> {
        match step.decision(&DecisionKey::Compensable)? {
            Decision::Compensable(Compensable::With(input)) => Some(input),
            _ => None,
        }
    }
}

impl Started {
    /// Returns the data that the run with these `records` was started with, under its current definition. Returns
    /// `None` if the run was never started.
    #[must_use]
    pub fn of(records: &[Record]) -> Option<Self> {
        RunState::read_as_far(records).0.started
    }
}

pub(super) fn missing(path: String) -> String {
    format!("it refers to the output of {path}, which does not exist")
}
