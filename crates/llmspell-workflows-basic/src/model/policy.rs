use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Steps;

/// How often and when a failed step is tried again.
///
/// ```
/// use std::time::Duration;
/// use llmspell_workflows_basic::model::{Backoff, Retry};
///
/// let retry = Retry::attempts(4).with_backoff(Backoff::Exponential).with_initial_delay(Duration::from_millis(100));
/// let delays: Vec<_> = (1..4).map(|attempt| retry.delay_after(attempt).as_millis()).collect();
/// assert_eq!(delays, [100, 200, 400]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// How the delay grows from attempt to attempt.
    pub backoff: Backoff,
    /// All attempts together, the first included; at least 1.
    pub attempts_max: u32,
    /// The delay before the second attempt.
    pub initial_delay: Duration,
    /// No delay is longer.
    pub delay_max: Duration,
    /// By how much an exponential delay grows each time.
    pub multiplier: f64,
    /// How far a delay may stray at random, as a share of it: 0.1 is ±10 %.
    pub jitter: f64,
    /// Error codes or classes that are tried again; empty: what the error itself says.
    pub on_errors: Vec<String>,
    /// HTTP status codes (`details.status` of the error) that are tried again; empty: no filter.
    pub on_status_codes: Vec<u16>,
    /// No attempt begins later than this after the first.
    pub duration_max: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            backoff: Backoff::Exponential,
            attempts_max: 3,
            initial_delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(60),
            multiplier: 2.0,
            jitter: 0.1,
            on_errors: Vec::new(),
            on_status_codes: Vec::new(),
            duration_max: None,
        }
    }
}

impl Retry {
    /// `attempts_max` attempts in all, otherwise the defaults.
    #[must_use]
    pub fn attempts(attempts_max: u32) -> Self {
        Self { attempts_max, ..Self::default() }
    }

    /// Sets how the delay grows.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the delay before the second attempt.
    #[must_use]
    pub fn with_initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// Sets how far a delay may stray at random.
    #[must_use]
    pub fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Tries again only on these codes or classes.
    #[must_use]
    pub fn with_errors<S: Into<String>>(mut self, errors: impl IntoIterator<Item = S>) -> Self {
        self.on_errors = errors.into_iter().map(Into::into).collect();
        self
    }

    /// The delay after the failed attempt `attempt` (from 1), before jitter.
    #[must_use]
    pub fn delay_after(&self, attempt: u32) -> Duration {
        let initial = self.initial_delay.as_secs_f64();
        let seconds = match self.backoff {
            Backoff::Immediate => 0.0,
            Backoff::Fixed => initial,
            Backoff::Linear => initial * f64::from(attempt),
            Backoff::Exponential if initial == 0.0 => 0.0,
            Backoff::Exponential => initial * self.multiplier.powi(attempt.saturating_sub(1).min(1_000).cast_signed()),
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(self.delay_max).min(self.delay_max)
    }
}

/// How the delay between attempts grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// Multiplied each time.
    #[default]
    Exponential,
    /// The initial delay added each time.
    Linear,
    /// Always the initial delay.
    Fixed,
    /// None.
    Immediate,
}

/// What a failed step does to the steps around it, once its retries are used up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The list it stands in fails.
    #[default]
    Fail,
    /// The list goes on as if it had given null; the step stays failed.
    Continue,
    /// These run at `PATH/$on_error`, with the error as `error`; if they succeed the list goes on with their output.
    Steps(Steps),
}

/// When a step runs, given how its dependencies ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// None failed and at least one succeeded.
    #[default]
    NoneFailedMinOneSuccess,
    /// All succeeded.
    AllSuccess,
    /// All ended, in whatever way.
    AllDone,
    /// At least one succeeded.
    OneSuccess,
    /// As `all_done`, and also when the list has failed already.
    Always,
}

impl TriggerRule {
    /// The rule as YAML spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoneFailedMinOneSuccess => "none_failed_min_one_success",
            Self::AllSuccess => "all_success",
            Self::AllDone => "all_done",
            Self::OneSuccess => "one_success",
            Self::Always => "always",
        }
    }
}
