//! Combines the values that branches, starting from the same value, set for the same part of the
//! state.

use serde_json::{Map, Number, Value};

use super::exact_sum;

/// Returns `before` with the items appended by each of `values`, in order; `None` if one of them
/// does not begin with `before`.
///
/// If there is no previous value, arrays are concatenated, and other values
/// become the items of a new list.
pub(super) fn appended(before: Option<&Value>, values: &[(String, Value)]) -> Option<Value> {
    let values: Vec<&Value> = values.iter().map(|(_, value)| value).collect();
    match before.filter(|before| !before.is_null()) {
        Some(Value::Array(before)) => {
            let mut all = before.clone();
            for value in values {
                all.extend(value.as_array()?.strip_prefix(before.as_slice())?.iter().cloned());
            }
            Some(Value::Array(all))
        }
        Some(_) => None,
        None if values.iter().all(|value| value.is_array()) => {
            Some(values.into_iter().filter_map(Value::as_array).flatten().cloned().collect())
        }
        None if values.iter().any(|value| value.is_array()) => None,
        None => Some(values.into_iter().cloned().collect()),
    }
}

/// Returns `before`, or 0, plus the amounts that `values` added to it. Objects are summed field by
/// field. Returns `None` if one of the values or the sum is not a number.
pub(super) fn added(before: Option<&Value>, values: &[(String, Value)]) -> Option<Value> {
    let values: Vec<&Value> = values.iter().map(|(_, value)| value).collect();
    sum(before.filter(|before| !before.is_null()), &values)
}

fn sum(before: Option<&Value>, values: &[&Value]) -> Option<Value> {
    let zero = Number::from(0);
    match (before, values) {
        (None | Some(Value::Number(_)), [Value::Number(_), ..]) => {
            let before = before.and_then(Value::as_number).unwrap_or(&zero);
            let after: Option<Vec<&Number>> = values.iter().map(|value| value.as_number()).collect();
            exact_sum::of_changes(before, &after?).map(Value::Number)
        }
        (None | Some(Value::Object(_)), [Value::Object(_), ..]) => {
            let none = Map::new();
            let before = before.and_then(Value::as_object).unwrap_or(&none);
            let objects: Option<Vec<&Map<String, Value>>> = values.iter().map(|value| value.as_object()).collect();
            let objects = objects?;
            let mut fields = before.clone();
            for name in objects.iter().flat_map(|object| object.keys()) {
                let old = before.get(name);
                // A branch whose object lacks the field has added nothing to it.
                let new: Vec<&Value> = objects.iter().filter_map(|object| object.get(name)).collect();
                fields.insert(name.clone(), sum(old, &new)?);
            }
            Some(Value::Object(fields))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(values: Value) -> Vec<(String, Value)> {
        values.as_array().unwrap().iter().map(|value| ("branch".to_owned(), value.clone())).collect()
    }

    #[test]
    fn items_appended_by_branches_are_combined_in_order() {
        for (before, values, expected) in [
            (json!([0]), json!([[0, 1], [0, 2, 3], [0]]), Some(json!([0, 1, 2, 3]))),
            (json!([0]), json!([[0, 1], [0, 1]]), Some(json!([0, 1, 1]))),
            (json!(null), json!([[1], [], [2, 3]]), Some(json!([1, 2, 3]))),
            (json!(null), json!(["a", {"b": 1}]), Some(json!(["a", {"b": 1}]))),
            (json!(null), json!(["a", ["b"]]), None),
            (json!([0]), json!([[1], [0, 2]]), None),
            (json!([0]), json!([[0, 1], 2]), None),
            (json!("text"), json!(["texts", "text."]), None),
        ] {
            assert_eq!(appended(Some(&before), &named(values.clone())), expected, "{before} {values}");
        }
        assert_eq!(appended(None, &named(json!([1, 2]))), Some(json!([1, 2])));
    }

    #[test]
    fn amounts_added_by_branches_are_summed() {
        for (before, values, expected) in [
            (json!(10), json!([11, 12, 10]), Some(json!(13))),
            (json!(10), json!([11, 11]), Some(json!(12))),
            (json!(null), json!([1, 2.5]), Some(json!(3.5))),
            (json!(5), json!([3, 4]), Some(json!(2))),
            (json!(0.5), json!([1, 1.5]), Some(json!(2.0))),
            (json!(u64::MAX - 2), json!([u64::MAX - 1, u64::MAX - 1]), Some(json!(u64::MAX))),
            (json!(u64::MAX), json!([u64::MAX, 0]), Some(json!(0))),
            (json!(u64::MAX - 1), json!([u64::MAX, u64::MAX]), None),
            (json!(i64::MIN), json!([i64::MIN, -1]), Some(json!(-1))),
            (json!({"FI": 1}), json!([{"FI": 3}, {"FI": 1, "NL": 2}]), Some(json!({"FI": 3, "NL": 2}))),
            (json!(null), json!([{"a": {"b": 1}}, {"a": {"b": 2}}]), Some(json!({"a": {"b": 3}}))),
            (json!(1), json!([2, "3"]), None),
            (json!("1"), json!([2, 3]), None),
            (json!(null), json!([1e308, 1e308]), None),
            (json!({"a": 1}), json!([{"a": 2}, {"a": "x"}]), None),
        ] {
            assert_eq!(added(Some(&before), &named(values.clone())), expected, "{before} {values}");
        }
        assert_eq!(added(None, &named(json!([1, 2]))), Some(json!(3)));
    }
}
