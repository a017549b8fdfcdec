//! Number functions.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Arguments, Function, FunctionKind};
use crate::expr::error::Fault;
use crate::expr::limits::Budget;
use crate::expr::number::{FLOAT_INTEGER_MAX, Num};
use crate::expr::operate::compare;
use crate::expr::value::ExprValue;
use crate::json::{TooLarge, parse_number};

/// The maximum number of decimal places; floats have no more significant digits.
const DIGITS_MAX: i64 = 20;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        names: &["number"],
        parameters: &["value"],
        returns: "the number that a string or a boolean represents; an error if there is none",
        example: ("number('12.5')", "12.5"),
        kind: FunctionKind::Call(number),
    },
    Function {
        names: &["abs"],
        parameters: &["number"],
        returns: "the absolute value",
        example: ("abs(-2)", "2"),
        kind: FunctionKind::Call(abs),
    },
    Function {
        names: &["round"],
        parameters: &["number", "digits?"],
        returns: "the number rounded to the given number of decimal places, 0 by default; halves away from zero",
        example: ("2.345 | round(2)", "2.35"),
        kind: FunctionKind::Call(round),
    },
    Function {
        names: &["floor"],
        parameters: &["number"],
        returns: "the largest integer not greater than the number",
        example: ("floor(7 / 2)", "3"),
        kind: FunctionKind::Call(floor),
    },
    Function {
        names: &["ceil"],
        parameters: &["number"],
        returns: "the smallest integer not less than the number",
        example: ("ceil(7 / 2)", "4"),
        kind: FunctionKind::Call(ceil),
    },
    Function {
        names: &["toFixed"],
        parameters: &["number", "digits?"],
        returns: "a string with exactly the given number of decimal places",
        example: ("(1.5).toFixed(2)", r#""1.50""#),
        kind: FunctionKind::Call(to_fixed),
    },
    Function {
        names: &["min"],
        parameters: &["value", "values..."],
        returns: "the smallest of the numbers or strings, or of a single list; null if there are none",
        example: ("min(3, 1, 2)", "1"),
        kind: FunctionKind::Call(min),
    },
    Function {
        names: &["max"],
        parameters: &["value", "values..."],
        returns: "the largest of the numbers or strings, or of a single list; null if there are none",
        example: ("[3, 1, 2] | max", "3"),
        kind: FunctionKind::Call(max),
    },
];

fn number<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    match a.value(0) {
        Value::Number(_) => Ok(a.take(0)),
        Value::Bool(value) => Ok(i64::from(*value).into()),
        Value::String(text) => {
            budget.text(text.len())?;
            match parse_number(text.trim()) {
                Some(Ok(number)) => Ok(ExprValue::Owned(Value::Number(number))),
                Some(Err(TooLarge)) => Err(Fault::Type(format!("`number`: {}", TooLarge.message(text.trim())))),
                None => Err(Fault::Type("`number` cannot parse the string".to_owned())),
            }
        }
        _ => Err(a.wrong(0, "a string, a boolean or a number")),
    }
}

fn abs<'e, 's>(a: &mut Arguments<'e, 's>, _: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let absolute = match a.number(0)? {
        Num::Integer(whole) => Num::Integer(whole.abs()),
        Num::Float(float) => Num::Float(float.abs()),
    };
    absolute.into_value().map(ExprValue::Owned)
}

fn round<'e, 's>(a: &mut Arguments<'e, 's>, _: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let number = a.number(0)?;
    let digits = digits(a)?;
    let rounded = match number {
        Num::Float(float) if digits > 0 => Num::Float(rounded(float, digits)),
        number => number.rounded(f64::round),
    };
    rounded.into_value().map(ExprValue::Owned)
}

fn floor<'e, 's>(a: &mut Arguments<'e, 's>, _: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let floor = a.number(0)?.rounded(f64::floor);
    floor.into_value().map(ExprValue::Owned)
}

fn ceil<'e, 's>(a: &mut Arguments<'e, 's>, _: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let ceil = a.number(0)?.rounded(f64::ceil);
    ceil.into_value().map(ExprValue::Owned)
}

fn to_fixed<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let number = a.number(0)?;
    let digits = digits(a)?;
    let places = digits as usize;
    let text = match number {
        Num::Integer(whole) if places == 0 => whole.to_string(),
        Num::Integer(whole) => format!("{whole}.{}", "0".repeat(places)),
        Num::Float(float) => format!("{:.places$}", rounded(float, digits)),
    };
    budget.produce(text.len())?;
    Ok(text.into())
}

fn digits(a: &Arguments<'_, '_>) -> Result<u32, Fault> {
    let digits = a.integer_or(1, 0)?;
    match u32::try_from(digits) {
        Ok(fitting) if digits <= DIGITS_MAX => Ok(fitting),
        _ => Err(Fault::Type(format!("the number of digits must be between 0 and {DIGITS_MAX}, got {digits}"))),
    }
}

/// Rounds a float to `digits` decimal places; a float too large to have any remains unchanged.
fn rounded(float: f64, digits: u32) -> f64 {
    let scale = 10_f64.powi(digits as i32);
    let scaled = float * scale;
    match scaled.abs() < FLOAT_INTEGER_MAX {
        true => scaled.round() / scale,
        false => float,
    }
}

fn min<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    extreme(a, budget, "min", Ordering::Less)
}

fn max<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    extreme(a, budget, "max", Ordering::Greater)
}

fn extreme<'e, 's>(
    a: &Arguments<'e, 's>,
    budget: &mut Budget,
    name: &str,
    wanted: Ordering,
) -> Result<ExprValue<'e, 's>, Fault> {
    let values: Vec<&Value> = match a.value(0) {
        Value::Array(items) if a.get(1).is_none() => {
            budget.items(items.len())?;
            items.iter().collect()
        }
        _ => a.iter().collect(),
    };
    let texts = values.iter().filter_map(|value| value.as_str());
    budget.text(texts.map(str::len).sum())?;
    let mut best: Option<&Value> = None;
    for value in values {
        let order = compare(value, best.unwrap_or(value))
            .ok_or_else(|| Fault::Type(format!("`{name}` expects only numbers or only strings")))?;
        if best.is_none() || order == wanted {
            best = Some(value);
        }
    }
    let best = best.cloned().unwrap_or_default();
    budget.copy(&best)?;
    Ok(best.into())
}
