//! Values that refer to what other steps gave instead of holding it again.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use llmspell_workflows_basic::state::{Change, StatePath};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// A large value that is kept apart, by its hash; only in records of runs that have ended.
    #[serde(rename = "b")]
    Apart(String),
}

/// A change of the state in a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptChange {
    /// Which part of the state.
    pub path: StatePath,
    /// Its value from then on.
    pub value: Kept,
}

impl KeptChange {
    /// A change that holds its value itself.
    pub(crate) fn whole(change: &Change) -> Self {
        Self { path: change.path.clone(), value: Kept::Value(Arc::new(change.value.clone())) }
    }
}

/// How large a value is at least, in bytes of JSON or so, to be referred to instead of copied.
pub(crate) const LINKED_FROM: usize = 64;

/// The outputs of a run's steps, found by what they are.
#[derive(Debug, Default)]
pub(crate) struct Known {
    by_hash: HashMap<u64, Vec<(String, Arc<Value>)>>,
    by_path: HashMap<String, Arc<Value>>,
}

impl Known {
    /// Notes what the step at `path` gave, where it is worth a reference.
    ///
    /// What a step gives when it ends again, after a run was rewound, is not referred to: there may be references to
    /// what it gave before.
    pub(crate) fn add(&mut self, path: &str, value: &Arc<Value>) {
        if is_large(value) && !self.by_path.contains_key(path) {
            self.by_hash.entry(hash(value)).or_default().push((path.to_owned(), value.clone()));
            self.by_path.insert(path.to_owned(), value.clone());
        }
    }

    /// `value` as it is kept.
    pub(crate) fn keep(&self, value: &Arc<Value>) -> Kept {
        self.linked(value).unwrap_or_else(|| Kept::Value(value.clone()))
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
    pub(crate) fn value(&self, kept: &Kept) -> Result<Arc<Value>, String> {
        match kept {
            Kept::Value(value) => Ok(value.clone()),
            Kept::Apart(hash) => Err(format!("the large value {hash}")),
            Kept::OutputOf(path) => self.by_path.get(path).cloned().ok_or_else(|| path.clone()),
            Kept::Object(fields) => {
                let fields = fields.iter().map(|(key, kept)| Ok((key.clone(), unshared(self.value(kept)?))));
                Ok(Arc::new(Value::Object(fields.collect::<Result<Map<_, _>, String>>()?)))
            }
            Kept::List(items) => {
                let items = items.iter().map(|kept| Ok(unshared(self.value(kept)?)));
                Ok(Arc::new(Value::Array(items.collect::<Result<_, String>>()?)))
            }
        }
    }

    /// `changes` as they are kept.
    pub(crate) fn keep_changes(&self, changes: &[Change]) -> Vec<KeptChange> {
        let keep = |change: &Change| self.keep(&Arc::new(change.value.clone()));
        changes.iter().map(|change| KeptChange { path: change.path.clone(), value: keep(change) }).collect()
    }

    /// The changes that were kept.
    pub(crate) fn changes(&self, kept: &[KeptChange]) -> Result<Vec<Change>, String> {
        let restore = |KeptChange { path, value }: &KeptChange| {
            Ok(Change { path: path.clone(), value: unshared(self.value(value)?) })
        };
        kept.iter().map(restore).collect()
    }
}

fn unshared(value: Arc<Value>) -> Value {
    Arc::unwrap_or_clone(value)
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
        known.add("/main/a", &long);
        known.add("/main/small", &Arc::new(json!(1)));
        (known, long)
    }

    #[test]
    fn what_a_step_gave_is_referred_to_wherever_it_stands() {
        let (known, long) = known();
        assert_eq!(known.keep(&long), Kept::OutputOf("/main/a".to_owned()));
        let around = Arc::new(json!({"a": *long, "list": [1, *long]}));
        let kept = known.keep(&around);
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains("xxx") && text.len() < 120, "{text}");
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept);
        assert_eq!(known.value(&kept).unwrap(), around);
    }

    #[test]
    fn what_is_small_or_new_is_held_itself() {
        let (known, _) = known();
        for value in [json!(1), json!(null), json!({"text": "y".repeat(100)})] {
            assert_eq!(known.keep(&Arc::new(value.clone())), Kept::Value(Arc::new(value)));
        }
    }

    #[test]
    fn a_reference_to_nothing_is_named() {
        let (known, _) = known();
        let kept = Kept::List(vec![Kept::OutputOf("/main/gone".to_owned())]);
        assert_eq!(known.value(&kept), Err("/main/gone".to_owned()));
    }
}
