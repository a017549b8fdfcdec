use std::collections::hash_map::Entry;

use foldhash::HashMap;
use llmspell_workflows_basic::{
    StepError,
    engine::{Attempt, Awaited, Decision, DecisionKey, SkipReason, StepStatus},
    secrets::MaskNote,
};
use uuid::Uuid;

use crate::record::End;

/// The state of one step, according to its records.
///
/// A block has a state only if the block itself has records.
#[derive(Debug, Clone, Default)]
pub struct StepState {
    /// How the step ended.
    pub(super) end: Option<StepEnd>,
    /// The valid choices.
    pub(super) decisions: HashMap<DecisionKey, RecordedChoice>,
    /// How often the step was interrupted by the end of a process since the step was last
    /// reopened.
    pub(super) cuts: u32,
    /// Whether the step is a leaf that has begun.
    pub(super) is_activity: bool,
    /// Whether the step is executing, according to its records.
    pub(super) is_executing: bool,
    pub(super) stuck: Option<StepError>,
    /// Whether the step runs again as a new generation.
    pub(super) is_superseded: bool,
}

/// A recorded choice of a step.
#[derive(Debug, Clone)]
pub(super) struct RecordedChoice {
    pub(super) decision: Decision,
    /// The meaning of the masks in the decision.
    pub(super) masks: Vec<MaskNote>,
    /// The number of the record.
    pub(super) number: u64,
    pub(super) time_us: u64,
}

/// The recorded end of a step.
#[derive(Debug, Clone)]
pub(super) struct StepEnd {
    pub(super) end: End,
    /// The number of the record.
    pub(super) number: u64,
    pub(super) time_us: u64,
    /// The number of ends recorded before this one.
    pub(super) nth: u64,
}

