use std::str::FromStr;

use llmspell_workflows_basic::is_exact;
use serde_json::{Number, Value, json};

use crate::data::condition::{Operator, Test};
use crate::integers;

/// Converts a cell to JSON: an empty cell becomes null, and with `infer`, numbers and booleans are recognized.
///
/// Cells that only resemble numbers remain strings: `007`, `+1`, `1e5`, `.5`, integers below -2^63 or above 2^64 - 1, and
/// numbers that would be rounded.
pub(super) fn to_value(cell: &str, infer: bool) -> Value {
    if cell.is_empty() {
        return Value::Null;
    }
    let inferred = infer.then(|| boolean(cell).map(Value::from).or_else(|| plain_number(cell)));
    inferred.flatten().unwrap_or_else(|| json!(cell))
}

/// Parses the whole cell as a number, including forms such as `1e5` and `+1`; returns `None` if the
/// number would be rounded.
pub(super) fn number(cell: &str) -> Option<f64> {
    let cell = cell.trim();
    if let Some(integer) = integers::parse(cell) {
        return integer.as_f64();
    }
    let is_integer = !cell.contains(['.', 'e', 'E']);
    let looks_numeric = cell.starts_with(|char: char| char.is_ascii_digit() || matches!(char, '+' | '-' | '.'));
    let number = cell.parse::<f64>().ok()?;
    (looks_numeric && !is_integer && is_exact(cell, number)).then_some(number)
}

/// Returns whether the cell is a 64-bit integer.
pub(super) fn is_integer(cell: &str) -> bool {
    integers::parse(cell.trim()).is_some()
}

/// Parses the cell as a boolean.
pub(super) fn boolean(cell: &str) -> Option<bool> {
    match cell {
        "true" | "TRUE" | "True" => Some(true),
        "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Returns whether the cell is a date, or a date with time and offset.
pub(super) fn is_date(cell: &str) -> bool {
    (cell.len() == 10 && jiff::civil::Date::from_str(cell).is_ok())
        || (cell.len() > 10 && jiff::Timestamp::from_str(cell).is_ok())
}

/// Applies the test to a cell, which is converted to the type of the test's value: a number, a boolean or a string.
pub(super) fn passes(cell: &str, op: Operator, test: &Test) -> bool {
    if cell.is_empty() {
        return test.passes(None);
    }
    match (op, test.value()) {
        (Operator::In, Value::Array(_)) => forms(cell).any(|form| test.passes(Some(&form))),
        (Operator::NotIn, Value::Array(_)) => forms(cell).all(|form| test.passes(Some(&form))),
        (_, Value::Number(_)) => test.passes(numeric(cell).as_ref()),
        (_, Value::Bool(_)) => test.passes(boolean(cell).map(Value::from).as_ref()),
        _ => test.passes(Some(&json!(cell))),
    }
}

fn forms(cell: &str) -> impl Iterator<Item = Value> {
    [Some(json!(cell)), numeric(cell), boolean(cell).map(Value::from)].into_iter().flatten()
}

/// Parses the cell as a JSON number; integers stay exact.
pub(super) fn numeric(cell: &str) -> Option<Value> {
    integers::parse(cell.trim()).or_else(|| number(cell).and_then(Number::from_f64).map(Value::Number))
}

/// Parses the cell as a number only if the number is written as in JSON, so that no information is lost.
fn plain_number(cell: &str) -> Option<Value> {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    if digits.contains('.') {
        return number(cell).and_then(Number::from_f64).map(Value::Number);
    }
    integers::parse(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_converted_only_if_no_information_is_lost() {
        let table = [
            ("", json!(null)),
            ("7", json!(7)),
            ("-7", json!(-7)),
            ("0.50", json!(0.5)),
            ("0", json!(0)),
            ("true", json!(true)),
            ("007", json!("007")),
            ("+1", json!("+1")),
            ("1e5", json!("1e5")),
            (".5", json!(".5")),
            ("1.", json!("1.")),
            ("-", json!("-")),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!("18446744073709551616")),
            ("1.10", json!(1.1)),
            ("9007199254740993.0", json!("9007199254740993.0")),
            ("-0.12345678901234567891", json!("-0.12345678901234567891")),
            ("yes", json!("yes")),
            (" 1", json!(" 1")),
        ];
        for (cell, expected) in table {
            assert_eq!(to_value(cell, true), expected, "{cell}");
        }
        assert_eq!(to_value("7", false), json!("7"));
    }

    #[test]
    fn only_exact_numbers_that_fill_the_whole_cell_are_parsed() {
        for (cell, expected) in [
            ("1e5", Some(1e5)),
            (" -1.5 ", Some(-1.5)),
            ("inf", None),
            ("NaN", None),
            ("1e999", None),
            ("1 kg", None),
            ("9007199254740993", Some(9_007_199_254_740_992.0)),
            ("9007199254740993.0", None),
            ("18446744073709551616", None),
            ("1e23", Some(1e23)),
        ] {
            assert_eq!(number(cell), expected, "{cell}");
        }
    }
}
