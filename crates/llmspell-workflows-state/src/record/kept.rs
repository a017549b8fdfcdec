//! Values that refer to what other steps gave instead of holding it again.

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
    End,
    changed::{ChangeRef, Changed, Own},
};

/// A value in a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Kept {
    /// The value itself.
    #[serde(rename = "v")]
    Value(Arc<Value>),
    /// The output of the step at this path.
    #[serde(rename = "r")]
    OutputOf(String),
    /// An object some of whose fields are outputs of steps.
    #[serde(rename = "o")]
    Object(Vec<(String, Kept)>),
    /// A list some of whose items are outputs of steps.
    #[serde(rename = "a")]
    List(Vec<Kept>),
    /// What a step left where it changed the state.
    #[serde(rename = "c")]
    Changed(ChangeRef),
    /// A large value that is kept apart, by its hash; only in records of runs that have ended.
    #[serde(rename = "b")]
    Apart(String),
}

/// How large a value is at least, in bytes of JSON or so, to be referred to instead of copied.
pub(crate) const LINKED_FROM: usize = 64;

/// The outputs of a run's steps and what they changed in the state, found by what they are.
#[derive(Debug, Default)]
pub(crate) struct Known {
    by_hash: HashMap<u64, Vec<(String, Arc<Value>)>>,
    /// The outputs that are made of parts, by their addresses.
    by_address: HashMap<usize, String>,
    by_path: HashMap<String, SharedValue>,
    pub(super) changed: Changed,
}

impl Known {
    /// Notes what the step at `path` changed, which what it gives may refer to.
    pub(crate) fn note_changes(&mut self, path: &str, changes: &[Change]) {
        self.changed.add(path, changes);
    }