impl StepState {
    /// Returns how the step ended, as recorded.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref().map(|ended| &ended.end)
    }

    /// Returns the number of the record that ended the step.
    #[must_use]
    pub fn end_number(&self) -> Option<u64> {
        self.end.as_ref().map(|ended| ended.number)
    }

    /// Returns the choice `key` of the step.
    #[must_use]
    pub fn decision(&self, key: &DecisionKey) -> Option<&Decision> {
        self.decisions.get(key).map(|decided| &decided.decision)
    }

    /// Returns all choices of the step, with the numbers of their records.
    pub fn decisions(&self) -> impl Iterator<Item = (u64, &Decision)> {
        self.decisions.values().map(|decided| (decided.number, &decided.decision))
    }

    /// Returns the errors of the attempts that were retried, in order, with the numbers of their records.
    #[must_use]
    pub fn failed_attempts(&self) -> Vec<(u64, &StepError)> {
        let mut failed: Vec<_> = self
            .decisions()
            .filter_map(|(number, decision)| match decision {
                Decision::Attempt(_, Attempt::Failed { error, .. }) => Some((number, &**error)),
                _ => None,
            })
            .collect();
        failed.sort_unstable_by_key(|(number, _)| *number);
        failed
    }

    /// Returns whether an attempt has failed and the next one has not begun.
    pub(super) fn is_between_attempts(&self) -> bool {
        let is_failed = |decision: &Decision| matches!(decision, Decision::Attempt(_, Attempt::Failed { .. }));
        !self.is_executing && self.decisions().any(|(_, decision)| is_failed(decision))
    }

    /// Returns the number of recorded attempts. Attempts interrupted by the end of a process count
    /// too.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        let failed = u32::try_from(self.failed_attempts().len()).unwrap_or(u32::MAX);
        failed.saturating_add(self.cuts).saturating_add(1)
    }

    /// Returns the signal or time that the step waits for.
    #[must_use]
    pub fn waits(&self) -> Option<Awaited> {
        if self.end.is_some() || self.stuck.is_some() || self.is_superseded {
            return None;
        }
        let of_waits = self.decisions().filter(|(_, decision)| wait(decision).is_some());
        of_waits.max_by_key(|(number, _)| *number).and_then(|(_, decision)| wait(decision).flatten())
    }

    /// Returns all runs of the step's sub-workflow, with the numbers of their records.
    pub(super) fn children(&self) -> impl Iterator<Item = (u64, Uuid)> {
        self.decisions().filter_map(|(number, decision)| match decision {
            Decision::Child(_, child) => Some((number, child.run)),
            _ => None,
        })
    }

    /// Returns the latest run of the step's sub-workflow.
    #[must_use]
    pub fn child(&self) -> Option<Uuid> {
        let children = self.decisions().filter_map(|(number, decision)| match decision {
            Decision::Child(_, child) => Some((number, child.run)),
            _ => None,
        });
        children.max_by_key(|(number, _)| *number).map(|(_, run)| run)
    }

    /// Returns how often the step was interrupted by the end of a process, assuming that no
    /// process is executing it now.
    #[must_use]
    pub fn crashes(&self) -> u32 {
        self.cuts + u32::from(self.is_executing)
    }

    /// Returns why the step is stuck.
    #[must_use]
    pub fn stuck(&self) -> Option<&StepError> {
        self.stuck.as_ref()
    }

    /// Returns whether the step is a leaf whose activity has begun.
    #[must_use]
    pub fn is_activity(&self) -> bool {
        self.is_activity
    }

    /// Returns why the step was skipped, if it was skipped by its own choice.
    #[must_use]
    pub fn skipped(&self) -> Option<&SkipReason> {
        match self.decision(&DecisionKey::Enter) {
            Some(Decision::Enter(reason)) => reason.as_ref(),
            _ => None,
        }
    }

    /// Returns the step's status.
    #[must_use]
    pub fn status(&self) -> StepStatus {
        match (&self.stuck, self.end()) {
            (Some(_), _) => StepStatus::Stuck,
            (None, Some(End::Completed { .. })) => StepStatus::Completed,
            (None, Some(End::Failed(_))) => StepStatus::Failed,
            (None, Some(End::Cancelled(_))) => StepStatus::Cancelled,
            (None, Some(End::Skipped(_))) => StepStatus::Skipped,
            (None, None) if self.skipped().is_some() => StepStatus::Skipped,
            (None, None) if self.waits().is_some() => StepStatus::Waiting,
            (None, None) => StepStatus::Running,
        }
    }

    /// Stores a choice; returns `false` if it had already been made.
    pub(super) fn decide(&mut self, key: DecisionKey, decided: RecordedChoice) -> bool {
        let Entry::Vacant(entry) = self.decisions.entry(key) else { return false };
        if matches!(wait(&decided.decision), Some(Some(_))) {
            self.is_executing = false;
        }
        entry.insert(decided);
        true
    }
}

/// Returns a choice's effect on the step's wait: none (`None`), its end (`Some(None)`), or a new
/// wait for a signal or a time (`Some(Some(…))`).
fn wait(decision: &Decision) -> Option<Option<Awaited>> {
    match decision {
        Decision::Awaits(_, awaited) => Some(Some(awaited.clone())),
        Decision::Attempt(_, Attempt::Failed { wake_at, .. }) => {
            Some(Some(Awaited { signal: None, since: *wake_at, until: Some(*wake_at) }))
        }
        Decision::Received(..) => Some(None),
        Decision::Enter(_)
        | Decision::Branch(_)
        | Decision::Items(_)
        | Decision::While(..)
        | Decision::Until(..)
        | Decision::Transition(..)
        | Decision::RetryGeneration(..)
        | Decision::RouteGeneration(..)
        | Decision::HookGeneration(..)
        | Decision::EndedNth(..)
        | Decision::FirstFailed(_)
        | Decision::Attempt(_, Attempt::GivenUp)
        | Decision::TotalDeadline(_)
        | Decision::AttemptDeadline(..)
        | Decision::LastBegin(_)
        | Decision::StartedAt(_)
        | Decision::Now(..)
        | Decision::Random(..)
        | Decision::Input(_)
        | Decision::Child(..)
        | Decision::Compensable(_)
        | Decision::Resolved(..)
        | Decision::HookAnswer(..)
        | Decision::HookAnswerTo(..)
        | Decision::HookAnswerToSignal(..)
        | Decision::ForkPart(_) => None,
    }
}
