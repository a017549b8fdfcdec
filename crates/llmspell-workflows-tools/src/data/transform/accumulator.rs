use std::collections::HashSet;

use serde_json::{Number, Value, json};

use super::group::AggregateFunction;
use crate::data::order::{compare, identity};
use crate::data::row_files::{Held, text_bytes};
use crate::{ToolError, integers};

/// 2^32, by which the values of a mean are divided so that their sum cannot overflow. Dividing by a
/// power of two changes only the exponent.
const SCALE: f64 = 4_294_967_296.0;

/// Accumulates the values of an aggregate, in as little memory as its function allows.
pub(super) enum Accumulator {
    Count(u64),
    Distinct(HashSet<String>),
    /// The integer sum, until a value is a float or the sum is out of range, and the sum of all
    /// values as a float.
    Sum {
        whole: Option<i128>,
        float: f64,
    },
    /// The sum of the values, and the sum of the values divided by [`SCALE`], which never overflows.
    Mean {
        count: u64,
        sum: f64,
        scaled: f64,
    },
    Min(Option<Value>),
    Max(Option<Value>),
    First(Option<Value>),
    Last(Option<Value>),
    Collect(Vec<Value>),
}

impl Accumulator {
    pub(super) fn new(function: AggregateFunction) -> Self {
        match function {
            AggregateFunction::Count => Self::Count(0),
            AggregateFunction::CountDistinct => Self::Distinct(HashSet::new()),
            AggregateFunction::Sum => Self::Sum { whole: Some(0), float: 0.0 },
            AggregateFunction::Mean => Self::Mean { count: 0, sum: 0.0, scaled: 0.0 },
            AggregateFunction::Min => Self::Min(None),
            AggregateFunction::Max => Self::Max(None),
            AggregateFunction::First => Self::First(None),
            AggregateFunction::Last => Self::Last(None),
            AggregateFunction::Collect => Self::Collect(Vec::new()),
        }
    }

    /// Adds a value; returns false if the function does not accept it. Sums and means accept only
    /// numbers.
    pub(super) fn add(&mut self, value: &Value, held: &mut Held) -> Result<bool, ToolError> {
        match self {
            Self::Count(count) => *count += 1,
            Self::Distinct(seen) => {
                let identity = identity(value);
                let bytes = identity.len();
                if seen.insert(identity) {
                    held.add(bytes)?;
                }
            }
            Self::Sum { whole, float } => {
                let Some(number) = value.as_f64() else { return Ok(false) };
                *whole = whole.and_then(|sum| sum.checked_add(integers::of(value)?));
                *float += number;
            }
            Self::Mean { count, sum, scaled } => {
                let Some(number) = value.as_f64() else { return Ok(false) };
                *count += 1;
                *sum += number;
                *scaled += number / SCALE;
            }
            Self::Min(min) => {
                if min.as_ref().is_none_or(|min| compare(value, min).is_lt()) {
                    *min = Some(value.clone());
                }
            }
            Self::Max(max) => {
                if max.as_ref().is_none_or(|max| compare(value, max).is_ge()) {
                    *max = Some(value.clone());
                }
            }
            Self::First(first) => {
                if first.is_none() {
                    *first = Some(value.clone());
                }
            }
            Self::Last(last) => *last = Some(value.clone()),
            Self::Collect(values) => {
                held.add(text_bytes(value))?;
                values.push(value.clone());
            }
        }
        Ok(true)
    }

    /// Returns the aggregate, or `None` if it is too large for a number. The sum of integers is an
    /// integer unless it is out of range.
    pub(super) fn result(self) -> Option<Value> {
        Some(match self {
            Self::Count(count) => json!(count),
            Self::Distinct(seen) => json!(seen.len()),
            Self::Sum { whole, float } => match whole.and_then(integers::to_value) {
                Some(sum) => sum,
                None => Value::Number(Number::from_f64(float)?),
            },
            Self::Mean { count: 0, .. } => Value::Null,
            Self::Mean { count, sum, scaled } => {
                #[expect(clippy::cast_precision_loss, reason = "a count of items is far below 2^52")]
                let count = count as f64;
                let mean = if sum.is_finite() { sum / count } else { scaled / count * SCALE };
                Value::Number(Number::from_f64(mean)?)
            }
            Self::Min(value) | Self::Max(value) | Self::First(value) | Self::Last(value) => value.unwrap_or_default(),
            Self::Collect(values) => Value::Array(values),
        })
    }
}
