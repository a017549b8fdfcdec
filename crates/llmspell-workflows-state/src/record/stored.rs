//! Values in records, which refer to the outputs of other steps instead of repeating them.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use llmspell_workflows_basic::{
    engine::Output,
    state::{Change, Parts, SharedValue},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    End, MaskedValue, StoredChange,
    change::{ChangeRef, OwnChanges, StateChanges},
};

/// A value in a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StoredValue {
    /// The value itself.
    #[serde(rename = "v")]
    Value(Arc<Value>),
    /// The output of the step at this path.
    #[serde(rename = "r")]
    OutputOf(String),
    /// An object; some of its fields are references.
    #[serde(rename = "o")]
    Object(Vec<(String, StoredValue)>),
    /// A list; some of its items are references.
    #[serde(rename = "a")]
    List(Vec<StoredValue>),
    /// The value stored by a step's state change.
    #[serde(rename = "c")]
    Changed(ChangeRef),
    /// The hash of a large value stored outside the record; only in records of archived runs.
    #[serde(rename = "b")]
    Apart(String),
    /// A value with masked secrets.
    #[serde(rename = "m")]
    Masked(Box<MaskedValue>),
}

/// The minimum estimated size, in bytes of JSON, of a value stored as a reference.
pub(crate) const LINKED_FROM: usize = 64;

/// The outputs and state changes of a run's steps, indexed so that values can refer to them.
#[derive(Debug, Default)]
pub(crate) struct KnownValues {
    by_hash: HashMap<u64, Vec<(String, Arc<Value>)>>,
    /// The steps whose outputs consist of parts, by the address of the output.
    by_address: HashMap<usize, String>,
    by_path: foldhash::HashMap<String, SharedValue>,
    /// Whether outputs of any size are kept; see [`Self::keep_masked`].
    keeps_all: bool,
    pub(super) changed: StateChanges,
}

impl KnownValues {
    /// Adds the state changes of the step at `path`; the output of the step may refer to them.
    pub(crate) fn note_changes(&mut self, path: &str, changes: &[Change]) {
        self.changed.add(path, changes);
    }

    /// Adds the output of the step at `path`.
    ///
    /// If a step runs again after a rewind, no references to its second output are created, since
    /// references to the first may exist.
    pub(crate) fn add(&mut self, path: &str, output: &Output) {
        self.note_changes(path, &output.state_changes);
        let value = &output.value;
        if self.by_path.contains_key(path) || !(self.keeps_all || is_worth_a_reference(value)) {
            return;
        }
        match value.parts() {
            None => {
                let whole = value.to_arc();
                self.by_hash.entry(hash(&whole)).or_default().push((path.to_owned(), whole));
            }
            Some(_) => {
                self.by_address.entry(value.address()).or_insert_with(|| path.to_owned());
            }
        }
        self.by_path.insert(path.to_owned(), value.clone());
    }

    /// Keeps outputs of any size from now on if `end` contains masked secrets. References are
    /// created for unmasked outputs, which may be larger.
    pub(crate) fn keep_masked(&mut self, end: &End) {
        if let End::Completed { output, changes } = end {
            self.keeps_all |=
                output.has_masks() || changes.iter().filter_map(StoredChange::value).any(StoredValue::has_masks);
        }
    }

