//! Records with masked secrets, and how a resumed run gets the secrets back.

use std::{borrow::Cow, sync::Arc};

use llmspell_workflows_basic::{
    engine::Decision,
    secrets::{MaskNote, Masker, NotRestored},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{End, Record, StoredValue};

/// A value with masked secrets, and the meaning of each mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskedValue {
    /// The value with its masks.
    pub value: StoredValue,
    /// The meaning of each mask.
    pub masks: Vec<MaskNote>,
}

impl Record {
    /// Returns the record with all secrets masked. Values needed by a resumed run get notes about
    /// their masks.
    pub(crate) fn masked(&self, masker: &Masker) -> Cow<'_, Self> {
        if masker.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut record = self.clone();
        record.each_stored(&mut |stored| mask_stored(stored, masker));
        match &mut record {
            Self::Started(started) => {
                masker.mask(&mut started.input);
                let is_secret = |value: &String| masker.find_in(&Value::String(value.clone())).is_some();
                started.env.retain(|_, value| !value.as_ref().is_some_and(is_secret));
                started.grants.values_mut().flatten().for_each(|grant| masker.mask_text(grant));
                started.labels.values_mut().for_each(|label| masker.mask_text(label));
                started.inputs.values_mut().for_each(|input| masker.mask(Arc::make_mut(input)));
                started.state.values_mut().for_each(|value| masker.mask(value));
            }
            Self::Stuck { error, .. } => **error = masker.masked_error((**error).clone()),
            Self::Decided { decision, masks, .. } => masks.extend(mask_decision(decision, masker)),
            Self::Warned { message, .. } => masker.mask_text(message),
            Self::Asked { by, .. } => by.reason.iter_mut().for_each(|reason| masker.mask_text(reason)),
            Self::Rewound(rewound) => {
                rewound.inputs.values_mut().for_each(|input| masker.mask(Arc::make_mut(input)));
            }
            Self::Redefined(redefined) => {
                let states = redefined.migrated.iter_mut().flat_map(|migrated| migrated.state.values_mut());
                states.for_each(|value| masker.mask(value));
            }
            Self::Ended { end, .. } | Self::Closed { end, .. } => mask_end(end, masker),
            Self::Began { .. } | Self::Stopped { .. } | Self::Suspended { .. } | Self::Resumed { .. } => {}
        }
        Cow::Owned(record)
    }

    /// Replaces the masks in the record with their secrets.
    ///
    /// # Errors
    /// Returns an error if a secret has no value or no longer has the recorded form. The masks of
    /// that value remain.
    pub fn restore_secrets(&mut self, masker: &Masker) -> Result<(), NotRestored> {
        let mut result = Ok(());
        self.each_stored(&mut |stored| {
            if let Err(error) = restore_stored(stored, masker) {
                result = Err(error);
            }
        });
        if let Self::Decided { decision, masks, .. } = self {
            restore_decision(decision, masks, masker)?;
            masks.clear();
        }
        result
    }
}

/// Replaces each value that contains secrets with a masked value and notes about its masks.
fn mask_stored(stored: &mut StoredValue, masker: &Masker) {
    match stored {
        StoredValue::Value(value) if masker.find_in(value).is_some() => {
            let mut value = (**value).clone();
            let masks = masker.mask_noting(&mut value);
            *stored = StoredValue::Masked(Box::new(MaskedValue { value: StoredValue::Value(Arc::new(value)), masks }));
        }
        StoredValue::Object(fields) => {
            fields.iter_mut().for_each(|(_, part)| mask_stored(part, masker));
            let mut names = names_of(fields);
            let masks = masker.mask_noting(&mut names);
            if !masks.is_empty() {
                rename(fields, &names);
                let value = StoredValue::Object(std::mem::take(fields));
                *stored = StoredValue::Masked(Box::new(MaskedValue { value, masks }));
            }
        }
        StoredValue::List(items) => items.iter_mut().for_each(|item| mask_stored(item, masker)),
        StoredValue::Value(_)
        | StoredValue::OutputOf(_)
        | StoredValue::Changed(_)
        | StoredValue::Apart(_)
        | StoredValue::Masked(_) => {}
    }
}

