//! JSON from outside the process: numbers are kept exactly or rejected.

mod decimal;
mod scan;

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, de::Read};
use thiserror::Error;

pub use decimal::is_exact;
use decimal::is_short;
use scan::Scan;

/// 2^64: the first integer above the supported range.
const ABOVE: f64 = 18_446_744_073_709_551_616.0;

/// -2^63: the lowest integer in the supported range, and the float to which integers just below the
/// range are rounded.
const LEAST: f64 = -9_223_372_036_854_775_808.0;

/// The maximum number of characters of a number shown in a message.
const NUMBER_CHARS_SHOWN_MAX: usize = 40;

/// Why a JSON text was rejected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is not JSON.
    #[error("not valid JSON: {0}")]
    Syntax(serde_json::Error),
    /// An integer in the text is outside the range from -2^63 to 2^64 - 1.
    #[error(
        "`{number}`{} at line {line} column {column} is too large to be represented exactly; write it in quotes to keep \
         it as a string", .pointer.as_ref().map(|pointer| format!(" in `{pointer}`")).unwrap_or_default()
    )]
    TooLarge {
        /// The number as written; the middle of a very long number is omitted.
        number: String,
        /// The JSON pointer to the number; `None` if the number is the whole text.
        pointer: Option<String>,
        /// The line of the number's first digit or sign, counted from 1.
        line: usize,
        /// The column of the number's first digit or sign in bytes, counted from 1.
        column: usize,
    },
    /// A number with a fraction or an exponent would be rounded. Only [`parse_json_exactly`]
    /// returns this error.
    #[error(
        "`{number}`{} at line {line} column {column} has more digits than a 64-bit float keeps; write it in quotes to \
         keep it as a string", .pointer.as_ref().map(|pointer| format!(" in `{pointer}`")).unwrap_or_default()
    )]
    Rounded {
        /// The number as written; the middle of a very long number is omitted.
        number: String,
        /// The JSON pointer to the number; `None` if the number is the whole text.
        pointer: Option<String>,
        /// The line of the number's first digit or sign, counted from 1.
        line: usize,
        /// The column of the number's first digit or sign in bytes, counted from 1.
        column: usize,
    },
}

impl JsonError {
    /// Returns the stable code, documented under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "invalid_json",
            Self::TooLarge { .. } => "number_too_large",
            Self::Rounded { .. } => "number_rounded",
        }
    }
}

/// An integer outside the supported range, or a number that is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl TooLarge {
    /// Returns the error message for a number, without the number's location.
    pub(crate) fn message(self, number: &str) -> String {
        format!("`{}` is too large to be represented exactly", shown(number))
    }
}

/// Parses a JSON text from outside the process, such as a run's input, a response or a file.
///
/// Integers are exact from -2^63 to 2^64 - 1. An integer outside this range is an error,
/// because the nearest float has different digits. A number with a fraction or an exponent
/// becomes the nearest float.
///
/// ```
/// use llmspell_workflows_basic::parse_json;
///
/// assert_eq!(parse_json("[18446744073709551615, 1e30]")?.to_string(), "[18446744073709551615,1e+30]");
/// let error = parse_json(r#"{"id": 18446744073709551616}"#).unwrap_err();
/// assert!(error.to_string().starts_with("`18446744073709551616` in `/id` at line 1 column 8 is too large"));
/// # Ok::<(), llmspell_workflows_basic::JsonError>(())
/// ```
///
/// # Errors
/// Fails if the text is not JSON, or contains an integer that cannot be represented exactly.
pub fn parse_json(text: &str) -> Result<Value, JsonError> {
    parse(serde_json::Deserializer::from_str(text), text.as_bytes(), Floats::Rounded)
}

/// Parses a JSON text like [`parse_json`], from bytes that must be UTF-8.
///
/// # Errors
/// Fails like [`parse_json`].
pub fn parse_json_bytes(text: &[u8]) -> Result<Value, JsonError> {
    parse(serde_json::Deserializer::from_slice(text), text, Floats::Rounded)
}

/// Parses a JSON text like [`parse_json_bytes`], but also rejects a number with a fraction or an
/// exponent if it would be rounded.
///
/// # Errors
/// Fails like [`parse_json`], or if a number is not [exact](is_exact).
pub fn parse_json_exactly(text: &[u8]) -> Result<Value, JsonError> {
    parse(serde_json::Deserializer::from_slice(text), text, Floats::Exact)
}

/// How numbers with a fraction or an exponent are handled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Floats {
    Rounded,
    Exact,
}

