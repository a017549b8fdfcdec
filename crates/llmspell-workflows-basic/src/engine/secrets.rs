//! Masks secrets: recorded outputs and errors contain `***` in their place.

use std::{cmp::Reverse, sync::Arc};

use serde_json::Value;

use super::{Failure, Outcome, Run};
use crate::{
    StepError,
    activity::ActivityOutput,
    state::{Parts, SharedValue},
};

const MASK: &str = "***";

impl Run {
    /// Masks every secret value in an output.
    pub(crate) fn mask_output(&self, output: &mut ActivityOutput) {
        if !self.secrets.is_empty() {
            self.mask(&mut output.output);
            output.state_changes.iter_mut().for_each(|change| change.each_value(|value| self.mask(value)));
        }
    }

    /// Returns an error with every secret value masked.
    pub(crate) fn masked(&self, mut error: StepError) -> StepError {
        if !self.secrets.is_empty() {
            self.mask_text(&mut error.message);
            error.details.iter_mut().for_each(|details| self.mask(details));
            error.cause = error.cause.map(|cause| Box::new(self.masked(*cause)));
        }
        error
    }

    /// Returns an outcome with every secret value masked.
    pub(crate) fn masked_outcome(&self, outcome: Outcome, with_output: bool) -> Outcome {
        match outcome {
            Outcome::Completed(mut output) if with_output => {
                output.value = self.masked_value(output.value);
                output.state_changes.iter_mut().for_each(|change| change.each_value(|value| self.mask(value)));
                Outcome::Completed(output)
            }
            Outcome::Failed(failure) => {
                let later_errors = failure.later_errors.into_iter().map(|error| self.masked(error)).collect();
                Outcome::Failed(Failure { error: Box::new(self.masked(*failure.error)), later_errors, ..failure })
            }
            outcome => outcome,
        }
    }

    /// Returns a value with every secret masked. Parts that come from the state are already masked.
    fn masked_value(&self, value: SharedValue) -> SharedValue {
        match value.parts() {
            Some(Parts::Object(fields)) => {
                let field = |(name, value): &(String, SharedValue)| {
                    (self.masked_text(name.clone()), self.masked_value(value.clone()))
                };
                SharedValue::object(fields.iter().map(field).collect())
            }
            Some(Parts::Array(items)) => {
                SharedValue::array(items.iter().map(|item| self.masked_value(item.clone())).collect())
            }
            Some(Parts::List(_)) => value,
            None => {
                let mut whole = value.to_arc();
                self.mask(Arc::make_mut(&mut whole));
                whole.into()
            }
        }
    }

    /// Checks that `value`, which is to be recorded as `what`, does not contain a secret.
    ///
    /// A masked value would mean something else when it is read back.
    ///
    /// # Errors
    /// Returns an error that names the secret if `value` contains one.
    pub fn check_recorded(&self, what: &str, value: &Value) -> Result<(), StepError> {
        let Some(name) = self.find_secret(value) else { return Ok(()) };
        let message = format!(
            "{what} would be recorded, but contains the secret `{name}`; use secrets only in the parameters of activities"
        );
        Err(StepError::configuration("secret_would_be_recorded", message))
    }

    /// Returns the name of a secret that `value` contains.
    fn find_secret(&self, value: &Value) -> Option<&str> {
        if self.secrets.is_empty() {
            return None;
        }
        let in_text = |text: &str| {
            let known = self.secrets.iter().filter_map(|(name, secret)| Some((name, secret.as_str()?)));
            let mut known = known.filter(|(_, secret)| !secret.is_empty());
            known.find(|(_, secret)| text.contains(secret)).map(|(name, _)| name.as_str())
        };
        match value {
            Value::String(text) => in_text(text),
            Value::Array(items) => items.iter().find_map(|item| self.find_secret(item)),
            Value::Object(map) => map.iter().find_map(|(key, item)| in_text(key).or_else(|| self.find_secret(item))),
            _ => None,
        }
    }

    /// Returns whether the run has secrets.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Returns `text` with every secret value masked.
    pub(crate) fn masked_text(&self, mut text: String) -> String {
        self.mask_text(&mut text);
        text
    }

    /// Masks every secret inside `value`.
    pub fn mask(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.mask_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item)),
            Value::Object(map) => {
                if map.keys().any(|key| self.masked_text(key.clone()) != *key) {
                    let fields = std::mem::take(map).into_iter();
                    map.extend(fields.map(|(key, item)| (self.masked_text(key), item)));
                }
                map.values_mut().for_each(|item| self.mask(item));
            }
            _ => {}
        }
    }

    fn mask_text(&self, text: &mut String) {
        let secrets = self.secrets.values().filter_map(Value::as_str);
        let mut secrets: Vec<&str> = secrets.filter(|secret| !secret.is_empty()).collect();
        // A secret that contains another is masked first; otherwise the rest of it would remain visible.
        secrets.sort_unstable_by_key(|secret| Reverse(secret.len()));
        for secret in secrets {
            if text.contains(secret) {
                *text = text.replace(secret, MASK);
            }
        }
    }
}
