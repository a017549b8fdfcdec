use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::Value;

use super::{Change, Key, StatePath};

/// A part in which two values differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The path of the part; empty for the whole value.
    pub at: Vec<Key>,
    /// The part in the first value, if it exists.
    pub before: Option<Value>,
    /// The part in the second value, if it exists.
    pub after: Option<Value>,
}

impl Difference {
    /// Returns the path as a JSON pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self) -> String {
        let escaped = |key: &Key| match key {
            Key::Name(name) => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
            Key::Index(index) => format!("/{index}"),
        };
        self.at.iter().map(escaped).collect()
    }
}

/// Serializes as `{"path": POINTER, "before": …, "after": …}`, without missing values.
impl Serialize for Difference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Difference", 3)?;
        out.serialize_field("path", &self.pointer())?;
        for (name, value) in [("before", &self.before), ("after", &self.after)] {
            match value {
                Some(value) => out.serialize_field(name, value)?,
                None => out.skip_field(name)?,
            }
        }
        out.end()
    }
}

/// Returns the smallest parts in which `after` differs from `before`, comparing fields by name and items by index.
///
/// ```
/// use llmspell_workflows_basic::state::differences;
/// use serde_json::json;
///
/// let (before, after) = (json!({"n": 1, "list": [1, 2]}), json!({"n": 1, "list": [1, 3, 4]}));
/// let places: Vec<_> = differences(&before, &after).iter().map(|part| part.pointer()).collect();
/// assert_eq!(places, ["/list/1", "/list/2"]);
/// ```
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut parts = Vec::new();
    compare(&mut parts, Vec::new(), Some(before), Some(after));
    parts
}

fn compare(parts: &mut Vec<Difference>, at: Vec<Key>, before: Option<&Value>, after: Option<&Value>) {
    let inside = |key: Key| [at.as_slice(), &[key]].concat();
    match (before, after) {
        _ if before == after => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            let mut keys: Vec<_> = old.keys().chain(added).collect();
            keys.sort_unstable();
            for key in keys {
                compare(parts, inside(Key::Name(key.clone())), old.get(key), new.get(key));
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                compare(parts, inside(Key::Index(index)), old.get(index), new.get(index));
            }
        }
        (before, after) => parts.push(Difference { at, before: before.cloned(), after: after.cloned() }),
    }
}

/// Returns the changes that turn the state `before` into `after`, each setting
/// the smallest possible part.
///
/// A state cannot lose a key, so a key that is missing in `after` becomes null.
#[must_use]
pub fn changes_between(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return changes };
    for (key, value) in new {
        set(&mut changes, vec![Key::Name(key.clone())], old.get(key), value);
    }
    let removed = old.keys().filter(|key| !new.contains_key(*key));
    changes.extend(removed.map(|key| Change::key(key.clone(), Value::Null)));
    changes
}

fn set(changes: &mut Vec<Change>, at: Vec<Key>, before: Option<&Value>, after: &Value) {
    let inside = |key: Key| [at.as_slice(), &[key]].concat();
    match (before, after) {
        (Some(before), after) if before == after => {}
        (Some(Value::Object(old)), Value::Object(new)) if old.keys().all(|key| new.contains_key(key)) => {
            for (key, value) in new {
                set(changes, inside(Key::Name(key.clone())), old.get(key), value);
            }
        }
        (Some(Value::Array(old)), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                set(changes, inside(Key::Index(index)), Some(old), new);
            }
        }
        // Setting the fields creates the object, and allows several branches to
        // each create a part of it.
        (None, Value::Object(new)) if !new.is_empty() => {
            for (key, value) in new {
                set(changes, inside(Key::Name(key.clone())), None, value);
            }
        }
        (_, after) => changes.push(Change::set(StatePath(at), after.clone())),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::state::WorkflowState;

    #[test]
    fn differences_name_only_the_smallest_differing_parts() {
        for (before, after, expected) in [
            (json!({"a": 1}), json!({"a": 1}), json!([])),
            (json!({"a": 1}), json!({"b": null}), json!([{"path": "/a", "before": 1}, {"path": "/b", "after": null}])),
            (json!({"a": {"b": [1]}}), json!({"a": {"b": [2]}}), json!([{"path": "/a/b/0", "before": 1, "after": 2}])),
            (
                json!({"x/y": 1, "~": 1}),
                json!({}),
                json!([{"path": "/x~1y", "before": 1}, {"path": "/~0", "before": 1}]),
            ),
            (json!([1]), json!({"a": 1}), json!([{"path": "", "before": [1], "after": {"a": 1}}])),
        ] {
            assert_eq!(json!(differences(&before, &after)), expected, "{before} {after}");
        }
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(json!(null)), any::<u8>().prop_map(|n| json!(n)), "[a-c.]{0,2}".prop_map(|s| json!(s))];
        let value = leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::hash_map("[a-c.]{1,2}", inner, 0..3).prop_map(|map| json!(map)),
            ]
        });
        prop::collection::hash_map("[a-c.]{1,2}", value, 0..4).prop_map(|map| json!(map))
    }

    proptest! {
        #[test]
        fn changes_between_two_states_turn_one_into_the_other(before in object(), after in object()) {
            let mut state = WorkflowState::default();
            for (key, value) in before.as_object().unwrap() {
                state.apply(Change::key(key, value.clone()), Timestamp::UNIX_EPOCH).unwrap();
            }
            for change in changes_between(&before, &after) {
                state.apply(change, Timestamp::UNIX_EPOCH).unwrap();
            }
            let mut expected = after.as_object().unwrap().clone();
            for key in before.as_object().unwrap().keys() {
                expected.entry(key.clone()).or_insert(Value::Null);
            }
            prop_assert_eq!(state.to_value(), Value::Object(expected));
        }
    }
}
