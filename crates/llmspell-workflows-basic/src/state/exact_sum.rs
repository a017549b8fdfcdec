use serde_json::Number;

/// Returns `before` plus the difference between `before` and each number in `after`; `None` if the
/// result is not a JSON number, or is a whole number outside the range from -2^63 to 2^64 - 1.
/// Whole numbers are added exactly.
pub(super) fn of_changes(before: &Number, after: &[&Number]) -> Option<Number> {
    let whole: Option<Vec<i128>> = std::iter::once(&before).chain(after).map(|number| number.as_i128()).collect();
    if let Some([before, after @ ..]) = whole.as_deref() {
        let sum = before + after.iter().map(|number| number - before).sum::<i128>();
        return u64::try_from(sum).map(Number::from).or_else(|_| i64::try_from(sum).map(Number::from)).ok();
    }
    let before = before.as_f64()?;
    let added: Option<f64> = after.iter().map(|number| Some(number.as_f64()? - before)).sum();
    Number::from_f64(before + added?)
}
