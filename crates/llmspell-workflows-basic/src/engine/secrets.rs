//! Secrets stay out of what is recorded: outputs and errors show `***` instead.

use std::sync::Arc;

use serde_json::Value;

use super::{Failure, Outcome, Run};
use crate::{StepError, activity::ActivityOutput};

const MASK: &str = "***";

impl Run {
    /// Masks every secret value in an output.
    pub(crate) fn mask_output(&self, output: &mut ActivityOutput) {
        if !self.secrets.is_empty() {
            self.mask(&mut output.output);
            output.state_changes.iter_mut().for_each(|change| self.mask(&mut change.value));
        }
    }

    /// An error with every secret value masked.
    pub(crate) fn masked(&self, mut error: StepError) -> StepError {
        if !self.secrets.is_empty() {
            self.mask_text(&mut error.message);
            error.details.iter_mut().for_each(|details| self.mask(details));
            error.cause = error.cause.map(|cause| Box::new(self.masked(*cause)));
        }
        error
    }

    /// An outcome with every secret value masked.
    pub(crate) fn masked_outcome(&self, outcome: Outcome, with_output: bool) -> Outcome {
        match outcome {
            Outcome::Completed(mut output) if with_output => {
                self.mask(Arc::make_mut(&mut output.value));
                output.state_changes.iter_mut().for_each(|change| self.mask(&mut change.value));
                Outcome::Completed(output)
            }
            Outcome::Failed(failure) => {
                Outcome::Failed(Failure { error: Box::new(self.masked(*failure.error)), ..failure })
            }
            outcome => outcome,
        }
    }

    /// A text with every secret value masked.
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
        for secret in self.secrets.values().filter_map(Value::as_str).filter(|secret| !secret.is_empty()) {
            if text.contains(secret) {
                *text = text.replace(secret, MASK);
            }
        }
    }
}