    /// Notes how the step at `path` completed.
    ///
    /// What a step gives when it ends again, after a run was rewound, is not referred to: there may be references to
    /// what it gave before.
    pub(crate) fn add(&mut self, path: &str, output: &Output) {
        self.note_changes(path, &output.state_changes);
        let value = &output.value;
        if self.by_path.contains_key(path) || !is_worth_a_reference(value) {
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

    /// How the step at `path` completed, as it is kept. What it `gathers` are outputs of other steps.
    ///
    /// Without a path it is the run as a whole, which nothing refers to.
    pub(crate) fn keep(&self, path: Option<&str>, output: &Output, gathers: bool) -> End {
        let changes = output.state_changes.iter().map(|change| self.keep_change(change, gathers)).collect();
        let own = path.map_or_else(Own::default, |path| self.changed.of_step(path, &output.state_changes));
        End::Completed { output: self.keep_value(&output.value, &own, gathers), changes }
    }

    /// `value` as it is kept, with references to outputs, and to what steps changed, `own` among them.
    pub(super) fn keep_value(&self, value: &SharedValue, own: &Own<'_>, gathers: bool) -> Kept {
        let changed = || own.find(value).or_else(|| self.changed.find(value).cloned());
        match value.parts() {
            None if gathers => self.linked(value).unwrap_or_else(|| Kept::Value(value.to_arc())),
            None => Kept::Value(value.to_arc()),
            Some(_) if gathers && self.by_address.contains_key(&value.address()) => {
                Kept::OutputOf(self.by_address[&value.address()].clone())
            }
            Some(Parts::List(_)) => changed().map_or_else(|| Kept::Value(value.to_arc()), Kept::Changed),
            Some(Parts::Object(fields)) => {
                let field = |(name, part): &(String, SharedValue)| (name.clone(), self.keep_value(part, own, gathers));
                Kept::object(value, fields.iter().map(field).collect())
            }
            Some(Parts::Array(items)) => {
                Kept::list(value, items.iter().map(|item| self.keep_value(item, own, gathers)).collect())
            }
        }
    }

    /// `value` with references in it; `None` where there is nothing to refer to.
    fn linked(&self, value: &Value) -> Option<Kept> {
        if !is_large(value) {
            return None;
        }
        if let Some(candidates) = self.by_hash.get(&hash(value))
            && let Some((path, _)) = candidates.iter().find(|(_, known)| **known == *value)
        {
            return Some(Kept::OutputOf(path.clone()));
        }
        let part = |value: &Value| {
            let linked = self.linked(value);
            (linked.is_some(), linked.unwrap_or_else(|| Kept::Value(Arc::new(value.clone()))))
        };
        match value {
            Value::Object(map) => {
                let parts: Vec<_> = map.iter().map(|(key, value)| (key, part(value))).collect();
                let any = parts.iter().any(|(_, (is_linked, _))| *is_linked);
                any.then(|| Kept::Object(parts.into_iter().map(|(key, (_, kept))| (key.clone(), kept)).collect()))
            }
            Value::Array(items) => {
                let parts: Vec<_> = items.iter().map(part).collect();
                let any = parts.iter().any(|(is_linked, _)| *is_linked);
                any.then(|| Kept::List(parts.into_iter().map(|(_, kept)| kept).collect()))
            }
            _ => None,
        }
    }

    /// The value that was kept; `Err` names a step that is referred to and has no output.
    pub(crate) fn value(&self, kept: &Kept) -> Result<SharedValue, String> {
        match kept {
            Kept::Value(value) => Ok(value.clone().into()),
            Kept::Apart(hash) => Err(format!("the large value {hash}")),
            Kept::OutputOf(path) => self.by_path.get(path).cloned().ok_or_else(|| path.clone()),
            Kept::Changed(place) => self.changed.get(place),
            Kept::Object(fields) => {
                let fields = fields.iter().map(|(key, kept)| Ok((key.clone(), self.value(kept)?)));
                Ok(SharedValue::object(fields.collect::<Result<_, String>>()?))
            }
            Kept::List(items) => {
                let items = items.iter().map(|kept| self.value(kept));
                Ok(SharedValue::array(items.collect::<Result<_, String>>()?))
            }
        }
    }
}

impl Kept {
    /// An object of these fields, which is the value itself where nothing in it is a reference.
    fn object(value: &SharedValue, fields: Vec<(String, Self)>) -> Self {
        let is_whole = fields.iter().all(|(_, kept)| matches!(kept, Self::Value(_)));
        if is_whole { Self::Value(value.to_arc()) } else { Self::Object(fields) }
    }

    /// The same for a list.
    fn list(value: &SharedValue, items: Vec<Self>) -> Self {
        let is_whole = items.iter().all(|kept| matches!(kept, Self::Value(_)));
        if is_whole { Self::Value(value.to_arc()) } else { Self::List(items) }
    }
}

/// Whether it is large, or a list that grows is in it: how large that is would take as long to say as it is.
fn is_worth_a_reference(value: &SharedValue) -> bool {
    match value.parts() {
        None => is_large(value),
        Some(Parts::List(_)) => true,
        Some(Parts::Object(fields)) => fields.iter().any(|(_, part)| is_worth_a_reference(part)) || is_large(value),
        Some(Parts::Array(items)) => items.iter().any(is_worth_a_reference) || is_large(value),
    }
}

/// Whether a value takes [`LINKED_FROM`] bytes or more as JSON, near enough.
fn is_large(value: &Value) -> bool {
    takes_at_least(value, LINKED_FROM)
}

/// Whether a value takes so many bytes as JSON, near enough.
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

    fn known() -> (Known, Arc<Value>) {
        let long = Arc::new(json!({"text": "x".repeat(100)}));
        let mut known = Known::default();
        known.add("/main/a", &Output::new(long.clone()));
        known.add("/main/small", &Output::new(json!(1)));
        (known, long)
    }

    fn keep(known: &Known, value: impl Into<SharedValue>) -> Kept {
        let End::Completed { output, .. } = known.keep(None, &Output::new(value), true) else { unreachable!() };
        output
    }

    #[test]
    fn what_a_step_gave_is_referred_to_wherever_it_stands() {
        let (known, long) = known();
        assert_eq!(keep(&known, long.clone()), Kept::OutputOf("/main/a".to_owned()));
        let around = json!({"a": *long, "list": [1, *long]});
        let kept = keep(&known, around.clone());
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains("xxx") && text.len() < 120, "{text}");
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept);
        assert_eq!(known.value(&kept).unwrap(), around.into());
    }

    #[test]
    fn what_is_small_or_new_is_held_itself() {
        let (known, _) = known();
        for value in [json!(1), json!(null), json!({"text": "y".repeat(100)})] {
            assert_eq!(keep(&known, value.clone()), Kept::Value(Arc::new(value)));
        }
    }

    #[test]
    fn a_reference_to_nothing_is_named() {
        let (known, _) = known();
        let kept = Kept::List(vec![Kept::OutputOf("/main/gone".to_owned())]);
        assert_eq!(known.value(&kept), Err("/main/gone".to_owned()));
    }
}
