//! The secrets of a run.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{Call, Compensable, Decision, Engine, Output, Run};
use crate::{
    StepError,
    activity::ActivityOutput,
    model::Definition,
    secrets::{Masker, is_too_short, too_short, words},
    state::{Change, Edit, WorkflowState},
};

impl Engine {
    /// Returns the masker of the engine's secrets.
    #[must_use]
    pub fn masker(&self) -> &Masker {
        &self.0.masker
    }

    /// Returns the masker for runs of `definition`. Field names that occur as words in
    /// the definition remain readable.
    ///
    /// # Errors
    /// Fails if a secret listed by the definition is too short.
    pub(super) fn masker_for(&self, definition: &Definition) -> Result<Masker, StepError> {
        let short = definition.secrets.iter().find(|name| self.0.secrets.get(*name).is_some_and(|v| is_too_short(v)));
        if let Some(name) = short {
            return Err(StepError::configuration("secret_too_short", too_short(name)));
        }
        if self.0.masker.is_empty() {
            return Ok(Masker::default());
        }
        let mut fields = BTreeSet::new();
        words(&json!(definition), &mut fields);
        Ok(self.0.masker.keeping(fields))
    }
}

impl Run {
    /// Returns the masker for everything that the run records or shows.
    #[must_use]
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// Returns the output with every secret masked.
    #[must_use]
    pub fn shown_output(&self, mut output: Output) -> Output {
        if !self.masker.is_empty() {
            output.value = self.masker.masked_value(&output.value);
            output.state_changes.iter_mut().for_each(|change| change.each_value(|value| self.masker.mask(value)));
        }
        output
    }

    /// Returns the decision with every secret in its data masked.
    #[must_use]
    pub fn shown_decision(&self, mut decision: Decision) -> Decision {
        if !self.masker.is_empty() && decision.has_data() {
            decision.each_value(&mut |value: &mut Value| self.masker.mask(value));
        }
        decision
    }

    /// Restores the secrets in `changed`, an edited copy of `real` in which secrets were masked.
    /// Every unchanged part is taken from `real`.
    #[must_use]
    pub fn with_secrets(&self, changed: &Value, real: &Value) -> Value {
        if self.masker.find_in(real).is_none() {
            return changed.clone();
        }
        let mut shown = real.clone();
        self.masker.mask(&mut shown);
        unmasked(changed, &shown, real)
    }

    /// Restores the secrets in state changes that were derived from `real` after masking its
    /// secrets.
    #[must_use]
    pub fn changes_with_secrets(&self, mut changed: Vec<Change>, real: &[Change]) -> Vec<Change> {
        if self.masker.is_empty() {
            return changed;
        }
        let shown = self.shown_output(Output { state_changes: real.to_vec(), ..Output::default() }).state_changes;
        for change in &mut changed {
            let Some(at) = real.iter().position(|real| real.path == change.path) else { continue };
            if *change == shown[at] {
                *change = real[at].clone();
            } else if let (Edit::Set(value), Edit::Set(real)) = (&mut change.edit, &real[at].edit) {
                *value = Arc::new(self.with_secrets(value, real));
            }
        }
        changed
    }

    /// Returns the result of an attempt, or an error if it changes a part of the state whose name contains a secret.
    pub(super) fn checked_changes(&self, output: ActivityOutput) -> Result<ActivityOutput, StepError> {
        if !self.masker.is_empty() {
            let paths = output.state_changes.iter().map(|change| (change.path.to_string(), Value::Null));
            self.check_recorded("the path of a state change", &Value::Object(paths.collect()))?;
        }
        Ok(output)
    }

    /// Checks that `value`, which will be recorded as `what`, does not contain a secret.
    ///
    /// A masked value would have a different meaning when it is read back.
    ///
    /// # Errors
    /// Returns an error that names the secret if `value` contains one.
    pub fn check_recorded(&self, what: &str, value: &Value) -> Result<(), StepError> {
        let Some(name) = self.masker.find_in(value) else { return Ok(()) };
        let message = format!(
            "{what} would be recorded, but contains the secret `{name}`; use secrets only in activity parameters"
        );
        Err(StepError::configuration("secret_would_be_recorded", message))
    }
}

impl Decision {
    /// Returns whether the decision contains run data. Later steps read this data, and it may
    /// contain secrets.
    #[must_use]
    pub fn has_data(&self) -> bool {
        matches!(
            self,
            Self::Items(_)
                | Self::Resolved(..)
                | Self::Compensable(_)
                | Self::ForkPart(_)
                | Self::HookAnswer(..)
                | Self::HookAnswerTo(..)
                | Self::HookAnswerToSignal(..)
        )
    }

    /// Calls `visit` with each data value in the decision.
    pub fn each_value(&mut self, visit: &mut dyn FnMut(&mut Value)) {
        match self {
            Self::Items(items) => Arc::make_mut(items).iter_mut().for_each(visit),
            Self::Resolved(_, value) => visit(value),
            Self::Compensable(Compensable::With(value))
            | Self::HookAnswer(.., value)
            | Self::HookAnswerTo(_, value)
            | Self::HookAnswerToSignal(_, value) => visit(Arc::make_mut(value)),
            Self::ForkPart(output) => {
                let mut value = Arc::unwrap_or_clone(output.value.to_arc());
                visit(&mut value);
                output.value = Arc::new(value).into();
                output.state_changes.iter_mut().for_each(|change| change.each_value(&mut *visit));
            }
            _ => {}
        }
    }
}

impl Call {
    /// Returns the step's view of the state, with secrets masked.
    #[must_use]
    pub fn shown_state(&self) -> WorkflowState {
        let (mut state, masker) = (self.state().clone(), self.run().masker());
        if masker.is_empty() {
            return state;
        }
        let changed = |(key, value): (&str, &Value)| {
            masker.find_in(value)?;
            let mut shown = value.clone();
            masker.mask(&mut shown);
            Some(Change::key(key, shown))
        };
        let keys = self.state().keys().filter_map(|key| Some((key, self.state().key(key)?)));
        for change in keys.filter_map(changed).collect::<Vec<_>>() {
            // Setting a whole key never fails.
            let _ = state.apply(change, self.run().now());
        }
        state
    }
}

/// Restores masked values: every part of `changed` that equals `shown` is taken from `real`.
pub(super) fn unmasked(changed: &Value, shown: &Value, real: &Value) -> Value {
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
