//! Functions of numbers.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Arguments, Function, Run};
use crate::expr::error::Fault;
use crate::expr::held::Held;
use crate::expr::limits::Budget;
use crate::expr::number::{FLOAT_WHOLE_MAX, Num};
use crate::expr::operate::compare;

/// Digits after the point, at most: floats have no more that mean anything.
const DIGITS_MAX: i64 = 20;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        names: &["number"],
        parameters: &["value"],
        gives: "the number that a string or a boolean represents; an error if there is none",
        example: ("number('12.5')", "12.5"),
        run: Run::Call(number),
    },
    Function {
        names: &["abs"],
        parameters: &["number"],
        gives: "the absolute value",
        example: ("abs(-2)", "2"),
        run: Run::Call(abs),
    },
    Function {
        names: &["round"],
        parameters: &["number", "digits?"],
        gives: "the number rounded to the given number of decimal places, 0 by default; halves away from zero",
        example: ("2.345 | round(2)", "2.35"),
        run: Run::Call(round),
    },
    Function {
        names: &["floor"],
        parameters: &["number"],
        gives: "the largest integer that is not greater",
        example: ("floor(7 / 2)", "3"),
        run: Run::Call(floor),
    },
    Function {
        names: &["ceil"],
        parameters: &["number"],
        gives: "the smallest integer that is not less",
        example: ("ceil(7 / 2)", "4"),
        run: Run::Call(ceil),
    },
    Function {
        names: &["toFixed"],
        parameters: &["number", "digits?"],
        gives: "a string with exactly the given number of decimal places",
        example: ("(1.5).toFixed(2)", r#""1.50""#),
        run: Run::Call(to_fixed),
    },
    Function {
        names: &["min"],
        parameters: &["value", "values..."],
        gives: "the smallest of the numbers or strings, or of a single list; null if there are none",
        example: ("min(3, 1, 2)", "1"),
        run: Run::Call(min),
    },
    Function {
        names: &["max"],
        parameters: &["value", "values..."],
        gives: "the largest of the numbers or strings, or of a single list; null if there are none",
        example: ("[3, 1, 2] | max", "3"),
        run: Run::Call(max),
    },
];

fn number<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    match a.value(0) {
        Value::Number(_) => Ok(a.take(0)),
        Value::Bool(value) => Ok(i64::from(*value).into()),
        Value::String(text) => {
            budget.text(text.len())?;
            let number = text.trim().parse::<Number>().ok();
            let finite = number.filter(|number| number.as_f64().is_some_and(f64::is_finite));
            finite
                .map(|number| Held::Owned(Value::Number(number)))
                .ok_or_else(|| Fault::Type("`number` finds no number in the text".to_owned()))
        }
        _ => Err(a.wrong(0, "a text, a boolean or a number")),
    }
}

fn abs<'e, 's>(a: &mut Arguments<'e, 's>, _: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let absolute = match a.number(0)? {
        Num::Whole(whole) => Num::Whole(whole.abs()),
        Num::Float(float) => Num::Float(float.abs()),
    };
    absolute.into_value().map(Held::Owned)
}

fn round<'e, 's>(a: &mut Arguments<'e, 's>, _: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let number = a.number(0)?;
    let digits = digits(a)?;
    let rounded = match number {
        Num::Float(float) if digits > 0 => Num::Float(rounded(float, digits)),
        number => number.rounded(f64::round),
    };
    rounded.into_value().map(Held::Owned)
}

fn floor<'e, 's>(a: &mut Arguments<'e, 's>, _: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let floor = a.number(0)?.rounded(f64::floor);
    floor.into_value().map(Held::Owned)
}

fn ceil<'e, 's>(a: &mut Arguments<'e, 's>, _: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let ceil = a.number(0)?.rounded(f64::ceil);
    ceil.into_value().map(Held::Owned)
}

fn to_fixed<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let number = a.number(0)?;
    let digits = digits(a)?;
    let places = digits as usize;
    let text = match number {
        Num::Whole(whole) if places == 0 => whole.to_string(),
        Num::Whole(whole) => format!("{whole}.{}", "0".repeat(places)),
        Num::Float(float) => format!("{:.places$}", rounded(float, digits)),
    };
    budget.produce(text.len())?;
    Ok(text.into())
}

fn digits(a: &Arguments<'_, '_>) -> Result<u32, Fault> {
    let digits = a.whole_or(1, 0)?;
    match u32::try_from(digits) {
        Ok(fitting) if digits <= DIGITS_MAX => Ok(fitting),
        _ => Err(Fault::Type(format!("the number of digits is between 0 and {DIGITS_MAX}, not {digits}"))),
    }
}

/// A float with so many digits; one too large to have more is what it is.
fn rounded(float: f64, digits: u32) -> f64 {
    let scale = 10_f64.powi(digits as i32);
    let scaled = float * scale;
    match scaled.abs() < FLOAT_WHOLE_MAX {
        true => scaled.round() / scale,
        false => float,
    }
}

fn min<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    extreme(a, budget, "min", Ordering::Less)
}

fn max<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    extreme(a, budget, "max", Ordering::Greater)
}

fn extreme<'e, 's>(
    a: &Arguments<'e, 's>,
    budget: &mut Budget,
    name: &str,
    wanted: Ordering,
) -> Result<Held<'e, 's>, Fault> {
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
            .ok_or_else(|| Fault::Type(format!("`{name}` compares only numbers or only texts")))?;
        if best.is_none() || order == wanted {
            best = Some(value);
        }
    }
    let best = best.cloned().unwrap_or_default();
    budget.copy(&best)?;
    Ok(best.into())
}
