//! Numbers: exact integers and 64-bit floats.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::error::Fault;
use super::tree::Arithmetic;

/// A JSON number; integers range from `i64::MIN` to `u64::MAX`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Num {
    Integer(i128),
    Float(f64),
}

/// 2^53; floats beyond it cannot represent every integer.
pub(super) const FLOAT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

impl From<&Number> for Num {
    fn from(number: &Number) -> Self {
        if let Some(integer) = number.as_i64() {
            return Self::Integer(i128::from(integer));
        }
        if let Some(integer) = number.as_u64() {
            return Self::Integer(i128::from(integer));
        }
        Self::Float(number.as_f64().unwrap_or(f64::NAN))
    }
}

impl Num {
    pub(super) fn of(value: &Value) -> Option<Self> {
        value.as_number().map(Self::from)
    }

    pub(super) fn is_zero(self) -> bool {
        match self {
            Self::Integer(integer) => integer == 0,
            Self::Float(float) => float == 0.0,
        }
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    /// Returns the number as an integer; `2.0` counts as the integer 2.
    pub(super) fn as_i64(self) -> Option<i64> {
        match self {
            Self::Integer(integer) => i64::try_from(integer).ok(),
            Self::Float(float) if float.fract() == 0.0 && float.abs() < FLOAT_INTEGER_MAX => Some(float as i64),
            Self::Float(_) => None,
        }
    }

    /// Returns the number as an integer in JSON's range.
    pub(super) fn as_integer(self) -> Option<i128> {
        match self {
            Self::Integer(integer) => Some(integer),
            Self::Float(float) if float.fract() == 0.0 => Some(float as i128).filter(|integer| is_in_range(*integer)),
            Self::Float(_) => None,
        }
    }

    /// Converts to JSON; an integer out of range becomes a float.
    pub(super) fn into_value(self) -> Result<Value, Fault> {
        if let Self::Integer(integer) = self {
            if let Ok(small) = i64::try_from(integer) {
                return Ok(Value::from(small));
            }
            if let Ok(large) = u64::try_from(integer) {
                return Ok(Value::from(large));
            }
        }
        Number::from_f64(self.as_f64())
            .map(Value::Number)
            .ok_or_else(|| Fault::Arithmetic("the result is not a finite number".to_owned()))
    }

    /// Rounds with `round`; floats beyond the exact range remain unchanged.
    pub(super) fn rounded(self, round: fn(f64) -> f64) -> Self {
        match self {
            Self::Integer(_) => self,
            Self::Float(float) => {
                let rounded = round(float);
                if rounded.abs() < FLOAT_INTEGER_MAX { Self::Integer(rounded as i128) } else { Self::Float(rounded) }
            }
        }
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(&right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right),
            (Self::Integer(left), Self::Float(right)) => compare_mixed(left, right),
            (Self::Float(left), Self::Integer(right)) => compare_mixed(right, left).map(Ordering::reverse),
        }
    }

    pub(super) fn calculate(operator: Arithmetic, left: Self, right: Self) -> Result<Self, Fault> {
        if matches!(operator, Arithmetic::Divide | Arithmetic::Remainder) && right.is_zero() {
            return Err(Fault::Arithmetic("division by zero".to_owned()));
        }
        if let (Self::Integer(left), Self::Integer(right)) = (left, right)
            && let Some(integer) = calculate_integer(operator, left, right)
        {
            return Ok(Self::Integer(integer));
        }
        let (left, right) = (left.as_f64(), right.as_f64());
        let float = match operator {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
            Arithmetic::Divide => left / right,
            Arithmetic::Remainder => left % right,
        };
        if float.is_finite() {
            Ok(Self::Float(float))
        } else {
            Err(Fault::Arithmetic("the result is not a finite number".to_owned()))
        }
    }
}

/// Returns the exact result if it is an integer in range.
fn calculate_integer(operator: Arithmetic, left: i128, right: i128) -> Option<i128> {
    let integer = match operator {
        Arithmetic::Add => left.checked_add(right)?,
        Arithmetic::Subtract => left.checked_sub(right)?,
        Arithmetic::Multiply => left.checked_mul(right)?,
        Arithmetic::Divide if left % right == 0 => left / right,
        Arithmetic::Divide => return None,
        Arithmetic::Remainder => left % right,
    };
    Some(integer).filter(|integer| is_in_range(*integer))
}

fn is_in_range(integer: i128) -> bool {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&integer)
}

/// Compares without rounding the integer to a float.
fn compare_mixed(integer: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // The cast saturates only far outside the range of JSON integers.
    let truncated = float.trunc() as i128;
    Some(integer.cmp(&truncated).then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}
