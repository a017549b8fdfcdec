//! Numbers: whole ones are exact, the rest are 64-bit floats.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::error::Fault;
use super::tree::Arithmetic;

/// A number of JSON; whole ones range from the least `i64` to the greatest `u64`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Num {
    Whole(i128),
    Float(f64),
}

/// From here on not every whole number is a float.
pub(super) const FLOAT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

impl From<&Number> for Num {
    fn from(number: &Number) -> Self {
        if let Some(whole) = number.as_i64() {
            return Self::Whole(i128::from(whole));
        }
        if let Some(whole) = number.as_u64() {
            return Self::Whole(i128::from(whole));
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
            Self::Whole(whole) => whole == 0,
            Self::Float(float) => float == 0.0,
        }
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Float(float) => float,
        }
    }

    /// The whole number that this is, `2.0` included.
    pub(super) fn as_i64(self) -> Option<i64> {
        match self {
            Self::Whole(whole) => i64::try_from(whole).ok(),
            Self::Float(float) if float.fract() == 0.0 && float.abs() < FLOAT_WHOLE_MAX => Some(float as i64),
            Self::Float(_) => None,
        }
    }

    /// The whole number that this is, if JSON has one for it.
    pub(super) fn as_whole(self) -> Option<i128> {
        match self {
            Self::Whole(whole) => Some(whole),
            Self::Float(float) if float.fract() == 0.0 => Some(float as i128).filter(|whole| is_in_range(*whole)),
            Self::Float(_) => None,
        }
    }

    /// The JSON value; a whole number out of range becomes a float.
    pub(super) fn into_value(self) -> Result<Value, Fault> {
        if let Self::Whole(whole) = self {
            if let Ok(small) = i64::try_from(whole) {
                return Ok(Value::from(small));
            }
            if let Ok(large) = u64::try_from(whole) {
                return Ok(Value::from(large));
            }
        }
        Number::from_f64(self.as_f64())
            .map(Value::Number)
            .ok_or_else(|| Fault::Arithmetic("the result is not a finite number".to_owned()))
    }

    /// The nearest whole number in a direction; floats beyond the exact range stay what they are.
    pub(super) fn rounded(self, round: fn(f64) -> f64) -> Self {
        match self {
            Self::Whole(_) => self,
            Self::Float(float) => {
                let rounded = round(float);
                if rounded.abs() < FLOAT_WHOLE_MAX { Self::Whole(rounded as i128) } else { Self::Float(rounded) }
            }
        }
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => Some(left.cmp(&right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right),
            (Self::Whole(left), Self::Float(right)) => compare_mixed(left, right),
            (Self::Float(left), Self::Whole(right)) => compare_mixed(right, left).map(Ordering::reverse),
        }
    }

    pub(super) fn calculate(operator: Arithmetic, left: Self, right: Self) -> Result<Self, Fault> {
        if matches!(operator, Arithmetic::Divide | Arithmetic::Remainder) && right.is_zero() {
            return Err(Fault::Arithmetic("a division by zero".to_owned()));
        }
        if let (Self::Whole(left), Self::Whole(right)) = (left, right)
            && let Some(whole) = calculate_whole(operator, left, right)
        {
            return Ok(Self::Whole(whole));
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

/// The exact result, if it is a whole number in range.
fn calculate_whole(operator: Arithmetic, left: i128, right: i128) -> Option<i128> {
    let whole = match operator {
        Arithmetic::Add => left.checked_add(right)?,
        Arithmetic::Subtract => left.checked_sub(right)?,
        Arithmetic::Multiply => left.checked_mul(right)?,
        Arithmetic::Divide if left % right == 0 => left / right,
        Arithmetic::Divide => return None,
        Arithmetic::Remainder => left % right,
    };
    Some(whole).filter(|whole| is_in_range(*whole))
}

fn is_in_range(whole: i128) -> bool {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&whole)
}

/// Compares without rounding the whole number to a float.
fn compare_mixed(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // The cast saturates, far beyond every whole number of JSON.
    let truncated = float.trunc() as i128;
    Some(whole.cmp(&truncated).then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}
