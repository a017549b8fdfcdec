use std::cmp::Ordering;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::order::compare;

/// The operator that compares a value with the condition's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less than, for numbers and strings.
    Lt,
    /// Less than or equal.
    Le,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// A string or an array contains the value.
    Contains,
    /// A string starts with the value.
    StartsWith,
    /// A string ends with the value.
    EndsWith,
    /// A string matches the regular expression.
    Matches,
    /// Equal to an element of an array.
    In,
    /// Not equal to any element of an array.
    NotIn,
    /// Null or missing.
    IsNull,
    /// Neither null nor missing.
    NotNull,
}

/// Whether all conditions must be met, or at least one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Match {
    /// Every condition must be met.
    #[default]
    All,
    /// At least one condition must be met.
    Any,
}

impl Match {
    /// Combines the results of the conditions.
    pub(crate) fn combine(self, mut results: impl Iterator<Item = bool>) -> bool {
        match self {
            Self::All => results.all(|result| result),
            Self::Any => results.any(|result| result),
        }
    }
}

/// A test that can be applied to many values.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    op: Operator,
    value: Value,
    pattern: Option<Regex>,
}

impl Test {
    /// Checks that the operator accepts the value, and compiles the pattern of `matches`.
    pub(crate) fn new(op: Operator, value: Option<Value>) -> Result<Self, String> {
        let takes_none = matches!(op, Operator::IsNull | Operator::NotNull);
        let value = match (value, takes_none) {
            (None, true) => Value::Null,
            (Some(_), true) => return Err("`is_null` and `not_null` do not take a `value`".to_owned()),
            (None, false) => return Err("`value` is required".to_owned()),
            (Some(value), false) => value,
        };
        let pattern = match op {
            Operator::Matches => Some(pattern_of(&value)?),
            Operator::In | Operator::NotIn if !value.is_array() => {
                return Err("`value` must be an array for `in` and `not_in`".to_owned());
            }
            Operator::StartsWith | Operator::EndsWith if !value.is_string() => {
                return Err("`value` must be a string for `starts_with` and `ends_with`".to_owned());
            }
            _ => None,
        };
        Ok(Self { op, value, pattern })
    }

    /// Returns whether `actual` passes. A missing value is treated as null, and values that cannot be compared do not
    /// pass.
    pub(crate) fn passes(&self, actual: Option<&Value>) -> bool {
        let actual = actual.unwrap_or(&Value::Null);
        match self.op {
            Operator::Eq => equal(actual, &self.value),
            Operator::Ne => !equal(actual, &self.value),
            Operator::Lt => self.order(actual) == Some(Ordering::Less),
            Operator::Le => matches!(self.order(actual), Some(Ordering::Less | Ordering::Equal)),
            Operator::Gt => self.order(actual) == Some(Ordering::Greater),
            Operator::Ge => matches!(self.order(actual), Some(Ordering::Greater | Ordering::Equal)),
            Operator::Contains => contains(actual, &self.value),
            Operator::StartsWith => self.strings(actual).is_some_and(|(text, part)| text.starts_with(part)),
            Operator::EndsWith => self.strings(actual).is_some_and(|(text, part)| text.ends_with(part)),
            Operator::Matches => match (&self.pattern, actual) {
                (Some(pattern), Value::String(text)) => pattern.is_match(text),
                _ => false,
            },
            Operator::In => self.list().iter().any(|value| equal(actual, value)),
            Operator::NotIn => !self.list().iter().any(|value| equal(actual, value)),
            Operator::IsNull => actual.is_null(),
            Operator::NotNull => !actual.is_null(),
        }
    }

