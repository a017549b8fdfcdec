use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A length of time, written down or computed when the step starts.
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
    /// Known from the start.
    Fixed(Duration),
    /// An expression whose value is a number of seconds or a text such as `30s`.
    Expression(String),
}

impl Delay {
    /// The time that `seconds` stands for.
    ///
    /// # Errors
    /// A negative, infinite or too large number is none.
    pub fn from_seconds(seconds: f64) -> Result<Self, DelayError> {
        Duration::try_from_secs_f64(seconds).map(Self::Fixed).map_err(|_| DelayError(seconds.to_string()))
    }
}

impl From<Duration> for Delay {
    fn from(duration: Duration) -> Self {
        Self::Fixed(duration)
    }
}

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a length of time: write seconds as a number, or a text such as `30s`, `500ms`, `1h30m`, `PT5M`")]
pub struct DelayError(String);

impl FromStr for Delay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let text = text.trim();
        if let Some(expression) = whole_expression(text) {
            return Ok(Self::Expression(expression.to_owned()));
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

/// `1h30m`, `500ms` and their ISO 8601 form `PT1H30M`; fractions only as in `1.5s`.
fn units(text: &str) -> Option<Duration> {
    let lower = text.to_ascii_lowercase();
    let (rest, iso) = match lower.strip_prefix("pt") {
        Some(rest) => (rest, true),
        None => (lower.as_str(), false),
    };
    let mut rest = rest;
    let mut total = Duration::ZERO;
    let mut last = f64::INFINITY;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" if !iso => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" if !iso => 86_400.0,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        rest = &rest[end..];
        total = total.checked_add(Duration::try_from_secs_f64(number * unit).ok()?)?;
    }
    last.is_finite().then_some(total)
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
            write!(f, "{}s", duration.as_secs_f64())
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
    fn texts_and_what_they_stand_for() {
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
        ] {
            let delay: Delay = text.parse().unwrap();
            assert_eq!(delay, Delay::Fixed(Duration::from_millis(milliseconds)), "{text}");
            assert_eq!(delay.to_string().parse(), Ok(delay), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "s", "5 m", "-1", "5x", "1s1m", "P1D", "PT", "1e400", "..s"] {
            assert!(text.parse::<Delay>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_expression_is_kept() {
        for text in ["{{ variables.minutes * 60 }}", "${variables.minutes * 60}"] {
            assert_eq!(text.parse(), Ok(Delay::Expression("variables.minutes * 60".into())));
        }
    }
}