fn parse<'t, R: Read<'t>>(
    mut deserializer: serde_json::Deserializer<R>,
    text: &'t [u8],
    floats: Floats,
) -> Result<Value, JsonError> {
    let seen = Seen { floats, suspicious: Cell::new(false) };
    let value = Exact(&seen).deserialize(&mut deserializer).map_err(|error| rejected(error, text))?;
    deserializer.end().map_err(JsonError::Syntax)?;
    // `1e30` and an integer of 31 digits are the same float, so only the text distinguishes them.
    match seen.suspicious.get().then(|| Scan::new(text, floats).run()).flatten() {
        Some(error) => Err(error),
        None => Ok(value),
    }
}

/// Converts the parser's error; a number too large even for a float is reported like
/// any other rejected number.
fn rejected(error: serde_json::Error, text: &[u8]) -> JsonError {
    let is_number = error.is_syntax() && error.to_string().starts_with("number out of range");
    is_number.then(|| Scan::new(text, Floats::Rounded).run()).flatten().unwrap_or(JsonError::Syntax(error))
}

/// Parses a single number in JSON syntax.
///
/// Returns `None` if the text is not a number.
pub(crate) fn parse_number(text: &str) -> Option<Result<Number, TooLarge>> {
    let number = match text.parse::<Number>() {
        Ok(number) => number,
        // The parser also rejects numbers too large for a float.
        Err(_) if text.parse::<f64>().is_ok_and(f64::is_infinite) && text.contains(|c: char| c.is_ascii_digit()) => {
            return Some(Err(TooLarge));
        }
        Err(_) => return None,
    };
    let float = number.as_f64().unwrap_or(f64::INFINITY);
    let is_lossy = number.is_f64() && is_beyond(float) && is_integer(text.as_bytes());
    Some(if float.is_finite() && !is_lossy { Ok(number) } else { Err(TooLarge) })
}

fn is_beyond(float: f64) -> bool {
    !(LEAST < float && float < ABOVE)
}

/// Returns whether a JSON number is written as an integer.
fn is_integer(number: &[u8]) -> bool {
    !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// Facts collected while parsing a text.
struct Seen {
    floats: Floats,
    /// Whether a number may have been an integer outside the range, or rounded.
    suspicious: Cell<bool>,
}

/// Builds a [`Value`], and records whether a number needs a closer check.
struct Exact<'n>(&'n Seen);

impl<'de> DeserializeSeed<'de> for Exact<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Exact<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        if self.0.floats == Floats::Exact || is_beyond(value) {
            self.0.suspicious.set(true);
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(Exact(self.0))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            fields.insert(name, map.next_value_seed(Exact(self.0))?);
        }
        Ok(Value::Object(fields))
    }
}

