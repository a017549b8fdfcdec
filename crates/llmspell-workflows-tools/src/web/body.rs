use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value};

use super::charset;
use crate::{ToolError, ToolErrorClass};

/// Reads the whole body; fails as soon as it exceeds `bytes_max`.
pub(super) async fn read(
    response: &mut reqwest::Response,
    bytes_max: usize,
    failed: impl Fn(reqwest::Error) -> ToolError,
) -> Result<Vec<u8>, ToolError> {
    let too_large = || {
        ToolError::new(
            ToolErrorClass::Limit,
            "response_too_large",
            format!("the response is larger than {bytes_max} bytes"),
        )
        .with_help("raise `response_bytes_max` in the policy")
    };
    let announced = response.content_length().unwrap_or(0);
    if announced > bytes_max as u64 {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(&failed)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Returns the `Content-Type`, or an empty string if the header is missing.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns `content_type` without its parameters, in lower case.
pub(super) fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Converts a body to a value, and returns the value's form: `json` for parsed JSON, `text`, or `base64` for any other
/// content.
///
/// Invalid JSON becomes text. A body that has no content type and is not valid UTF-8 becomes base64.
pub(super) fn to_value(body: &[u8], content_type: &str) -> (Value, &'static str) {
    let media_type = media_type(content_type);
    if is_json(&media_type)
        && let Some(value) = to_json(body)
    {
        return (value, "json");
    }
    if is_text(&media_type) || (media_type.is_empty() && std::str::from_utf8(body).is_ok()) {
        return (Value::String(charset::decode(body, content_type)), "text");
    }
    (Value::String(STANDARD.encode(body)), "base64")
}

/// Parses a body as JSON, with or without a byte order mark.
pub(super) fn to_json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()
}

/// Converts headers to an object with lower-case names. Repeated headers are joined with commas; invalid bytes are
/// replaced.
pub(super) fn headers_to_value(headers: &HeaderMap) -> Value {
    let mut object = Map::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match object.get_mut(name.as_str()) {
            Some(Value::String(joined)) => {
                joined.push_str(", ");
                joined.push_str(&value);
            }
            _ => {
                object.insert(name.as_str().to_owned(), Value::String(value.into_owned()));
            }
        }
    }
    Value::Object(object)
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type == "text/json" || media_type.ends_with("+json")
}

fn is_text(media_type: &str) -> bool {
    const TEXTS: [&str; 7] = [
        "application/xml",
        "application/xhtml+xml",
        "application/javascript",
        "application/x-www-form-urlencoded",
        "application/x-ndjson",
        "application/yaml",
        "application/toml",
    ];
    is_json(media_type)
        || media_type.starts_with("text/")
        || media_type.ends_with("+xml")
        || TEXTS.contains(&media_type)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_is_converted_according_to_its_content_type() {
        for (body, content_type, expected) in [
            (&b"{\"a\": 1}"[..], "application/json", (json!({"a": 1}), "json")),
            (b"[]", "application/problem+json; charset=utf-8", (json!([]), "json")),
            (b"\xef\xbb\xbf{\"a\": 1}", "application/json", (json!({"a": 1}), "json")),
            (b"{broken", "application/json", (json!("{broken"), "text")),
            (b"caf\xe9", "text/plain; charset=iso-8859-1", (json!("café"), "text")),
            (b"plain", "", (json!("plain"), "text")),
            (b"\xff\xfe\x00", "", (json!("//4A"), "base64")),
            (b"abc", "application/octet-stream", (json!("YWJj"), "base64")),
            (b"<a/>", "image/svg+xml", (json!("<a/>"), "text")),
            (b"", "", (json!(""), "text")),
        ] {
            assert_eq!(to_value(body, content_type), expected, "{content_type}");
        }
    }
}
