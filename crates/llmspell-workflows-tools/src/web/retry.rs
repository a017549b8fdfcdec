use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Request, Response};
use super::failure;
use crate::{ToolContext, ToolError, ToolErrorClass};

/// The number and timing of a request's retries; by default, requests are not retried.
#[derive(Deserialize, Default)]
#[serde(from = "RetryParameter")]
pub(super) struct Retry {
    attempts_max: u32,
    delay: Duration,
    delay_max: Duration,
    multiplier: f64,
}

/// The parameter `retry`: either the number of retries or an object with all settings.
#[derive(Deserialize)]
#[serde(untagged)]
enum RetryParameter {
    Retries(u32),
    Settings {
        #[serde(default = "default_max_attempts")]
        max_attempts: u32,
        #[serde(default = "default_initial_delay_ms")]
        initial_delay_ms: u64,
        #[serde(default = "default_max_delay_ms")]
        max_delay_ms: u64,
        #[serde(default = "default_multiplier")]
        multiplier: f64,
    },
}

fn default_max_attempts() -> u32 {
    3
}

fn default_initial_delay_ms() -> u64 {
    500
}

fn default_max_delay_ms() -> u64 {
    30_000
}

fn default_multiplier() -> f64 {
    2.0
}

impl From<RetryParameter> for Retry {
    fn from(parameter: RetryParameter) -> Self {
        let (attempts_max, delay_ms, delay_max_ms, multiplier) = match parameter {
            RetryParameter::Retries(retries) => {
                (retries + 1, default_initial_delay_ms(), default_max_delay_ms(), default_multiplier())
            }
            RetryParameter::Settings { max_attempts, initial_delay_ms, max_delay_ms, multiplier } => {
                (max_attempts, initial_delay_ms, max_delay_ms, multiplier)
            }
        };
        Self {
            attempts_max,
            delay: Duration::from_millis(delay_ms),
            delay_max: Duration::from_millis(delay_max_ms),
            multiplier,
        }
    }
}

/// Returns the schema of a `retry` parameter.
pub(super) fn schema() -> Value {
    json!({
        "description": "Retries after a failed connection, a timeout, or a status of 408, 429 or 5xx: the number of \
            retries, or an object with all settings. If the server acted before it failed, effects may happen twice.",
        "type": ["integer", "object"],
        "minimum": 0, "maximum": 20,
        "additionalProperties": false,
        "properties": {
            "max_attempts": {
                "type": "integer", "minimum": 1, "maximum": 21, "default": default_max_attempts(),
                "description": "The maximum number of attempts, including the first.",
            },
            "initial_delay_ms": {
                "type": "integer", "minimum": 0, "maximum": 3_600_000, "default": default_initial_delay_ms(),
                "description": "The delay before the second attempt, in milliseconds.",
            },
            "max_delay_ms": {
                "type": "integer", "minimum": 0, "maximum": 3_600_000, "default": default_max_delay_ms(),
                "description": "The maximum delay, in milliseconds; it also limits a delay requested by the server in Retry-After.",
            },
            "multiplier": {
                "type": "number", "minimum": 1, "maximum": 10, "default": default_multiplier(),
                "description": "The factor by which the delay grows after each attempt.",
            },
        },
    })
}

/// A response and the number of attempts made.
pub(super) struct RetryOutcome {
    pub(super) response: Response,
    pub(super) attempts: u32,
}

/// Sends `request` until the response is not retryable or no attempts remain.
pub(super) async fn send(
    client: &Client,
    request: &Request,
    retry: &Retry,
    context: &ToolContext,
) -> Result<RetryOutcome, ToolError> {
    let mut attempts = 1;
    let mut delay = retry.delay;
    loop {
        let outcome = client.send(request, context).await;
        let requested_delay = match &outcome {
            Ok(response) if is_retryable(response.status) => failure::retry_after(response),
            Err(error) if matches!(error.class, ToolErrorClass::Transient | ToolErrorClass::Timeout) => None,
            _ => return outcome.map(|response| RetryOutcome { response, attempts }),
        };
        if attempts >= retry.attempts_max {
            return outcome.map(|response| RetryOutcome { response, attempts });
        }
        tokio::select! {
            () = context.cancellation.cancelled() => return Err(ToolError::cancelled()),
            () = tokio::time::sleep(requested_delay.unwrap_or(delay).min(retry.delay_max)) => {}
        }
        delay = delay.mul_f64(retry.multiplier).min(retry.delay_max);
        attempts += 1;
    }
}

fn is_retryable(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}
