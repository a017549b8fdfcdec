use std::sync::{Arc, OnceLock};

use super::{Outcome, StepStatus};
use crate::{StepError, state::SharedValue};

/// The results of a list's steps, by step number; each is set once.
#[derive(Debug)]
pub(crate) struct Slots(Box<[OnceLock<VisibleResult>]>);

/// The result of a step, as visible to other steps.
#[derive(Debug, Clone)]
pub(crate) struct VisibleResult {
    pub(crate) status: StepStatus,
    pub(crate) value: SharedValue,
    pub(crate) error: Option<Arc<StepError>>,
}

impl VisibleResult {
    /// Returns the result of the step that ended its list by failing or being cancelled with
    /// `outcome`.
    pub(crate) fn of_last(outcome: &Outcome) -> Option<Self> {
        let (status, error) = match outcome {
            Outcome::Failed(failure) => (StepStatus::Failed, Some(Arc::new((*failure.error).clone()))),
            Outcome::Cancelled(_) => (StepStatus::Cancelled, None),
            Outcome::Completed(_) | Outcome::Skipped(_) | Outcome::Parked(_) | Outcome::Stuck(_) => return None,
        };
        Some(Self { status, value: SharedValue::default(), error })
    }

    /// Converts `outcome` to a result; `None` unless the step completed, failed or was skipped.
    pub(crate) fn of(outcome: Outcome) -> Option<Self> {
        let (status, value, error) = match outcome {
            Outcome::Completed(output) => (StepStatus::Completed, output.value, None),
            Outcome::Skipped(_) => (StepStatus::Skipped, SharedValue::default(), None),
            Outcome::Failed(failure) => (StepStatus::Failed, SharedValue::default(), Some(Arc::new(*failure.error))),
            Outcome::Cancelled(_) | Outcome::Parked(_) | Outcome::Stuck(_) => return None,
        };
        Some(Self { status, value, error })
    }
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self((0..count).map(|_| OnceLock::new()).collect())
    }

    /// Sets the result of step `number`.
    pub(crate) fn set(&self, number: usize, ended: VisibleResult) {
        let first = self.0[number].set(ended);
        debug_assert!(first.is_ok(), "each step of a list ends only once");
    }

    pub(crate) fn get(&self, number: usize) -> Option<&VisibleResult> {
        self.0[number].get()
    }

    /// Returns a copy in which step `number` has a new result.
    pub(crate) fn with(&self, number: usize, ended: VisibleResult) -> Self {
        let slots = Self(self.0.clone());
        let slots = Self(
            slots
                .0
                .into_vec()
                .into_iter()
                .enumerate()
                .map(|(at, slot)| if at == number { OnceLock::new() } else { slot })
                .collect(),
        );
        slots.set(number, ended);
        slots
    }
}
