//! Methods of [`Call`] for interceptors. They return further details of a call or derive new calls.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{Call, Outcome, StepRecord, choice};
use crate::{
    StepError,
    model::ActivityName,
    plan::{ActivityPlan, Role},
    state::WorkflowState,
};

impl Call {
    /// Returns the step's role within its enclosing step.
    #[must_use]
    pub fn role(&self) -> Role {
        self.node().role
    }

    /// Returns the input of the activity with secrets masked, for display or recording; `None` if
    /// the step does not call an activity.
    ///
    /// # Errors
    /// Fails if a reference in the parameters cannot be resolved.
    pub fn shown_input(&self) -> Result<Option<Arc<Value>>, StepError> {
        let Some(input) = self.real_input()? else { return Ok(None) };
        Ok(Some(self.run().masker.masked_value(&input.into()).to_arc()))
    }

    /// Replaces the input with one derived from [`Self::shown_input`], restoring masked secrets.
    ///
    /// # Errors
    /// Fails if a reference in the parameters cannot be resolved.
    pub fn with_shown_input(self, input: impl Into<Arc<Value>>) -> Result<Self, StepError> {
        let input = input.into();
        match (self.run().masker.is_empty(), self.real_input()?, self.shown_input()?) {
            (false, Some(real), Some(shown)) => Ok(self.with_input(super::secrets::unmasked(&input, &shown, &real))),
            _ => Ok(self.with_input(input)),
        }
    }

    /// Returns the activity's input with its secrets unmasked; `None` if the step does not call an
    /// activity.
    pub(super) fn real_input(&self) -> Result<Option<Arc<Value>>, StepError> {
        let Some(plan) = self.node().body.activity() else { return Ok(None) };
        match self.input() {
            Some(input) => Ok(Some(input.clone())),
            None => Ok(Some(plan.params.render(&self.view())?)),
        }
    }

    /// Replaces the activity that the step calls; the input stays the same.
    ///
    /// # Errors
    /// Fails if the activity is unknown, or if the step does not call an activity.
    pub fn with_activity(mut self, name: ActivityName) -> Result<Self, StepError> {
        let Some(plan) = self.node().body.activity() else {
            let message = format!("`{}` does not call an activity, so it cannot call `{name}` instead", self.step().id);
            return Err(StepError::configuration("unknown_activity", message));
        };
        let engine = self.run().engine();
        let activity = engine.activities().find(&name);
        if activity.is_none() && engine.dispatch().is_none() {
            return Err(super::seams::missing(&name));
        }
        let plan = ActivityPlan { name, activity, params: plan.params.clone() };
        self.set_activity(plan);
        Ok(self)
    }

    /// Returns the same call, but with the given state.
    #[must_use]
    pub fn with_state(&self, state: WorkflowState) -> Self {
        self.seeing(self.context.scope.clone(), Arc::new(state))
    }

    /// Returns the same call, numbered `index` among several calls of its step.
    #[must_use]
    pub fn numbered(self, index: usize) -> Self {
        self.with_iteration(index)
    }

    /// Enters the step again under its next generation, for round `round`, which hooks requested.
    ///
    /// # Errors
    /// Fails if an interceptor rejects the decision.
    pub async fn enter_again(&self, round: u64) -> Result<Self, StepError> {
        let next = self.run().next_generation(self.path());
        let generation = self.decide(choice::HookGeneration(round), next).await?;
        let again = self.clone().with_generation(generation);
        self.run().record_entry(again.path());
        Ok(again)
    }

    /// Returns the same call in the generation of `other`, a call of the same step.
    #[must_use]
    pub fn in_generation_of(self, other: &Self) -> Self {
        self.with_generation(other.generation())
    }

    /// Waits until `wake_at`; returns an outcome if the step ends or parks instead.
    pub async fn wait_until(&self, wake_at: Timestamp) -> Option<Outcome> {
        super::wait_until(self, wake_at).await
    }

    /// Returns the records of the steps directly inside this step's last
    /// generation, in the order they began.
    ///
    /// The steps directly inside a loop are its iterations.
    #[must_use]
    pub fn children(&self) -> Vec<StepRecord> {
        self.run().records().children(self.record(), self.path(), &self.run().masker)
    }
}
