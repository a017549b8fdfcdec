use std::error::Error;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{StatusCode, Url};
use serde_json::json;

use super::body;
use super::client::Response;
use crate::{ToolError, ToolErrorClass};

/// The maximum number of characters of an error response that are included in the error.
const EXCERPT_CHARS_MAX: usize = 500;

/// Renders `url` without parts that may be secret: user name, password, query and fragment.
pub(super) fn redacted(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Creates the error for a missing or incomplete response.
pub(super) fn transport_error(error: reqwest::Error, url: &Url, timeout: Duration) -> ToolError {
    // This crate's own errors about a redirect or a resolved address are wrapped in the client's error.
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    let mut innermost: &(dyn Error + 'static) = &error;
    while let Some(current) = cause {
        if let Some(own) = current.downcast_ref::<ToolError>() {
            return own.clone();
        }
        innermost = current;
        cause = current.source();
    }
    let url = redacted(url);
    if error.is_timeout() {
        let message = format!("`{url}` did not respond within {} ms", timeout.as_millis());
        return ToolError::new(ToolErrorClass::Timeout, "request_timed_out", message);
    }
    let (code, what) = match () {
        () if error.is_connect() => ("connection_failed", "cannot connect to"),
        () if error.is_builder() => {
            let message = format!("invalid request to `{url}`: {innermost}");
            return ToolError::new(ToolErrorClass::Validation, "invalid_request", message);
        }
        () => ("response_broken", "incomplete response from"),
    };
    ToolError::new(ToolErrorClass::Transient, code, format!("{what} `{url}`: {innermost}"))
}

/// Creates the error for exceeding the policy's redirect limit.
pub(super) fn too_many_redirects(redirects_max: usize) -> ToolError {
    ToolError::new(
        ToolErrorClass::Validation,
        "too_many_redirects",
        format!("the request was redirected more than {redirects_max} times"),
    )
    .with_help("check whether the redirects form a loop, or raise `redirects_max` in the policy")
}

/// Creates the error for an error status; the details contain the body, or the beginning of a long one.
pub(super) fn status_error(response: &Response) -> ToolError {
    let status = response.status;
    let class = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => ToolErrorClass::Transient,
        status if status.is_server_error() => ToolErrorClass::Transient,
        _ => ToolErrorClass::Validation,
    };
    let (text, form) = body::to_readable(&response.body, &response.headers);
    let mut excerpt: String = text.chars().take(EXCERPT_CHARS_MAX).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    let mut details = json!({"status": status.as_u16(), "body": excerpt, "body_type": form.name()});
    // As in the output of a request; a shortened body would not be JSON any more.
    if excerpt.len() == text.len()
        && let Ok((value, "json")) = body::to_value(&response.body, &response.headers)
    {
        (details["body"], details["body_type"]) = (value, json!("json"));
    }
    if let Some(delay) = retry_after(response) {
        details["retry_after_seconds"] = json!(delay.as_secs());
    }
    ToolError::new(class, "http_status", format!("`{}` responded with {status}", redacted(&response.url)))
        .with_details(details)
}

/// Returns the delay that the server requests in `Retry-After`, if it is given in seconds.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
