use std::error::Error;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{StatusCode, Url};
use serde_json::json;

use super::client::Response;
use super::{body, charset};
use crate::{ToolError, ToolErrorClass};

/// How much of a refusing server's answer an error carries, in characters.
const EXCERPT_CHARS_MAX: usize = 500;

/// `url` without what may be secret: user name, password, query and fragment.
pub(super) fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Why there was no answer, or only a part of one.
pub(super) fn of_transport(error: reqwest::Error, url: &Url, timeout: Duration) -> ToolError {
    // Our own refusals, of a redirect or of a resolved address, come back wrapped.
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    let mut innermost: &(dyn Error + 'static) = &error;
    while let Some(current) = cause {
        if let Some(own) = current.downcast_ref::<ToolError>() {
            return own.clone();
        }
        innermost = current;
        cause = current.source();
    }
    let shown = shown(url);
    if error.is_timeout() {
        let message = format!("`{shown}` did not answer within {} ms", timeout.as_millis());
        return ToolError::new(ToolErrorClass::Timeout, "request_timed_out", message);
    }
    let (code, what) = match () {
        () if error.is_connect() => ("connection_failed", "could not connect to"),
        () if error.is_builder() => {
            let message = format!("the request to `{shown}` is not valid: {innermost}");
            return ToolError::new(ToolErrorClass::Validation, "invalid_request", message);
        }
        () => ("response_broken", "got no whole answer from"),
    };
    ToolError::new(ToolErrorClass::Transient, code, format!("{what} `{shown}`: {innermost}"))
}

/// More redirects than the policy allows.
pub(super) fn too_many_redirects(redirects_max: usize) -> ToolError {
    ToolError::new(
        ToolErrorClass::Validation,
        "too_many_redirects",
        format!("more than {redirects_max} redirects were to be followed"),
    )
    .with_help("check the URL for a loop, or raise `redirects_max` in the policy")
}

/// What a status that tells of an error means to the caller; its body's beginning is in the details.
pub(super) fn of_status(response: &Response) -> ToolError {
    let status = response.status;
    let class = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ToolErrorClass::Transient,
        status if status.is_server_error() => ToolErrorClass::Transient,
        _ => ToolErrorClass::Validation,
    };
    let text = charset::decode(&response.body, body::content_type(&response.headers));
    let excerpt: String = text.chars().take(EXCERPT_CHARS_MAX).collect();
    let mut details = json!({"status": status.as_u16(), "body": excerpt});
    if let Some(delay) = retry_after(response) {
        details["retry_after_seconds"] = json!(delay.as_secs());
    }
    ToolError::new(class, "http_status", format!("`{}` answered with {status}", shown(&response.url)))
        .with_details(details)
}

/// How long the server asks to wait, where it says so in seconds.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