    /// Returns the value to compare with.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    fn order(&self, actual: &Value) -> Option<Ordering> {
        let comparable =
            (actual.is_number() && self.value.is_number()) || (actual.is_string() && self.value.is_string());
        comparable.then(|| compare(actual, &self.value))
    }

    fn strings<'v>(&'v self, actual: &'v Value) -> Option<(&'v str, &'v str)> {
        Some((actual.as_str()?, self.value.as_str()?))
    }

    fn list(&self) -> &[Value] {
        self.value.as_array().map_or(&[], Vec::as_slice)
    }
}

/// Compiles a regular expression with a size limit; matching takes linear time.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("`{text}` is not a valid regular expression: {error}"))
}

/// Returns the schema of a condition that names its subject in the field `subject`, such as `column`.
pub(crate) fn condition_schema(subject: &str) -> Value {
    json!({
        "type": "object",
        "required": [subject, "op"],
        "properties": {
            subject: { "type": "string", "minLength": 1 },
            "op": { "enum": [
                "eq", "ne", "lt", "le", "gt", "ge", "contains", "starts_with", "ends_with", "matches", "in", "not_in",
                "is_null", "not_null",
            ] },
            "value": { "description": "The value to compare with; an array for `in` and `not_in`, omitted for `is_null` and `not_null`" },
        },
        "additionalProperties": false,
    })
}

fn pattern_of(value: &Value) -> Result<Regex, String> {
    match value {
        Value::String(text) => pattern(text),
        _ => Err("`value` must be a string for `matches`".to_owned()),
    }
}

/// Returns whether two values are equal. Numbers are compared by value, so 1 equals 1.0.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    compare(left, right) == Ordering::Equal
}

fn contains(actual: &Value, part: &Value) -> bool {
    match (actual, part) {
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::Array(items), part) => items.iter().any(|item| equal(item, part)),
        (Value::Object(object), Value::String(key)) => object.contains_key(key),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_compare_as_documented() {
        let table = [
            ("eq", json!(1), json!(1.0), true),
            ("eq", json!("1"), json!(1), false),
            ("ne", json!(null), json!(1), true),
            ("lt", json!(1), json!(2), true),
            ("lt", json!("1"), json!(2), false),
            ("le", json!("b"), json!("b"), true),
            ("gt", json!(3), json!(2.5), true),
            ("ge", json!(null), json!(0), false),
            ("contains", json!("abc"), json!("bc"), true),
            ("contains", json!([1, 2]), json!(2), true),
            ("contains", json!({"k": 1}), json!("k"), true),
            ("contains", json!(12), json!("1"), false),
            ("starts_with", json!("abc"), json!("ab"), true),
            ("ends_with", json!("abc"), json!("ab"), false),
            ("matches", json!("a7"), json!("^[a-z][0-9]$"), true),
            ("matches", json!(7), json!("7"), false),
            ("in", json!("a"), json!(["a", "b"]), true),
            ("not_in", json!("a"), json!(["a", "b"]), false),
        ];
        for (op, actual, value, expected) in table {
            let operator: Operator = serde_json::from_value(json!(op)).unwrap();
            let test = Test::new(operator, Some(value.clone())).unwrap();
            assert_eq!(test.passes(Some(&actual)), expected, "{actual} {op} {value}");
        }
        assert!(Test::new(Operator::IsNull, None).unwrap().passes(None));
        assert!(!Test::new(Operator::NotNull, None).unwrap().passes(Some(&json!(null))));
    }

    #[test]
    fn invalid_operands_are_rejected() {
        let table = [
            (Operator::In, Some(json!(1)), "must be an array"),
            (Operator::StartsWith, Some(json!(1)), "must be a string"),
            (Operator::Matches, Some(json!("(")), "not a valid regular expression"),
            (Operator::Matches, Some(json!("(\\w{900}){900}")), "size limit"),
            (Operator::Eq, None, "`value` is required"),
            (Operator::IsNull, Some(json!(1)), "do not take a `value`"),
        ];
        for (op, value, expected) in table {
            let error = Test::new(op, value).unwrap_err();
            assert!(error.contains(expected), "{op:?}: {error}");
        }
    }
}
