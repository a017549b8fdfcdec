//! What can be asked of the records of a run.

use std::{collections::BTreeMap, sync::Arc};

use llmspell_workflows_basic::{
    StepError,
    engine::{Asker, Compensable, Decision, DecisionKey, Outcome, Output},
};
use serde_json::Value;

use super::{Closed, Phase, RunState, StepState};
use crate::record::{End, Record, Request, Started};

impl RunState {
    /// What the run was started with, with the definition that it has by now; `None`: it was not.
    #[must_use]
    pub fn started(&self) -> Option<&Started> {
        self.started.as_ref()
    }

    /// How long after its start `at` is, in microseconds, as records count.
    #[must_use]
    pub fn time_us(&self, at: jiff::Timestamp) -> u64 {
        let since = self.started.as_ref().map(|started| at.duration_since(started.at).as_micros());
        since.and_then(|micros| u64::try_from(micros).ok()).unwrap_or(0)
    }

    /// How far it has come as a whole.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        match &self.phase {
            Phase::Closed(closed) => Some(closed),
            Phase::Unstarted | Phase::Driven(_) | Phase::Suspended(_) => None,
        }
    }

    /// How many records there are; the number of the next one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The hashes of all definitions that it had, in order.
    #[must_use]
    pub fn definitions(&self) -> &[String] {
        &self.definitions
    }

    /// What somebody asked for, and who, in order.
    #[must_use]
    pub fn asked(&self) -> &[(Request, Asker)] {
        &self.asked
    }

    /// What is recorded of the step at `path`.
    #[must_use]
    pub fn step(&self, path: &str) -> Option<&StepState> {
        self.steps.get(path)
    }

    /// All steps of which something is recorded, by path, in no order.
    pub fn steps(&self) -> impl Iterator<Item = (&str, &StepState)> {
        self.steps.iter().map(|(path, step)| (path.as_str(), step))
    }

    /// The generations as which steps are entered, by the paths at which they would be.
    #[must_use]
    pub fn reentered(&self) -> &BTreeMap<String, u32> {
        &self.reentered
    }

    /// The choice `key` of the step at `path`.
    #[must_use]
    pub fn decision(&self, path: &str, key: &DecisionKey) -> Option<&Decision> {
        self.steps.get(path)?.decision(key)
    }

    /// How the step at `path` ended, as it is kept.
    #[must_use]
    pub fn end(&self, path: &str) -> Option<&End> {
        self.steps.get(path)?.end()
    }

    /// How something ended, with the values that it refers to.
    ///
    /// # Errors
    /// It refers to what is not there; the text names it.
    pub fn outcome(&self, path: &str, end: &End) -> Result<Outcome, String> {
        Ok(match end {
            End::Completed { output, changes } => Outcome::Completed(Output {
                value: self.known.value(output).map_err(missing)?,
                state_changes: self.known.changes(path, changes).map_err(missing)?,
            }),
            End::Skipped(reason) => Outcome::Skipped(reason.clone()),
            End::Failed(failure) => Outcome::Failed(failure.clone()),
            End::Cancelled(cancelled) => Outcome::Cancelled(cancelled.clone()),
        })
    }

    /// Notes that a step is stuck, which is being recorded.
    pub(super) fn set_stuck(&mut self, path: String, error: StepError) {
        self.steps.entry(path).or_default().stuck = Some(error);
    }

    /// What the step at `path` is called with when it can be undone.
    pub(super) fn compensable(step: &StepState) -> Option<&Arc<Value>> {
        match step.decision(&DecisionKey::Compensable)? {
            Decision::Compensable(Compensable::With(input)) => Some(input),
            _ => None,
        }
    }
}

impl Started {
    /// What the run of `records` was started with, and which definition it has by now; `None`: it never was.
    #[must_use]
    pub fn of(records: &[Record]) -> Option<Self> {
        RunState::read_as_far(records).0.started
    }
}

pub(super) fn missing(path: String) -> String {
    format!("it refers to the output of {path}, which is not there")
}
