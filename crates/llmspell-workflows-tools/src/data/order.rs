use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// Compares JSON values in a total order: null, false, true, numbers, strings, arrays, objects.
///
/// Numbers compare by value, so 1 equals 1.0, and integers keep full precision. Strings compare by code point, arrays
/// element by element, and objects by their sorted keys and then by their values.
pub(crate) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            let items = left.iter().zip(right).map(|(left, right)| compare(left, right));
            first_difference(items).then(left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => {
            let mut left: Vec<_> = left.iter().collect();
            let mut right: Vec<_> = right.iter().collect();
            left.sort_by_key(|(key, _)| *key);
            right.sort_by_key(|(key, _)| *key);
            let keys = left.iter().map(|(key, _)| key).cmp(right.iter().map(|(key, _)| key));
            keys.then_with(|| first_difference(left.iter().zip(&right).map(|(left, right)| compare(left.1, right.1))))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

/// Returns a map key for a value: two values have the same key if and only if [`compare`] considers them equal.
pub(crate) fn identity(value: &Value) -> String {
    let mut text = String::new();
    write_identity(value, &mut text);
    text
}

/// Returns the [`identity`] of an object.
pub(crate) fn identity_of(object: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_object_identity(object, &mut text);
    text
}

fn compare_numbers(left: &Number, right: &Number) -> Ordering {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (None, None) => float(left).total_cmp(&float(right)),
        // A float with a fraction never equals an integer; if rounding the integer makes them equal, the integer comes
        // first.
        (Some(_), None) => float(left).total_cmp(&float(right)).then(Ordering::Less),
        (None, Some(_)) => float(left).total_cmp(&float(right)).then(Ordering::Greater),
    }
}

/// Returns the number as an integer, unless it has a fraction or is a float beyond the range of `i128`.
fn integer(number: &Number) -> Option<i128> {
    if let Some(integer) = number.as_i64() {
        return Some(i128::from(integer));
    }
    if let Some(integer) = number.as_u64() {
        return Some(i128::from(integer));
    }
    let float = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked on the same line")]
    (float.fract() == 0.0 && float.abs() < 1e38).then_some(float as i128)
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

fn first_difference(orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

fn write_identity(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => match integer(number) {
            Some(integer) => text.push_str(&integer.to_string()),
            None => text.push_str(&number.to_string()),
        },
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_identity(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(object) => write_object_identity(object, text),
        plain => text.push_str(&plain.to_string()),
    }
}

fn write_object_identity(object: &Map<String, Value>, text: &mut String) {
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    text.push('{');
    for (key, item) in entries {
        text.push_str(&Value::from(key.as_str()).to_string());
        text.push(':');
        write_identity(item, text);
        text.push(',');
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_ordered_as_documented() {
        let ascending = [
            json!(null),
            json!(false),
            json!(true),
            json!(-1.5),
            json!(1),
            json!(1.5),
            json!(9_007_199_254_740_993_u64),
            json!(9_007_199_254_740_994_u64),
            json!(1e300),
            json!("a"),
            json!("b"),
            json!([1]),
            json!([1, 0]),
            json!({"a": 2}),
            json!({"b": 1}),
        ];
        for pair in ascending.windows(2) {
            assert_eq!(compare(&pair[0], &pair[1]), Ordering::Less, "{} < {}", pair[0], pair[1]);
            assert_eq!(compare(&pair[1], &pair[0]), Ordering::Greater);
            assert_ne!(identity(&pair[0]), identity(&pair[1]));
        }
    }

    #[test]
    fn equal_values_have_the_same_identity() {
        let table = [(json!(1), json!(1.0)), (json!([2.0]), json!([2])), (json!({"a": 0.0}), json!({"a": -0.0}))];
        for (left, right) in table {
            assert_eq!(compare(&left, &right), Ordering::Equal, "{left} {right}");
            assert_eq!(identity(&left), identity(&right), "{left} {right}");
        }
    }
}
