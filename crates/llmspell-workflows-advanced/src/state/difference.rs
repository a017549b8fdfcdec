use serde::Serialize;
use serde_json::Value;

/// A part that two states have not in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StateDifference {
    /// Which part, as a JSON pointer (RFC 6901); empty: the whole.
    pub path: String,
    /// What was there; none: nothing.
    pub before: Option<Value>,
    /// What is there; none: nothing.
    pub after: Option<Value>,
}

/// The smallest parts in which `after` differs from `before`: properties in order, then items.
///
/// ```
/// use llmspell_workflows_advanced::state::difference;
/// use serde_json::json;
///
/// let parts = difference(&json!({"n": 1, "list": [1, 2]}), &json!({"n": 1, "list": [1, 3, 4]}));
/// let paths: Vec<_> = parts.iter().map(|part| part.path.as_str()).collect();
/// assert_eq!(paths, ["/list/1", "/list/2"]);
/// ```
#[must_use]
pub fn difference(before: &Value, after: &Value) -> Vec<StateDifference> {
    let mut parts = Vec::new();
    compare("", Some(before), Some(after), &mut parts);
    parts
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, parts: &mut Vec<StateDifference>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                compare(&format!("{path}/{escaped}"), old.get(key), new.get(key), parts);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                compare(&format!("{path}/{index}"), old.get(index), new.get(index), parts);
            }
        }
        (before, after) if before == after => {}
        (before, after) => {
            let part = StateDifference { path: path.to_owned(), before: before.cloned(), after: after.cloned() };
            parts.push(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        for (before, after, expected) in [
            (json!({"a": 1}), json!({"a": 1}), json!([])),
            (json!({"a": 1}), json!({"b": 1}), json!([["/a", 1, null], ["/b", null, 1]])),
            (json!({"a": {"b": [1]}}), json!({"a": {"b": [2]}}), json!([["/a/b/0", 1, 2]])),
            (json!({"x/y": 1, "~": 1}), json!({}), json!([["/x~1y", 1, null], ["/~0", 1, null]])),
            (json!([1]), json!({"a": 1}), json!([["", [1], {"a": 1}]])),
        ] {
            let parts: Vec<_> = difference(&before, &after)
                .into_iter()
                .map(|part| json!([part.path, part.before, part.after]))
                .collect();
            assert_eq!(json!(parts), expected, "{before} {after}");
        }
    }
}
