//! What differs, line by line.

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_definition::to_yaml;
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

/// How many lines around a difference are shown.
const CONTEXT: usize = 3;

/// What differs between two definitions, as lines of YAML.
pub(crate) fn of_definitions(old: &Definition, new: &Definition) -> String {
    of_texts(&to_yaml(old), &to_yaml(new))
}

/// What differs between two texts, with `-` before what only the first has and `+` before what only the second has.
pub(crate) fn of_texts(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(CONTEXT).to_string()
}

/// A place at which two values differ.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Change<'v> {
    /// Where, as a JSON pointer (RFC 6901).
    at: String,
    /// What the first value has there; none where it has nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'v Value>,
    /// What the second value has there; the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'v Value>,
}

/// Where two values differ, each place as deep as it can be told.
pub(crate) fn of_values<'v>(old: &'v Value, new: &'v Value) -> Vec<Change<'v>> {
    let mut changes = Vec::new();
    compare(&mut changes, String::new(), Some(old), Some(new));
    changes
}

fn compare<'v>(changes: &mut Vec<Change<'v>>, at: String, old: Option<&'v Value>, new: Option<&'v Value>) {
    match (old, new) {
        _ if old == new => {}
        (Some(Value::Object(from)), Some(Value::Object(to))) => {
            let added = to.keys().filter(|key| !from.contains_key(*key));
            for key in from.keys().chain(added) {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                compare(changes, format!("{at}/{escaped}"), from.get(key), to.get(key));
            }
        }
        (Some(Value::Array(from)), Some(Value::Array(to))) => {
            for index in 0..from.len().max(to.len()) {
                compare(changes, format!("{at}/{index}"), from.get(index), to.get(index));
            }
        }
        _ => changes.push(Change { at, from: old, to: new }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_difference_stands_where_it_is() {
        let (old, new) = (json!({"a/b": [1, 2], "c": 1}), json!({"a/b": [1, 3, 4], "d": null}));
        let changes = serde_json::to_value(of_values(&old, &new)).unwrap();
        let expected = json!([
            {"at": "/a~1b/1", "from": 2, "to": 3}, {"at": "/a~1b/2", "to": 4}, {"at": "/c", "from": 1}, {"at": "/d", "to": null},
        ]);
        assert_eq!(changes, expected);
        assert_eq!(of_values(&old, &old), []);
    }
}
