//! What an interceptor may read of a call beyond its step, and the calls that it makes of one.

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
    /// What its step is to the one around it.
    #[must_use]
    pub fn role(&self) -> Role {
        self.node().role
    }

    /// The input of its activity as it may be shown and recorded, with secrets masked; `None` where it calls none.
    ///
    /// # Errors
    /// A reference in its parameters cannot be resolved.
    pub fn shown_input(&self) -> Result<Option<Arc<Value>>, StepError> {
        let Some(input) = self.real_input()? else { return Ok(None) };
        if self.run().secrets.is_empty() {
            return Ok(Some(input));
        }
        let mut shown = Arc::unwrap_or_clone(input);
        self.run().mask(&mut shown);
        Ok(Some(Arc::new(shown)))
    }

    /// The same call with an input made from the shown one: what is still masked in it stands for the secret.
    ///
    /// # Errors
    /// A reference in its parameters cannot be resolved.
    pub fn with_shown_input(self, input: impl Into<Arc<Value>>) -> Result<Self, StepError> {
        let input = input.into();
        match (self.run().secrets.is_empty(), self.real_input()?, self.shown_input()?) {
            (false, Some(real), Some(shown)) => Ok(self.with_input(unmasked(&input, &shown, &real))),
            _ => Ok(self.with_input(input)),
        }
    }

    fn real_input(&self) -> Result<Option<Arc<Value>>, StepError> {
        let Some(plan) = self.node().body.activity() else { return Ok(None) };
        match self.input() {
            Some(input) => Ok(Some(input.clone())),
            None => Ok(Some(plan.params.render(&self.view())?)),
        }
    }

    /// The same call of another activity with the same input.
    ///
    /// # Errors
    /// Nothing answers for that name, or the step calls no activity.
    pub fn with_activity(mut self, name: ActivityName) -> Result<Self, StepError> {
        let Some(plan) = self.node().body.activity() else {
            let message = format!("`{}` calls no activity, so it cannot call `{name}` instead", self.step().id);
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

    /// The same call that sees `state`.
    #[must_use]
    pub fn with_state(&self, state: WorkflowState) -> Self {
        self.seeing(self.around.scope.clone(), Arc::new(state))
    }

    /// The same call as number `index` of several of its step.
    #[must_use]
    pub fn numbered(self, index: usize) -> Self {
        self.with_iteration(index)
    }

    /// The same call entered again as its next generation, for round `round` of what hooks ask for.
    ///
    /// # Errors
    /// An interceptor refuses the choice.
    pub async fn entered_again(&self, round: u64) -> Result<Self, StepError> {
        let next = self.run().next_generation(self.path());
        let generation = self.decide(choice::HookGeneration(round), next).await?;
        let again = self.clone().with_generation(generation);
        self.run().entered_as(again.path());
        Ok(again)
    }

    /// The same call in the generation of `other`, a call of the same step.
    #[must_use]
    pub fn in_generation_of(self, other: &Self) -> Self {
        self.with_generation(other.generation())
    }

    /// Waits; an outcome says that the step ends, or parks, instead of going on.
    pub async fn wait_until(&self, wake_at: Timestamp) -> Option<Outcome> {
        super::wait_until(self, wake_at).await
    }

    /// The steps directly inside its step that have begun, in that order; of more than one entry those of the last.
    ///
    /// Iterations count as inside of their loop.
    #[must_use]
    pub fn children(&self) -> Vec<StepRecord> {
        self.run().records().children(self.record(), self.path())
    }
}

/// `changed` with what is still as in `shown` taken from `real`, place by place.
fn unmasked(changed: &Value, shown: &Value, real: &Value) -> Value {
    match (changed, shown, real) {
        _ if changed == shown => real.clone(),
        (Value::Object(changed), Value::Object(shown), Value::Object(real)) => {
            let entries = changed.iter().map(|(key, value)| match (shown.get(key), real.get(key)) {
                (Some(shown), Some(real)) => (key.clone(), unmasked(value, shown, real)),
                _ => (key.clone(), value.clone()),
            });
            Value::Object(entries.collect())
        }
        (Value::Array(changed), Value::Array(shown), Value::Array(real)) => {
            let items = changed.iter().enumerate().map(|(index, value)| match (shown.get(index), real.get(index)) {
                (Some(shown), Some(real)) => unmasked(value, shown, real),
                _ => value.clone(),
            });
            Value::Array(items.collect())
        }
        _ => changed.clone(),
    }
}
