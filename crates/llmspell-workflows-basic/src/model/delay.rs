use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A duration, fixed or computed when the step starts.
///
/// ```
/// use std::time::Duration;
/// use llmspell_workflows_basic::model::Delay;
///
/// assert_eq!("1h30m".parse(), Ok(Delay::Fixed(Duration::from_secs(5400))));
/// assert_eq!("PT5M".parse(), Ok(Delay::Fixed(Duration::from_secs(300))));
/// assert_eq!("30".parse(), Ok(Delay::Fixed(Duration::from_secs(30))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Delay {
    /// A fixed duration.
    Fixed(Duration),
    /// An expression whose value is a number of seconds or a duration such as `30s`.
    Expression(String),
}

impl Delay {
    /// Creates a delay of `seconds`.
    ///
    /// # Errors
    /// Fails if the number is negative, not finite, or too large.
    pub fn from_seconds(seconds: f64) -> Result<Self, DelayError> {
        Duration::try_from_secs_f64(seconds).map(Self::Fixed).map_err(|_| DelayError(seconds.to_string()))
    }
}

impl From<Duration> for Delay {
    fn from(duration: Duration) -> Self {
        Self::Fixed(duration)
    }
}

/// The error for a string that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of seconds or a duration such as `30s`, `500ms`, `1h30m` or `PT5M`, got `{0}`")]
pub struct DelayError(String);

impl DelayError {
    /// Returns the stable code, documented under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_duration"
    }
}

impl FromStr for Delay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let text = text.trim();
        if let Some(expression) = whole_expression(text) {
            return Ok(Self::Expression(expression.to_owned()));
        }
        if let Some(seconds) = amount(text, NANOS) {
            return Ok(Self::Fixed(seconds));
        }
        if let Ok(seconds) = text.parse::<f64>() {
            return Self::from_seconds(seconds);
        }
        units(text).map(Self::Fixed).ok_or_else(|| DelayError(text.to_owned()))
    }
}

fn whole_expression(text: &str) -> Option<&str> {
    let inner = text
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .or_else(|| text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')))?;
    Some(inner.trim())
}

/// Parses `1h30m`, `500ms`, fractions such as `1.5s`, and the ISO 8601 form `PT1H30M`.
fn units(text: &str) -> Option<Duration> {
    let lower = text.to_ascii_lowercase();
    let (rest, iso) = match lower.strip_prefix("pt") {
        Some(rest) => (rest, true),
        None => (lower.as_str(), false),
    };
    let mut rest = rest;
    let (mut total, mut last) = (Duration::ZERO, u128::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = &rest[..digits];
        rest = &rest[digits..];
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" if !iso => NANOS / 1_000,
            "s" => NANOS,
            "m" => 60 * NANOS,
            "h" => 3_600 * NANOS,
            "d" if !iso => 86_400 * NANOS,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        rest = &rest[end..];
        total = total.checked_add(amount(number, unit)?)?;
    }
    (last != u128::MAX).then_some(total)
}

/// Nanoseconds per second.
const NANOS: u128 = 1_000_000_000;

/// Returns the exact duration of a decimal number of units; `unit` is the length of one unit in nanoseconds.
fn amount(number: &str, unit: u128) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| (1..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let parts = whole.parse::<u128>().ok()? * unit + fraction.parse::<u128>().ok()? * unit / scale;
    Some(Duration::new(u64::try_from(parts / NANOS).ok()?, u32::try_from(parts % NANOS).ok()?))
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expression(expression) => write!(f, "{{{{ {expression} }}}}"),
            Self::Fixed(duration) => fixed(*duration, f),
        }
    }
}

fn fixed(duration: Duration, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos != 0 {
        return if nanos % 1_000_000 == 0 && seconds < 60 {
            write!(f, "{}ms", duration.as_millis())
        } else {
            write!(f, "{}s", format!("{seconds}.{nanos:09}").trim_end_matches('0'))
        };
    }
    let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    if seconds == 0 {
        return f.write_str("0s");
    }
    parts.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
}

impl Serialize for Delay {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_and_round_trip() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("PT5M", 300_000),
            ("pt1h", 3_600_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("2d", 172_800_000),
            ("0", 0),
            ("1m30s500ms", 90_500),
            ("0.25h", 900_000),
            ("5022446689113s", 5_022_446_689_113_000),
        ] {
            let delay: Delay = text.parse().unwrap();
            assert_eq!(delay, Delay::Fixed(Duration::from_millis(milliseconds)), "{text}");
            assert_eq!(delay.to_string().parse(), Ok(delay), "{text}");
        }
    }

    #[test]
    fn extreme_durations_are_kept_exactly() {
        for duration in [
            Duration::MAX,
            Duration::new(18_080_808_080_808_079_408, 0),
            Duration::new(61, 1),
            Duration::new(u64::MAX >> 9, 7),
        ] {
            let delay = Delay::Fixed(duration);
            assert_eq!(delay.to_string().parse(), Ok(delay.clone()), "{delay}");
        }
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for text in ["", "s", "5 m", "-1", "5x", "1s1m", "P1D", "PT", "1e400", "..s"] {
            assert!(text.parse::<Delay>().is_err(), "{text}");
        }
    }

    #[test]
    fn expressions_are_kept_as_text() {
        for text in ["{{ variables.minutes * 60 }}", "${variables.minutes * 60}"] {
            assert_eq!(text.parse(), Ok(Delay::Expression("variables.minutes * 60".into())));
        }
    }
}
