use std::collections::{HashMap, hash_map::Entry};

use llmspell_workflows_basic::{
    StepError,
    engine::{Attempt, Awaited, Decision, DecisionKey, SkipReason, StepStatus},
};
use uuid::Uuid;

use crate::record::End;

/// What the records of a run say of one of its steps.
///
/// Blocks around steps are here only where something is recorded of themselves.
#[derive(Debug, Clone, Default)]
pub struct StepState {
    /// How it ended.
    pub(super) end: Option<Ended>,
    /// The choices that count.
    pub(super) decisions: HashMap<DecisionKey, Decided>,
    /// How often it has begun without being stopped or reopened since: so many crashes have cut it.
    pub(super) begun: u32,
    /// Whether it is a leaf that has begun.
    pub(super) is_activity: bool,
    /// Whether it is at work, as far as that is recorded.
    pub(super) at_work: bool,
    pub(super) stuck: Option<StepError>,
    /// Whether it happens again as another generation.
    pub(super) is_superseded: bool,
}

/// A choice that a step made.
#[derive(Debug, Clone)]
pub(super) struct Decided {
    pub(super) decision: Decision,
    /// The number of its record.
    pub(super) number: u64,
    pub(super) time_us: u64,
}

/// How a step ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) end: End,
    /// The number of its record.
    pub(super) number: u64,
    pub(super) time_us: u64,
    /// How many ends were recorded before this one.
    pub(super) nth: u64,
}

impl StepState {
    /// How it ended, as it is kept.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref().map(|ended| &ended.end)
    }

    /// The number of the record with which it ended.
    #[must_use]
    pub fn end_number(&self) -> Option<u64> {
        self.end.as_ref().map(|ended| ended.number)
    }

    /// A choice that it made.
    #[must_use]
    pub fn decision(&self, key: &DecisionKey) -> Option<&Decision> {
        self.decisions.get(key).map(|decided| &decided.decision)
    }

    /// All choices that it made, with the numbers of their records.
    pub fn decisions(&self) -> impl Iterator<Item = (u64, &Decision)> {
        self.decisions.values().map(|decided| (decided.number, &decided.decision))
    }

    /// The errors of its attempts that were followed by another one, with the numbers of their records, in order.
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

    /// How often it was tried, as far as that is recorded.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        1 + u32::try_from(self.failed_attempts().len()).unwrap_or(u32::MAX - 1)
    }

    /// What it waits for, if it does.
    #[must_use]
    pub fn waits(&self) -> Option<Awaited> {
        if self.end.is_some() || self.stuck.is_some() || self.is_superseded {
            return None;
        }
        let of_waits = self.decisions().filter(|(_, decision)| wait(decision).is_some());
        of_waits.max_by_key(|(number, _)| *number).and_then(|(_, decision)| wait(decision).flatten())
    }

    /// The run that it is by now, if it is one.
    #[must_use]
    pub fn child(&self) -> Option<Uuid> {
        let children = self.decisions().filter_map(|(number, decision)| match decision {
            Decision::Child(_, child) => Some((number, child.run)),
            _ => None,
        });
        children.max_by_key(|(number, _)| *number).map(|(_, run)| run)
    }

    /// Why it is stuck, if it is.
    #[must_use]
    pub fn stuck(&self) -> Option<&StepError> {
        self.stuck.as_ref()
    }

    /// Whether it is a leaf whose activity has begun.
    #[must_use]
    pub fn is_activity(&self) -> bool {
        self.is_activity
    }

    /// Why it did not run, where it decided so itself.
    #[must_use]
    pub fn skipped(&self) -> Option<&SkipReason> {
        match self.decision(&DecisionKey::Enter) {
            Some(Decision::Enter(reason)) => reason.as_ref(),
            _ => None,
        }
    }

    /// How far it has come.
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

    /// Takes in a choice; whether it is new.
    pub(super) fn decide(&mut self, key: DecisionKey, decided: Decided) -> bool {
        let Entry::Vacant(entry) = self.decisions.entry(key) else { return false };
        if matches!(wait(&decided.decision), Some(Some(_))) {
            self.at_work = false;
        }
        entry.insert(decided);
        true
    }
}

/// What a choice says of the wait of a step: nothing, that it waits for something, or that it does so no more.
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
