//! The numbers produced by a loop's range.

use serde_json::{Value, json};

use crate::{ErrorClass, StepError, engine::Call, expr::Template};

/// Returns the numbers of a range. If its start and step are integers, the
/// numbers are also integers.
pub(super) fn range(call: &Call, bounds: [&Template; 3]) -> Result<Vec<Value>, StepError> {
    let mut numbers = [const { Value::Null }; 3];
    for (number, template) in numbers.iter_mut().zip(bounds) {
        let value = template.render(&call.view())?;
        if !value.is_number() {
            let message = format!("`{}`: expected a number, got {value}", template.source());
            return Err(StepError::validation("not_a_number", message));
        }
        *number = (*value).clone();
    }
    let [start, end, step] = &numbers;
    Numbers::new(start, end, step)?.up_to(call.run().limits().run_steps_max)
}

/// The numbers from a start up to but not including an end.
///
/// Integer bounds have a wider type than the integers themselves, so that neither the count nor a
/// number overflows.
enum Numbers {
    Integers { start: i128, end: i128, step: i128 },
    Floats { start: f64, end: f64, step: f64 },
}

impl Numbers {
    fn new(start: &Value, end: &Value, step: &Value) -> Result<Self, StepError> {
        let float = |value: &Value| value.as_f64().unwrap_or_default();
        if float(step) == 0.0 {
            return Err(StepError::validation("invalid_range", "a range with a step of 0 would never end"));
        }
        Ok(match (integer(start), integer(step)) {
            (Some(start), Some(step)) => Self::Integers { start, end: integer_end(end, step), step },
            _ => Self::Floats { start: float(start), end: float(end), step: float(step) },
        })
    }

    /// Returns all numbers; fails if there are more than `limit`.
    fn up_to(self, limit: u64) -> Result<Vec<Value>, StepError> {
        let too_many = |count: &dyn std::fmt::Display| {
            let message = format!("the range has {count} numbers, more than {limit}, the limit `run_steps_max`");
            StepError::new(ErrorClass::Resource, "run_steps_max", message).retryable(false)
        };
        match self {
            Self::Integers { start, end, step } => {
                let length = if step > 0 { end - start } else { start - end };
                let count = length.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
                let count =
                    u64::try_from(count).ok().filter(|count| *count <= limit).ok_or_else(|| too_many(&count))?;
                Ok((0..i128::from(count)).map(|n| to_value(start + n * step)).collect())
            }
            Self::Floats { start, end, step } => {
                let count = ((end - start) / step).ceil().max(0.0);
                if count > limit as f64 {
                    return Err(too_many(&count));
                }
                Ok((0..count as u64).map(|n| json!(start + n as f64 * step)).collect())
            }
        }
    }
}

fn integer(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

/// Returns the integer at which counting in steps of `step` reaches `end`, which need not be an
/// integer.
fn integer_end(end: &Value, step: i128) -> i128 {
    /// Far outside the range of JSON integers, and far inside the range of `i128`.
    const FAR: f64 = 1e30;
    integer(end).unwrap_or_else(|| {
        let end = end.as_f64().unwrap_or_default();
        let end = if step > 0 { end.ceil() } else { end.floor() };
        end.clamp(-FAR, FAR) as i128
    })
}

/// Converts an integer between the start and the end of a range.
fn to_value(integer: i128) -> Value {
    i64::try_from(integer).map(Value::from).or_else(|_| u64::try_from(integer).map(Value::from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(start: Value, end: Value, step: Value, limit: u64) -> Result<Vec<Value>, String> {
        let numbers = Numbers::new(&start, &end, &step).and_then(|numbers| numbers.up_to(limit));
        numbers.map_err(|error| error.to_string())
    }

    #[test]
    fn integers_of_any_size_are_counted_exactly() {
        let (min, max) = (json!(i64::MIN), json!(u64::MAX));
        for (start, end, step, expected) in [
            (json!(0), json!(5), json!(2), json!([0, 2, 4])),
            (json!(3), json!(0), json!(-1), json!([3, 2, 1])),
            (json!(2), json!(2), json!(1), json!([])),
            (json!(2), json!(5), json!(-1), json!([])),
            (json!(u64::MAX - 2), max.clone(), json!(1), json!([u64::MAX - 2, u64::MAX - 1])),
            (json!(i64::MIN + 2), min.clone(), json!(-1), json!([i64::MIN + 2, i64::MIN + 1])),
            (json!(i64::MAX), json!(i64::MAX as u64 + 2), json!(1), json!([i64::MAX, i64::MAX as u64 + 1])),
            (min.clone(), max.clone(), max.clone(), json!([i64::MIN, i64::MAX])),
            (max.clone(), min.clone(), min.clone(), json!([u64::MAX, i64::MAX, -1])),
            (json!(0), json!(2.5), json!(1), json!([0, 1, 2])),
            (json!(0), json!(-2.5), json!(-1), json!([0, -1, -2])),
            (json!(0), json!(1e300), json!(u64::MAX), json!(null)),
            (
                json!(1704067200000000000_u64),
                json!(1704067200000000001_u64),
                json!(2),
                json!([1704067200000000000_u64]),
            ),
            (json!(0.5), json!(2), json!(1), json!([0.5, 1.5])),
            (json!(0), json!(1), json!(0.5), json!([0.0, 0.5])),
        ] {
            let got = numbers(start.clone(), end.clone(), step.clone(), 10).map_or(Value::Null, Value::Array);
            assert_eq!(got.to_string(), expected.to_string(), "{start} {end} {step}");
        }
    }

    #[test]
    fn endless_ranges_and_ranges_beyond_the_limit_are_rejected() {
        for (range, message) in [
            ([json!(0), json!(5), json!(0)], "a step of 0"),
            ([json!(0), json!(5), json!(-0.0)], "a step of 0"),
            ([json!(0), json!(11), json!(1)], "has 11 numbers, more than 10, the limit `run_steps_max`"),
            ([json!(i64::MIN), json!(u64::MAX), json!(1)], "has 27670116110564327423 numbers"),
            ([json!(0.0), json!(1e300), json!(1)], "more than 10, the limit"),
        ] {
            let [start, end, step] = range;
            assert!(numbers(start, end, step, 10).unwrap_err().contains(message), "{message}");
        }
    }

    proptest! {
        #[test]
        fn length_of_a_range_does_not_depend_on_its_position(
            base in i64::MIN as i128..=u64::MAX as i128 - 1000, length in 0..100_i128, step in 1..10_i128, down: bool,
        ) {
            let (low, high) = (to_value(base), to_value(base + length));
            let (start, end, step) = if down { (high, low, -step) } else { (low, high, step) };
            let got = numbers(start.clone(), end.clone(), to_value(step), 1000).unwrap();
            let mut expected = Vec::new();
            let (mut at, end) = (integer(&start).unwrap(), integer(&end).unwrap());
            while if down { at > end } else { at < end } {
                expected.push(to_value(at));
                at += step;
            }
            prop_assert_eq!(got, expected);
        }
    }
}