/// Reverts [`mask_stored`].
fn restore_stored(stored: &mut StoredValue, masker: &Masker) -> Result<(), NotRestored> {
    match stored {
        StoredValue::Masked(masked) => {
            let masks = &masked.masks;
            let whole = match &mut masked.value {
                StoredValue::Value(value) => {
                    let mut value = (**value).clone();
                    masker.restore(&mut value, masks)?;
                    StoredValue::Value(Arc::new(value))
                }
                StoredValue::Object(fields) => {
                    let mut names = names_of(fields);
                    masker.restore(&mut names, masks)?;
                    fields.iter_mut().try_for_each(|(_, part)| restore_stored(part, masker))?;
                    rename(fields, &names);
                    StoredValue::Object(std::mem::take(fields))
                }
                _ => return Err(NotRestored::Unfit(String::new())),
            };
            *stored = whole;
            Ok(())
        }
        StoredValue::Object(fields) => fields.iter_mut().try_for_each(|(_, part)| restore_stored(part, masker)),
        StoredValue::List(items) => items.iter_mut().try_for_each(|item| restore_stored(item, masker)),
        StoredValue::Value(_) | StoredValue::OutputOf(_) | StoredValue::Changed(_) | StoredValue::Apart(_) => Ok(()),
    }
}

/// The first of the characters that represent field numbers; these characters do not occur in text.
const NUMBERS: u32 = 0xF_0000;

/// Returns an object with the names of `fields`, each with a character that represents the field's
/// number.
fn names_of(fields: &[(String, StoredValue)]) -> Value {
    let number = |number: usize| u32::try_from(number).ok().and_then(|number| char::from_u32(NUMBERS + number));
    let entry = |(at, (name, _)): (usize, &(String, StoredValue))| {
        (name.clone(), number(at).map_or(Value::Null, |number| number.to_string().into()))
    };
    Value::Object(fields.iter().enumerate().map(entry).collect())
}

/// Renames each field to the name that `names` contains for its number.
fn rename(fields: &mut [(String, StoredValue)], names: &Value) {
    for (name, number) in names.as_object().into_iter().flatten() {
        let number = number.as_str().and_then(|number| number.chars().next()).map(|number| u32::from(number) - NUMBERS);
        if let Some((field, _)) = number.and_then(|number| fields.get_mut(number as usize)) {
            field.clone_from(name);
        }
    }
}

fn mask_end(end: &mut End, masker: &Masker) {
    match end {
        // The values have already been masked individually.
        End::Completed { .. } | End::Cancelled(_) => {}
        End::Skipped(reason) => *reason = masker.masked_reason(reason.clone()),
        End::Failed(failure) => *failure.error = masker.masked_error((*failure.error).clone()),
    }
}

/// Masks the data in a choice; returns notes about the masks.
fn mask_decision(decision: &mut Decision, masker: &Masker) -> Vec<MaskNote> {
    let (mut number, mut masks) = (0, Vec::new());
    decision.each_value(&mut |value: &mut Value| {
        masks.extend(masker.mask_noting(value).into_iter().map(|note| note.within(number)));
        number += 1;
    });
    masks
}

fn restore_decision(decision: &mut Decision, masks: &[MaskNote], masker: &Masker) -> Result<(), NotRestored> {
    if masks.is_empty() {
        return Ok(());
    }
    let (mut number, mut result) = (0, Ok(()));
    decision.each_value(&mut |value: &mut Value| {
        let own: Vec<_> = masks.iter().filter_map(|note| note.of_value(number)).collect();
        if let Err(error) = masker.restore(value, &own) {
            result = Err(error);
        }
        number += 1;
    });
    result
}