/// Returns a number as shown in a message: the middle digits of a very long number are omitted.
fn shown(number: &str) -> String {
    match number.len() {
        ..=NUMBER_CHARS_SHOWN_MAX => number.to_owned(),
        length => {
            let half = NUMBER_CHARS_SHOWN_MAX / 2;
            format!("{}…{}", &number[..half], &number[length - half..])
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::json;

    use super::*;

    #[test]
    fn integers_are_exact_within_the_range_and_rejected_outside() {
        for (text, expected) in [
            ("0", Ok("0")),
            ("-0", Ok("-0.0")),
            ("9007199254740993", Ok("9007199254740993")),
            ("-9223372036854775808", Ok("-9223372036854775808")),
            ("18446744073709551615", Ok("18446744073709551615")),
            ("18446744073709551616.0", Ok("1.8446744073709552e+19")),
            ("1e30", Ok("1e+30")),
            ("-1E+30", Ok("-1e+30")),
            ("[1e30, \"123456789012345678901234567890\"]", Ok("[1e+30,\"123456789012345678901234567890\"]")),
            ("[1e999", Err("`1e999` in `/0` at line 1 column 2")),
            ("18446744073709551616", Err("`18446744073709551616` at line 1 column 1")),
            ("-9223372036854775809", Err("`-9223372036854775809` at line 1 column 1")),
            (" \n [1,\n 99999999999999999999]", Err("`99999999999999999999` in `/1` at line 3 column 2")),
            (r#"{"a/b": [{"x~": 1}, {"\"": -99999999999999999999}]}"#, Err(r#"in `/a~1b/1/"` at line 1 column 28"#)),
            (r#"{"a": "1, 2", "b": {}, "c": 99999999999999999999}"#, Err("in `/c` at")),
            ("[[], [1, 1e30], 99999999999999999999]", Err("in `/2` at")),
        ] {
            let parsed = parse_json(text);
            match (parsed, expected) {
                (Ok(value), Ok(expected)) => assert_eq!(value.to_string(), expected, "{text}"),
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{text}: {error}");
                    assert!(matches!(error, JsonError::TooLarge { .. }), "{text}: {error}");
                }
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        }
    }

    #[test]
    fn numbers_that_would_be_rounded_are_rejected_on_request() {
        for (text, expected) in [
            ("[0.1, 1.10, 1e30, 123456789.25, 9007199254740993]", None),
            ("9007199254740993.0", Some("`9007199254740993.0` at line 1 column 1 has more digits")),
            (r#"{"a": [1.5, 0.1234567890123456789]}"#, Some("`0.1234567890123456789` in `/a/1` at line 1")),
            ("[99999999999999999999]", Some("is too large")),
        ] {
            let error = parse_json_exactly(text.as_bytes()).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), expected.is_some(), "{text}: {error:?}");
            assert!(expected.is_none_or(|part| error.as_ref().unwrap().contains(part)), "{text}: {error:?}");
            assert_eq!(parse_json(text).is_ok(), !expected.is_some_and(|part| part.contains("large")), "{text}");
        }
    }

    #[test]
    fn invalid_json_is_rejected_with_the_parser_error() {
        let deep = "[".repeat(500);
        for text in ["", "{", "[1,]", "1 2", "nul", "01", "\"\\x\"", &deep, "{\"a\" 99999999999999999999}"] {
            let expected = serde_json::from_str::<Value>(text).unwrap_err().to_string();
            let error = parse_json(text).unwrap_err();
            assert!(matches!(&error, JsonError::Syntax(error) if error.to_string() == expected), "{text}: {error}");
        }
        assert!(matches!(parse_json_bytes(b"\"\xff\""), Err(JsonError::Syntax(_))));
    }

    #[test]
    fn messages_shorten_very_long_numbers() {
        let error = parse_json(&"12345678".repeat(100_000)).unwrap_err();
        assert!(error.to_string().len() < 200, "{error}");
    }

    fn texts() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            any::<i128>().prop_map(|n| n.to_string()),
            (i128::from(u64::MAX) - 3..i128::from(u64::MAX) + 3).prop_map(|n| n.to_string()),
            any::<f64>().prop_filter("JSON has no other floats", |n| n.is_finite()).prop_map(|n| json!(n).to_string()),
            any::<String>().prop_map(|text| json!(text).to_string()),
            Just("null".to_owned()),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let field = (any::<String>(), inner.clone());
            // The number makes the name unique.
            let name =
                |(at, (name, value)): (usize, (String, String))| format!("{} : {value}", json!(format!("{at}{name}")));
            let object = move |fields: Vec<_>| fields.into_iter().enumerate().map(name).collect::<Vec<_>>().join(" , ");
            prop_oneof![
                vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(",\n"))),
                vec(field, 0..5).prop_map(move |fields| format!("{{ {} }}", object(fields))),
            ]
        })
    }

    proptest! {
        #[test]
        fn integers_are_parsed_exactly_or_the_first_inexact_one_is_reported(text in texts()) {
            let value = serde_json::from_str::<Value>(&text).unwrap();
            match parse_json(&text) {
                Ok(parsed) => prop_assert_eq!(parsed, value),
                Err(JsonError::TooLarge { number, pointer, line, column }) => {
                    let given = text.lines().nth(line - 1).unwrap()[column - 1..].to_owned();
                    prop_assert!(given.starts_with(&number), "{} {}", given, number);
                    let integer: i128 = number.parse().unwrap();
                    prop_assert!(i64::try_from(integer).is_err() && u64::try_from(integer).is_err());
                    prop_assert!(value.pointer(&pointer.unwrap_or_default()).is_some());
                }
                Err(error) => prop_assert!(false, "{}", error),
            }
            let is_inexact = |word: &str| word.parse::<i128>().is_ok_and(|n| i64::try_from(n).is_err() && u64::try_from(n).is_err());
            let outside_strings = text.split('"').step_by(2).collect::<String>();
            let numbers = outside_strings.split(|c: char| !matches!(c, '-' | '+' | '.' | 'e' | '0'..='9'));
            if !text.contains('\\') {
                prop_assert_eq!(numbers.filter(|word| is_inexact(word)).count() > 0, parse_json(&text).is_err());
            }
        }
    }

    #[test]
    fn single_numbers_are_parsed_or_rejected_like_json_texts() {
        for (text, expected) in [
            ("12", Some(Ok(json!(12)))),
            ("-1.5e3", Some(Ok(json!(-1500.0)))),
            ("18446744073709551616", Some(Err(TooLarge))),
            ("1e999", Some(Err(TooLarge))),
            ("inf", None),
            ("x", None),
            ("1 2", None),
        ] {
            assert_eq!(parse_number(text).map(|number| number.map(Value::Number)), expected, "{text}");
        }
    }
}
