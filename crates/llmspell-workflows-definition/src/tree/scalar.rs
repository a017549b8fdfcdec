//! Resolves plain scalars according to the core schema of YAML 1.2: `yes` is a string, and `012` is the number 12.

use std::borrow::Cow;

use serde_json::Number;

use super::Data;

/// Why a scalar that looks like a number cannot be represented in JSON.
#[derive(Clone, Copy)]
pub(super) enum InvalidNumber {
    /// It is an integer outside the range from -2^63 to 2^64 - 1, or a float beyond 64 bits.
    TooLarge,
    /// It is infinite or not a number.
    NotFinite,
}

pub(super) fn resolve(text: Cow<'_, str>) -> Result<Data<'_>, InvalidNumber> {
    Ok(match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        other => match number(other)? {
            Some(number) => Data::Number(number),
            None => Data::Text(text),
        },
    })
}

/// Returns whether an unquoted `text` is read as the same string.
pub(crate) fn is_plain_text(text: &str) -> bool {
    matches!(resolve(Cow::Borrowed(text)), Ok(Data::Text(_)))
}

pub(super) fn number(text: &str) -> Result<Option<Number>, InvalidNumber> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(None);
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(InvalidNumber::NotFinite);
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
                return Ok(None);
            }
            return u64::from_str_radix(digits, radix).map(|n| Some(n.into())).map_err(|_| InvalidNumber::TooLarge);
        }
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let integer = digits.parse::<u64>().map(Number::from).or_else(|_| digits.parse::<i64>().map(Number::from));
        return integer.map(Some).map_err(|_| InvalidNumber::TooLarge);
    }
    if !is_float(unsigned) {
        return Ok(None);
    }
    let float = text.parse::<f64>().ok().and_then(Number::from_f64);
    float.map(Some).ok_or(InvalidNumber::TooLarge)
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|e| {
            let e = e.strip_prefix(['-', '+']).unwrap_or(e);
            !e.is_empty() && digits(e)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(text: &str) -> Option<Value> {
        Some(match resolve(Cow::Borrowed(text)).ok()? {
            Data::Null => Value::Null,
            Data::Bool(value) => value.into(),
            Data::Number(number) => number.into(),
            Data::Text(text) => text.into_owned().into(),
            Data::List(_) | Data::Map(_) => unreachable!("a plain scalar is not a collection"),
        })
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        for (text, expected) in [
            ("yes", json!("yes")),
            ("no", json!("no")),
            ("on", json!("on")),
            ("012", json!(12)),
            ("0o14", json!(12)),
            ("0x1F", json!(31)),
            ("0xg", json!("0xg")),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("1.50", json!(1.5)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("1_000", json!("1_000")),
            ("1:30", json!("1:30")),
            ("1.0.0", json!("1.0.0")),
            (".", json!(".")),
            ("-", json!("-")),
            ("-.", json!("-.")),
            ("1e", json!("1e")),
            ("2025-07-20", json!("2025-07-20")),
            ("~", Value::Null),
            ("nULL", json!("nULL")),
            ("True", json!(true)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn numbers_that_would_lose_precision_are_rejected() {
        for text in
            ["18446744073709551616", "-9223372036854775809", "1e999", ".inf", "-.INF", ".nan", "0xFFFFFFFFFFFFFFFFF"]
        {
            assert_eq!(value(text), None, "{text}");
        }
    }
}
