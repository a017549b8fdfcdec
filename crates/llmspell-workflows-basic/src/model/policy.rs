use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Steps;

/// How often and when a failed step is retried.
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
    /// How the delay grows between attempts.
    pub backoff: Backoff,
    /// The maximum number of attempts, including the first; at least 1.
    pub attempts_max: u32,
    /// The delay before the second attempt.
    pub initial_delay: Duration,
    /// The maximum delay.
    pub delay_max: Duration,
    /// The factor by which an exponential delay grows.
    pub multiplier: f64,
    /// The random variation of a delay, as a fraction of the delay: 0.1 is ±10 %.
    pub jitter: f64,
    /// The error codes or classes that are retried. If the list is empty, the error itself decides.
    pub on_errors: Vec<String>,
    /// The HTTP status codes (`details.status` of the error) that are retried. If the list is
    /// empty, status codes are ignored.
    pub on_status_codes: Vec<u16>,
    /// The exit codes of processes (`details.exit_code` of the error) that are retried; never 0. If
    /// the list is empty, exit codes are ignored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_exit_codes: Vec<u8>,
    /// The time after the first attempt during which further attempts may begin.
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
            on_exit_codes: Vec::new(),
            duration_max: None,
        }
    }
}

impl Retry {
    /// Creates a policy with at most `attempts_max` attempts and default
    /// values for all other settings.
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

    /// Sets the random variation of delays.
    #[must_use]
    pub fn with_jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Retries only errors with these codes or classes.
    #[must_use]
    pub fn with_errors<S: Into<String>>(mut self, errors: impl IntoIterator<Item = S>) -> Self {
        self.on_errors = errors.into_iter().map(Into::into).collect();
        self
    }

    /// Retries only processes that ended with these exit codes.
    #[must_use]
    pub fn with_exit_codes(mut self, codes: impl IntoIterator<Item = u8>) -> Self {
        self.on_exit_codes = codes.into_iter().collect();
        self
    }

    /// Returns the delay after the failed attempt `attempt` (counted from 1), before jitter.
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
    /// The delay is multiplied after each attempt.
    #[default]
    Exponential,
    /// The delay is increased by the initial delay after each attempt.
    Linear,
    /// The delay is always the initial delay.
    Fixed,
    /// There is no delay.
    Immediate,
}

/// The effect of a failed step on the enclosing steps, once its retries are used up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The enclosing list fails.
    #[default]
    Fail,
    /// The list continues as if the step's output were null; the step keeps the status `failed`.
    Continue,
    /// These steps run at `PATH/$on_error`, with the error as `error`; if they succeed, the list continues with their
    /// output.
    Steps(Steps),
}

/// Whether a step runs, given the outcomes of its dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// The step runs if no dependency failed and at least one succeeded. A dependency
    /// skipped because of a failure counts as failed; one skipped because of its
    /// condition does not.
    #[default]
    NoneFailedMinOneSuccess,
    /// The step runs if all dependencies succeeded.
    AllSuccess,
    /// The step runs once all dependencies have ended, with any outcome.
    AllDone,
    /// The step runs if at least one dependency succeeded.
    OneSuccess,
    /// Like `all_done`, but the step runs even if the list has already failed.
    Always,
}

impl TriggerRule {
    /// Returns the name of the rule in YAML.
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
