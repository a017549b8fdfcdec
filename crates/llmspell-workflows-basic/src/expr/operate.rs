//! What the operators do with values.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::error::Fault;
use super::held::{Held, described};
use super::limits::{Budget, VALUE_DEPTH_MAX, descend};
use super::number::Num;
use super::tree::{Arithmetic, Comparison};

impl Comparison {
    pub(super) fn apply(self, left: &Value, right: &Value, budget: &mut Budget) -> Result<bool, Fault> {
        let mut order = |left, right| order(self, left, right, budget);
        Ok(match self {
            Self::Equal => equal(left, right, budget)?,
            Self::NotEqual => !equal(left, right, budget)?,
            Self::Less => order(left, right)?.is_lt(),
            Self::LessOrEqual => order(left, right)?.is_le(),
            Self::Greater => order(left, right)?.is_gt(),
            Self::GreaterOrEqual => order(left, right)?.is_ge(),
            Self::In => contains(right, left, budget)?,
            Self::NotIn => !contains(right, left, budget)?,
            Self::Contains => contains(left, right, budget)?,
            Self::NotContains => !contains(left, right, budget)?,
        })
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::NotIn => "not in",
            Self::Contains => "contains",
            Self::NotContains => "not contains",
        }
    }
}

/// Deep equality by value: `1` is `1.0`, but nothing equals a value of another kind.
pub(super) fn equal(left: &Value, right: &Value, budget: &mut Budget) -> Result<bool, Fault> {
    equal_within(left, right, budget, VALUE_DEPTH_MAX)
}

fn equal_within(left: &Value, right: &Value, budget: &mut Budget, depth_left: usize) -> Result<bool, Fault> {
    match (left, right) {
        (Value::Null, Value::Null) => Ok(true),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        (Value::Number(left), Value::Number(right)) => {
            Ok(Num::from(left).compare(Num::from(right)) == Some(Ordering::Equal))
        }
        (Value::String(left), Value::String(right)) => {
            if left.len() == right.len() {
                budget.text(left.len())?;
            }
            Ok(left == right)
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let depth_left = descend(depth_left)?;
            budget.items(left.len())?;
            for (left, right) in left.iter().zip(right) {
                if !equal_within(left, right, budget, depth_left)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Object(left), Value::Object(right)) if left.len() == right.len() => {
            equal_fields(left, right, budget, descend(depth_left)?)
        }
        _ => Ok(false),
    }
}

fn equal_fields(
    left: &Map<String, Value>,
    right: &Map<String, Value>,
    budget: &mut Budget,
    depth_left: usize,
) -> Result<bool, Fault> {
    budget.items(left.len())?;
    for (name, left) in left {
        match right.get(name) {
            Some(right) if equal_within(left, right, budget, depth_left)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn order(comparison: Comparison, left: &Value, right: &Value, budget: &mut Budget) -> Result<Ordering, Fault> {
    if let (Value::String(left), Value::String(right)) = (left, right) {
        budget.text(left.len().min(right.len()))?;
    }
    compare(left, right).ok_or_else(|| {
        Fault::Type(format!(
            "`{}` compares two numbers or two texts, not {} with {}",
            comparison.sign(),
            described(left),
            described(right)
        ))
    })
}

/// The order of two numbers or two texts; whoever asks has paid for looking at them.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Num::from(left).compare(Num::from(right)),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Whether a list has an element, an object a field, a text a part.
pub(super) fn contains(whole: &Value, part: &Value, budget: &mut Budget) -> Result<bool, Fault> {
    match (whole, part) {
        (Value::Array(items), part) => {
            for item in items {
                budget.items(1)?;
                if equal(item, part, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Object(fields), Value::String(name)) => Ok(fields.contains_key(name)),
        (Value::String(text), Value::String(part)) => {
            budget.text(text.len())?;
            Ok(text.contains(part.as_str()))
        }
        (Value::Object(_), part) => Err(Fault::Type(format!("the name of a field is a text, not {}", described(part)))),
        (Value::String(_), part) => Err(Fault::Type(format!("a part of a text is a text, not {}", described(part)))),
        (whole, _) => {
            Err(Fault::Type(format!("only a list, an object or a text contains something, not {}", described(whole))))
        }
    }
}

impl Arithmetic {
    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }

    pub(super) fn apply<'e, 's>(
        self,
        left: Held<'e, 's>,
        right: &Value,
        budget: &mut Budget,
    ) -> Result<Held<'e, 's>, Fault> {
        if let (Some(left), Some(right)) = (Num::of(&left), Num::of(right)) {
            return Ok(Held::Owned(Num::calculate(self, left, right)?.into_value()?));
        }
        if self == Self::Add && (left.is_string() || right.is_string()) {
            return join(left, right, budget);
        }
        let needs = match self {
            Self::Add => "adds two numbers or joins texts",
            _ => "needs two numbers",
        };
        let help = match self {
            Self::Subtract if left.is_null() || right.is_null() => "; a name with a hyphen is written ['like-this']",
            _ => "",
        };
        Err(Fault::Type(format!("`{}` {needs}, not {} and {}{help}", self.sign(), described(&left), described(right))))
    }
}

/// Joins a text and a scalar; a text that was made before grows in place.
fn join<'e, 's>(left: Held<'e, 's>, right: &Value, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let right = scalar_text(right)?;
    budget.produce(right.len())?;
    let mut text = match left {
        Held::Owned(Value::String(text)) => text,
        left => {
            let left = scalar_text(&left)?;
            budget.produce(left.len())?;
            left.into_owned()
        }
    };
    text.push_str(&right);
    Ok(Held::Owned(Value::String(text)))
}

/// The text of a value that `+` joins.
fn scalar_text(value: &Value) -> Result<std::borrow::Cow<'_, str>, Fault> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Array(_) | Value::Object(_) => Err(Fault::Type(format!(
            "`+` joins texts, not {} with a text; write json(x) for its text",
            described(value)
        ))),
        scalar => Ok(scalar.to_string().into()),
    }
}