    /// Returns whether the output of the step at `path` is known, so that a record can refer to it.
    pub(crate) fn has_output(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    /// Returns whether the change is known, so that a record can refer to it.
    pub(crate) fn has_change(&self, change: &super::ChangeRef) -> bool {
        self.changed.has(change)
    }

    /// Returns the end to record for the step at `path`; `gathers` says whether the output consists
    /// of other steps' outputs.
    ///
    /// Without a path, returns the end of the run, which nothing refers to.
    pub(crate) fn store(&self, path: Option<&str>, output: &Output, gathers: bool) -> End {
        let changes = output.state_changes.iter().map(|change| self.store_change(change, gathers)).collect();
        let own = path.map_or_else(OwnChanges::default, |path| self.changed.of_step(path, &output.state_changes));
        End::Completed { output: self.store_value(&output.value, &own, gathers), changes }
    }

    /// Returns the recorded form of `value`, with references to outputs and to state changes, including those in `own`.
    pub(super) fn store_value(&self, value: &SharedValue, own: &OwnChanges<'_>, gathers: bool) -> StoredValue {
        let changed = || own.find(value).or_else(|| self.changed.find(value).cloned());
        match value.parts() {
            None if gathers => self.linked(value).unwrap_or_else(|| StoredValue::Value(value.to_arc())),
            None => StoredValue::Value(value.to_arc()),
            Some(_) if gathers && self.by_address.contains_key(&value.address()) => {
                StoredValue::OutputOf(self.by_address[&value.address()].clone())
            }
            Some(Parts::List(_)) => changed().map_or_else(|| StoredValue::Value(value.to_arc()), StoredValue::Changed),
            Some(Parts::Object(fields)) => {
                let field = |(name, part): &(String, SharedValue)| (name.clone(), self.store_value(part, own, gathers));
                StoredValue::object(value, fields.iter().map(field).collect())
            }
            Some(Parts::Array(items)) => {
                StoredValue::list(value, items.iter().map(|item| self.store_value(item, own, gathers)).collect())
            }
        }
    }

    /// Returns `value` with references in it, or `None` if there is nothing to refer to.
    fn linked(&self, value: &Value) -> Option<StoredValue> {
        if !is_large(value) {
            return None;
        }
        if let Some(candidates) = self.by_hash.get(&hash(value))
            && let Some((path, _)) = candidates.iter().find(|(_, known)| **known == *value)
        {
            return Some(StoredValue::OutputOf(path.clone()));
        }
        let part = |value: &Value| {
            let linked = self.linked(value);
            (linked.is_some(), linked.unwrap_or_else(|| StoredValue::Value(Arc::new(value.clone()))))
        };
        match value {
            Value::Object(map) => {
                let parts: Vec<_> = map.iter().map(|(key, value)| (key, part(value))).collect();
                let any = parts.iter().any(|(_, (is_linked, _))| *is_linked);
                any.then(|| {
                    StoredValue::Object(parts.into_iter().map(|(key, (_, stored))| (key.clone(), stored)).collect())
                })
            }
            Value::Array(items) => {
                let parts: Vec<_> = items.iter().map(part).collect();
                let any = parts.iter().any(|(is_linked, _)| *is_linked);
                any.then(|| StoredValue::List(parts.into_iter().map(|(_, stored)| stored).collect()))
            }
            _ => None,
        }
    }

    /// Returns the recorded value with references resolved; an error names the missing target.
    pub(crate) fn value(&self, stored: &StoredValue) -> Result<SharedValue, String> {
        match stored {
            StoredValue::Value(value) => Ok(value.clone().into()),
            StoredValue::Apart(hash) => Err(format!("the large value {hash}")),
            StoredValue::Masked(masked) => self.value(&masked.value),
            StoredValue::OutputOf(path) => self.by_path.get(path).cloned().ok_or_else(|| path.clone()),
            StoredValue::Changed(location) => self.changed.get(location),
            StoredValue::Object(fields) => {
                let fields = fields.iter().map(|(key, stored)| Ok((key.clone(), self.value(stored)?)));
                Ok(SharedValue::object(fields.collect::<Result<_, String>>()?))
            }
            StoredValue::List(items) => {
                let items = items.iter().map(|stored| self.value(stored));
                Ok(SharedValue::array(items.collect::<Result<_, String>>()?))
            }
        }
    }
}

impl StoredValue {
    /// Returns whether the value itself contains masked secrets.
    pub(crate) fn has_masks(&self) -> bool {
        match self {
            Self::Masked(_) => true,
            Self::Object(fields) => fields.iter().any(|(_, part)| part.has_masks()),
            Self::List(items) => items.iter().any(Self::has_masks),
            Self::Value(_) | Self::OutputOf(_) | Self::Changed(_) | Self::Apart(_) => false,
        }
    }

