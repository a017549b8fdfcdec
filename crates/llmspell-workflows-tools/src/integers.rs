use serde_json::{Number, Value};

/// The magnitude up to which `f64` represents every integer exactly: 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Rewrites `5.0` as `5` wherever `schema`, which `value` matches, requires an integer.
///
/// JSON Schema accepts both as integers. Arithmetic such as `{{ total / 2 }}` yields `5.0`, but only `5` can be
/// deserialized into an integer type.
pub(crate) fn normalize(schema: &Value, value: &mut Value) {
    if wants_integer(schema)
        && let Some(whole) = value.as_f64().filter(|_| value.is_f64()).and_then(to_integer)
    {
        *value = whole;
        return;
    }
    for keyword in ["oneOf", "anyOf", "allOf"] {
        schema[keyword].as_array().into_iter().flatten().for_each(|schema| normalize(schema, value));
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                normalize(schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]), field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| normalize(&schema["items"], item)),
        _ => {}
    }
}

/// Parses an integer from -2^63 to 2^64 - 1.
pub(crate) fn parse(text: &str) -> Option<Value> {
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}

/// Returns a JSON number as an integer, or `None` if the number is a float.
pub(crate) fn of(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

/// Converts an integer to a JSON number, or returns `None` if the integer is out of range.
pub(crate) fn to_value(integer: i128) -> Option<Value> {
    i64::try_from(integer).map(Value::from).or_else(|_| u64::try_from(integer).map(Value::from)).ok()
}

fn wants_integer(schema: &Value) -> bool {
    let names = |name: &str| match &schema["type"] {
        Value::String(one) => one == name,
        Value::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    };
    names("integer") && !names("number")
}

#[expect(clippy::cast_possible_truncation, reason = "the value is an integer of at most 2^53")]
fn to_integer(float: f64) -> Option<Value> {
    (float.fract() == 0.0 && float.abs() <= EXACT_MAX).then(|| Value::Number(Number::from(float as i64)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_values_with_an_integer_schema_are_rewritten() {
        let schema = json!({
            "properties": {
                "count": {"type": "integer"},
                "retry": {"type": ["integer", "object"], "properties": {"times": {"type": "integer"}}},
                "share": {"type": "number"},
                "either": {"type": ["integer", "number"]},
                "rules": {"additionalProperties": {"oneOf": [{"type": "string"}, {"properties": {"min": {"type": "integer"}}}]}},
                "list": {"items": {"type": "integer"}},
            },
        });
        for (given, expected) in [
            (json!({"count": 5.0}), json!({"count": 5})),
            (json!({"count": 5}), json!({"count": 5})),
            (json!({"count": -0.0}), json!({"count": 0})),
            (json!({"count": 1e300}), json!({"count": 1e300})),
            (json!({"retry": 2.0}), json!({"retry": 2})),
            (json!({"retry": {"times": 2.0}}), json!({"retry": {"times": 2}})),
            (json!({"share": 5.0, "either": 5.0, "other": 5.0}), json!({"share": 5.0, "either": 5.0, "other": 5.0})),
            (json!({"rules": {"a": {"min": 1.0}, "b": "text"}}), json!({"rules": {"a": {"min": 1}, "b": "text"}})),
            (json!({"list": [1.0, 2]}), json!({"list": [1, 2]})),
        ] {
            let mut value = given.clone();
            normalize(&schema, &mut value);
            // The values are compared as text, which shows the difference between 5 and 5.0.
            assert_eq!(value.to_string(), expected.to_string(), "{given}");
        }
    }
}
