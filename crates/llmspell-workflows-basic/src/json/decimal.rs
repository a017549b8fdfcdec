//! Compares decimal numbers, as written, with the floats that represent them.

/// The maximum number of significant digits for which every decimal number survives conversion to a
/// 64-bit float.
const DIGITS_KEPT: usize = 15;

/// The maximum number of significant digits of a 64-bit float.
const DIGITS_MAX: usize = 767;

/// A decimal number: `0.DIGITS` times 10 to the power of `exponent`, without its
/// sign. Zero has no digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    digits: String,
    exponent: i64,
}

/// Returns whether `float` is the number written in `text`: the float itself, or its shortest
/// decimal form, is numerically equal to that number.
///
/// ```
/// use llmspell_workflows_basic::is_exact;
///
/// assert!(is_exact("0.10", 0.1));
/// assert!(is_exact("1e23", 1e23));
/// assert!(!is_exact("9007199254740993.0", 9007199254740992.0));
/// ```
#[must_use]
pub fn is_exact(text: &str, float: f64) -> bool {
    let Some(written) = Decimal::parse(text) else { return false };
    let is_kept = |form: String| Decimal::parse(&form).is_some_and(|kept| kept == written);
    // Rust and JSON writers choose differently between two equally short and equally close
    // decimals.
    let as_json = || serde_json::Number::from_f64(float).is_some_and(|number| is_kept(number.to_string()));
    float.is_finite() && (is_kept(format!("{float:e}")) || as_json() || is_kept(format!("{float:.DIGITS_MAX$e}")))
}

/// Returns whether the JSON number `text` has so few digits that a float represents it exactly.
pub(super) fn is_short(text: &str) -> bool {
    let has_small_exponent = text.split(['e', 'E']).nth(1).is_none_or(|exponent| exponent.len() <= 3);
    has_small_exponent && text.len() <= DIGITS_KEPT
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(['-', '+']);
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let zeros = i64::try_from(all.len() - digits.len()).ok()?;
        let digits = digits.trim_end_matches('0').to_owned();
        let exponent =
            exponent.parse::<i64>().ok()?.checked_add(i64::try_from(whole.len()).ok()?)?.checked_sub(zeros)?;
        Some(if digits.is_empty() { Self { digits, exponent: 0 } } else { Self { digits, exponent } })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn floats_are_compared_with_the_written_number() {
        for (text, expected) in [
            ("0.1", true),
            ("1.10", true),
            ("-0.50", true),
            ("+.5", true),
            ("5.", true),
            ("0.0", true),
            ("0e99999", true),
            ("1e23", true),
            ("1E-7", true),
            ("-188251301105895.62", true),
            ("-188251301105895.63", true),
            ("100000000000000000000.0", true),
            ("9007199254740992.0", true),
            ("18446744073709551616.0", true),
            ("0.1000000000000000055511151231257827021181583404541015625", true),
            ("9007199254740993.0", false),
            ("0.1234567890123456789", false),
            ("0.10000000000000001", false),
            ("1e400", false),
            ("1e-400", false),
            ("1e99999999999999999999", false),
            ("x", false),
            (".", false),
        ] {
            assert_eq!(is_exact(text, text.parse().unwrap_or(f64::NAN)), expected, "{text}");
        }
        assert!(!is_exact("0.1", 0.2));
    }

    proptest! {
        #[test]
        fn every_float_is_exact_in_its_written_form(float in any::<f64>().prop_filter("finite", |float| float.is_finite())) {
            prop_assert!(is_exact(&float.to_string(), float));
            prop_assert!(is_exact(&serde_json::json!(float).to_string(), float));
        }

        #[test]
        fn short_numbers_are_exact(whole in 0..9_999_999_u32, fraction in 0..999_999_u32, exponent in 0..9) {
            let (decimal, scaled) = (format!("-{whole}.{fraction}"), format!("{whole}e-{exponent}"));
            for text in [decimal, scaled] {
                prop_assert!(!is_short(&text) || is_exact(&text, text.parse().unwrap()), "{text}");
            }
        }
    }
}