    /// Returns whether the value contains no references to other records.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Value(_) => true,
            Self::Masked(masked) => masked.value.is_whole(),
            Self::Object(fields) => fields.iter().all(|(_, part)| part.is_whole()),
            Self::List(items) => items.iter().all(Self::is_whole),
            Self::OutputOf(_) | Self::Changed(_) | Self::Apart(_) => false,
        }
    }

    /// Returns an object of these fields, or the value itself if none of them is a reference.
    fn object(value: &SharedValue, fields: Vec<(String, Self)>) -> Self {
        let is_whole = fields.iter().all(|(_, stored)| matches!(stored, Self::Value(_)));
        if is_whole { Self::Value(value.to_arc()) } else { Self::Object(fields) }
    }

    /// Returns a list of these items, or the value itself if none of them is a reference.
    fn list(value: &SharedValue, items: Vec<Self>) -> Self {
        let is_whole = items.iter().all(|stored| matches!(stored, Self::Value(_)));
        if is_whole { Self::Value(value.to_arc()) } else { Self::List(items) }
    }
}

/// Returns whether a value is large or contains a growing list, whose size would take too long to measure.
fn is_worth_a_reference(value: &SharedValue) -> bool {
    match value.parts() {
        None => is_large(value),
        Some(Parts::List(_)) => true,
        Some(Parts::Object(fields)) => fields.iter().any(|(_, part)| is_worth_a_reference(part)) || is_large(value),
        Some(Parts::Array(items)) => items.iter().any(is_worth_a_reference) || is_large(value),
    }
}

/// Returns whether a value's estimated JSON size is at least [`LINKED_FROM`] bytes.
fn is_large(value: &Value) -> bool {
    takes_at_least(value, LINKED_FROM)
}

/// Returns whether a value's estimated JSON size is at least `bytes` bytes.
pub(super) fn takes_at_least(value: &Value, bytes: usize) -> bool {
    fn takes(value: &Value, left: &mut usize) -> bool {
        let own = match value {
            Value::String(text) => text.len() + 2,
            Value::Array(items) => items.len() + 2,
            Value::Object(map) => map.keys().map(|key| key.len() + 4).sum::<usize>() + 2,
            _ => 4,
        };
        *left = left.saturating_sub(own);
        *left == 0
            || match value {
                Value::Array(items) => items.iter().any(|item| takes(item, left)),
                Value::Object(map) => map.values().any(|item| takes(item, left)),
                _ => false,
            }
    }
    takes(value, &mut { bytes })
}

fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> (KnownValues, Arc<Value>) {
        let long = Arc::new(json!({"text": "x".repeat(100)}));
        let mut known = KnownValues::default();
        known.add("/main/a", &Output::new(long.clone()));
        known.add("/main/small", &Output::new(json!(1)));
        (known, long)
    }

    fn store(known: &KnownValues, value: impl Into<SharedValue>) -> StoredValue {
        let End::Completed { output, .. } = known.store(None, &Output::new(value), true) else { unreachable!() };
        output
    }

    #[test]
    fn references_to_outputs_are_stored_at_any_depth() {
        let (known, long) = known();
        assert_eq!(store(&known, long.clone()), StoredValue::OutputOf("/main/a".to_owned()));
        let around = json!({"a": *long, "list": [1, *long]});
        let stored = store(&known, around.clone());
        let text = serde_json::to_string(&stored).unwrap();
        assert!(!text.contains("xxx") && text.len() < 120, "{text}");
        assert_eq!(serde_json::from_str::<StoredValue>(&text).unwrap(), stored);
        assert_eq!(known.value(&stored).unwrap(), around.into());
    }

    #[test]
    fn small_or_new_values_are_stored_inline() {
        let (known, _) = known();
        for value in [json!(1), json!(null), json!({"text": "y".repeat(100)})] {
            assert_eq!(store(&known, value.clone()), StoredValue::Value(Arc::new(value)));
        }
    }

    #[test]
    fn error_names_a_dangling_reference_to_an_output() {
        let (known, _) = known();
        let stored = StoredValue::List(vec![StoredValue::OutputOf("/main/gone".to_owned())]);
        assert_eq!(known.value(&stored), Err("/main/gone".to_owned()));
    }
}
