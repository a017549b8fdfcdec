//! Applies operators to values.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::error::Fault;
use super::limits::{Budget, VALUE_DEPTH_MAX, descend};
use super::number::Num;
use super::tree::{Arithmetic, Comparison};
use super::value::{ExprValue, type_with_article};

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

/// Compares deeply by value: `1` equals `1.0`, but values of different types are never equal.
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
            "`{}` expects two numbers or two strings, got {} and {}",
            comparison.sign(),
            type_with_article(left),
            type_with_article(right)
        ))
    })
}

/// Compares two numbers or two strings; the caller has charged for visiting them.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Num::from(left).compare(Num::from(right)),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Returns whether `whole` contains `part`: an element of a list, a field of an object, or a substring.
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
        (Value::Object(_), part) => {
            Err(Fault::Type(format!("a field name must be a string, got {}", type_with_article(part))))
        }
        (Value::String(_), part) => {
            Err(Fault::Type(format!("a substring must be a string, got {}", type_with_article(part))))
        }
        (whole, _) => Err(Fault::Type(format!(
            "expected a list, an object or a string to search, got {}",
            type_with_article(whole)
        ))),
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
        left: ExprValue<'e, 's>,
        right: &Value,
        budget: &mut Budget,
    ) -> Result<ExprValue<'e, 's>, Fault> {
        if let (Some(left), Some(right)) = (Num::of(&left), Num::of(right)) {
            return Ok(ExprValue::Owned(Num::calculate(self, left, right)?.into_value()?));
        }
        if self == Self::Add && (left.is_string() || right.is_string()) {
            return join(left, right, budget);
        }
        let needs = match self {
            Self::Add => "expects two numbers, or at least one string",
            _ => "expects two numbers",
        };
        let help = match self {
            Self::Subtract if left.is_null() || right.is_null() => "; write a name with a hyphen as ['like-this']",
            _ => "",
        };
        Err(Fault::Type(format!(
            "`{}` {needs}, got {} and {}{help}",
            self.sign(),
            type_with_article(&left),
            type_with_article(right)
        )))
    }
}

/// Concatenates a string and a scalar; a computed string is extended in place.
fn join<'e, 's>(left: ExprValue<'e, 's>, right: &Value, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let right = scalar_text(right)?;
    budget.produce(right.len())?;
    let mut text = match left {
        ExprValue::Owned(Value::String(text)) => text,
        left => {
            let left = scalar_text(&left)?;
            budget.produce(left.len())?;
            left.into_owned()
        }
    };
    text.push_str(&right);
    Ok(ExprValue::Owned(Value::String(text)))
}

/// Returns the text of a scalar for `+`.
fn scalar_text(value: &Value) -> Result<std::borrow::Cow<'_, str>, Fault> {
    match value {
        Value::String(text) => Ok(text.into()),
        Value::Array(_) | Value::Object(_) => Err(Fault::Type(format!(
            "`+` cannot join {} and a string; write json(x) for its JSON text",
            type_with_article(value)
        ))),
        scalar => Ok(scalar.to_string().into()),
    }
}
