use std::cmp::Ordering;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Value, json};

use super::order::compare;

/// How a value is tested against the one of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less; of numbers or of texts.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// A text or an array contains the value.
    Contains,
    /// A text starts with the value.
    StartsWith,
    /// A text ends with the value.
    EndsWith,
    /// A text matches the regular expression.
    Matches,
    /// One of the values of an array.
    In,
    /// None of the values of an array.
    NotIn,
    /// Null or missing.
    IsNull,
    /// Neither null nor missing.
    NotNull,
}

/// Whether all conditions must hold or any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Match {
    /// Every condition holds.
    #[default]
    All,
    /// At least one holds.
    Any,
}

impl Match {
    /// Joins the answers.
    pub(crate) fn join(self, mut answers: impl Iterator<Item = bool>) -> bool {
        match self {
            Self::All => answers.all(|answer| answer),
            Self::Any => answers.any(|answer| answer),
        }
    }
}

/// A test of one value, ready to be used on many.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    op: Op,
    value: Value,
    pattern: Option<Regex>,
}

impl Test {
    /// Checks that the value fits the operator and compiles a pattern.
    pub(crate) fn new(op: Op, value: Option<Value>) -> Result<Self, String> {
        let needs_none = matches!(op, Op::IsNull | Op::NotNull);
        let value = match (value, needs_none) {
            (None, true) => Value::Null,
            (Some(_), true) => return Err("`is_null` and `not_null` take no `value`".to_owned()),
            (None, false) => return Err("a condition needs a `value`".to_owned()),
            (Some(value), false) => value,
        };
        let pattern = match op {
            Op::Matches => Some(pattern_of(&value)?),
            Op::In | Op::NotIn if !value.is_array() => {
                return Err("`in` and `not_in` need an array as `value`".to_owned());
            }
            Op::StartsWith | Op::EndsWith if !value.is_string() => {
                return Err("`starts_with` and `ends_with` need a string as `value`".to_owned());
            }
            _ => None,
        };
        Ok(Self { op, value, pattern })
    }

    /// Whether `actual` passes; what is missing counts as null, and kinds that cannot be compared do not pass.
    pub(crate) fn passes(&self, actual: Option<&Value>) -> bool {
        let actual = actual.unwrap_or(&Value::Null);
        match self.op {
            Op::Eq => equal(actual, &self.value),
            Op::Ne => !equal(actual, &self.value),
            Op::Lt => self.order(actual) == Some(Ordering::Less),
            Op::Le => matches!(self.order(actual), Some(Ordering::Less | Ordering::Equal)),
            Op::Gt => self.order(actual) == Some(Ordering::Greater),
            Op::Ge => matches!(self.order(actual), Some(Ordering::Greater | Ordering::Equal)),
            Op::Contains => contains(actual, &self.value),
            Op::StartsWith => self.texts(actual).is_some_and(|(text, part)| text.starts_with(part)),
            Op::EndsWith => self.texts(actual).is_some_and(|(text, part)| text.ends_with(part)),
            Op::Matches => match (&self.pattern, actual) {
                (Some(pattern), Value::String(text)) => pattern.is_match(text),
                _ => false,
            },
            Op::In => self.list().iter().any(|value| equal(actual, value)),
            Op::NotIn => !self.list().iter().any(|value| equal(actual, value)),
            Op::IsNull => actual.is_null(),
            Op::NotNull => !actual.is_null(),
        }
    }

    /// The value that it compares with.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    fn order(&self, actual: &Value) -> Option<Ordering> {
        let comparable =
            (actual.is_number() && self.value.is_number()) || (actual.is_string() && self.value.is_string());
        comparable.then(|| compare(actual, &self.value))
    }

    fn texts<'v>(&'v self, actual: &'v Value) -> Option<(&'v str, &'v str)> {
        Some((actual.as_str()?, self.value.as_str()?))
    }

    fn list(&self) -> &[Value] {
        self.value.as_array().map_or(&[], Vec::as_slice)
    }
}

/// A regular expression, in linear time and bounded in size.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("`{text}` is no regular expression: {error}"))
}

/// The schema of one condition, whose subject is called `subject`.
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
            "value": { "description": "What to compare with; an array for `in` and `not_in`, nothing for `is_null`" },
        },
        "additionalProperties": false,
    })
}

fn pattern_of(value: &Value) -> Result<Regex, String> {
    match value {
        Value::String(text) => pattern(text),
        _ => Err("`matches` needs a string as `value`".to_owned()),
    }
}

/// Equal by value, where 1 and 1.0 are the same number.
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
    fn operators() {
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
            let operator: Op = serde_json::from_value(json!(op)).unwrap();
            let test = Test::new(operator, Some(value.clone())).unwrap();
            assert_eq!(test.passes(Some(&actual)), expected, "{actual} {op} {value}");
        }
        assert!(Test::new(Op::IsNull, None).unwrap().passes(None));
        assert!(!Test::new(Op::NotNull, None).unwrap().passes(Some(&json!(null))));
    }

    #[test]
    fn a_value_that_does_not_fit_its_operator_is_refused() {
        let table = [
            (Op::In, Some(json!(1)), "need an array"),
            (Op::StartsWith, Some(json!(1)), "need a string"),
            (Op::Matches, Some(json!("(")), "no regular expression"),
            (Op::Matches, Some(json!("(\\w{900}){900}")), "size limit"),
            (Op::Eq, None, "needs a `value`"),
            (Op::IsNull, Some(json!(1)), "take no `value`"),
        ];
        for (op, value, expected) in table {
            let error = Test::new(op, value).unwrap_err();
            assert!(error.contains(expected), "{op:?}: {error}");
        }
    }
}
