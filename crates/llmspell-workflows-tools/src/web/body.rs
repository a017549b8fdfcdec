use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use llmspell_workflows_basic::{BytesForm, JsonError, parse_json_bytes};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value};

use super::charset;
use crate::data::support::json_error;
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

/// Returns the encoding of a body, such as `gzip`, if it has one.
///
/// The client never requests an encoding and never decodes a body, so an encoded body is passed on
/// unchanged, as base64.
pub(super) fn encoding<'r>(body: &[u8], headers: &'r HeaderMap) -> Option<&'r str> {
    let encodings =
        headers.get_all(CONTENT_ENCODING).into_iter().map(|value| value.to_str().unwrap_or("unknown").trim());
    let mut encodings = encodings.filter(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity"));
    if body.is_empty() { None } else { encodings.next() }
}

/// Converts a body to a value, and returns the value's form: `json` for parsed JSON, otherwise the form of
/// [`to_text`].
///
/// # Errors
/// Fails if the body is JSON with an integer that cannot be represented exactly. Other invalid JSON becomes text.
pub(super) fn to_value(body: &[u8], headers: &HeaderMap) -> Result<(Value, &'static str), ToolError> {
    if is_json(&media_type(content_type(headers)))
        && let Some(value) = to_json(body, headers)?
    {
        return Ok((value, "json"));
    }
    let (text, form) = to_text(body, headers);
    Ok((Value::String(text), form.name()))
}

/// Parses a body as JSON, with or without a byte order mark; returns `None` if it is not JSON.
///
/// # Errors
/// Fails if the content type is JSON and an integer cannot be represented exactly. With any other
/// content type, such a body is text.
pub(super) fn to_json(body: &[u8], headers: &HeaderMap) -> Result<Option<Value>, ToolError> {
    if encoding(body, headers).is_some() {
        return Ok(None);
    }
    match parse_json_bytes(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)) {
        Ok(value) => Ok(Some(value)),
        Err(error @ JsonError::TooLarge { .. }) if is_json(&media_type(content_type(headers))) => {
            Err(json_error("the body of the response", &error))
        }
        Err(_) => Ok(None),
    }
}

/// Converts a body to text if it is valid text in its character set, otherwise to base64, so that
/// no byte is lost.
pub(super) fn to_text(body: &[u8], headers: &HeaderMap) -> (String, BytesForm) {
    let content_type = content_type(headers);
    let media_type = media_type(content_type);
    let text = match () {
        () if encoding(body, headers).is_some() => None,
        // JSON is Unicode, unless the server declares another character set.
        () if is_json(&media_type) => charset::decode_unicode(body, content_type),
        () if is_text(&media_type) => charset::decode_exactly(body, content_type),
        () if media_type.is_empty() => std::str::from_utf8(body).ok().map(str::to_owned),
        () => None,
    };
    text.map_or_else(|| (STANDARD.encode(body), BytesForm::Base64), |text| (text, BytesForm::Text))
}

/// Converts a body like [`to_text`], but also treats UTF-8 of any content type as text.
pub(super) fn to_readable(body: &[u8], headers: &HeaderMap) -> (String, BytesForm) {
    match std::str::from_utf8(body) {
        Ok(text) if encoding(body, headers).is_none() => (text.to_owned(), BytesForm::Text),
        _ => to_text(body, headers),
    }
}

/// Converts headers to an object with lower-case names. Repeated headers are joined with commas. A header that is not
/// UTF-8 is read as ISO 8859-1, in which each byte is a character.
pub(super) fn headers_to_value(headers: &HeaderMap) -> Value {
    let mut object = Map::new();
    for (name, value) in headers {
        let value = std::str::from_utf8(value.as_bytes())
            .map_or_else(|_| value.as_bytes().iter().copied().map(char::from).collect(), str::to_owned);
        match object.get_mut(name.as_str()) {
            Some(Value::String(joined)) => {
                joined.push_str(", ");
                joined.push_str(&value);
            }
            _ => {
                object.insert(name.as_str().to_owned(), Value::String(value));
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
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    fn headers(content_type: &'static str, encoding: &'static str) -> HeaderMap {
        let given = [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, encoding)];
        let given = given.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_body_is_converted_according_to_its_content_type() {
        for (body, content_type, expected) in [
            (&b"{\"a\": 1}"[..], "application/json", (json!({"a": 1}), "json")),
            (b"[]", "application/problem+json; charset=utf-8", (json!([]), "json")),
            (b"\xef\xbb\xbf{\"a\": 1}", "application/json", (json!({"a": 1}), "json")),
            (b"[18446744073709551615]", "application/json", (json!([u64::MAX]), "json")),
            (b"{broken", "application/json", (json!("{broken"), "text")),
            (b"\"caf\xe9\"", "application/json", (json!("ImNhZuki"), "base64")),
            (b"\"caf\xe9\"", "application/json; charset=latin1", (json!("\"café\""), "text")),
            (b"caf\xe9", "text/plain; charset=iso-8859-1", (json!("café"), "text")),
            (b"caf\xe9", "text/plain", (json!("café"), "text")),
            (b"caf\xe9", "text/plain; charset=utf-8", (json!("Y2Fm6Q=="), "base64")),
            (b"\xff\xfea\x00", "text/plain", (json!("a"), "text")),
            (b"a\x00\xff", "text/plain", (json!("YQD/"), "base64")),
            (b"a\x00b", "text/plain", (json!("a\u{0}b"), "text")),
            (b"plain", "", (json!("plain"), "text")),
            (b"\xff\xfe\x00", "", (json!("//4A"), "base64")),
            (b"abc", "application/octet-stream", (json!("YWJj"), "base64")),
            (b"<a/>", "image/svg+xml", (json!("<a/>"), "text")),
            (b"", "", (json!(""), "text")),
        ] {
            let converted = to_value(body, &headers(content_type, ""));
            assert_eq!(converted, Ok(expected), "{content_type}");
        }
    }

    #[test]
    fn an_encoded_body_is_never_treated_as_text() {
        for (body, encoding, expected) in [
            (&b"{}"[..], "identity", (json!({}), "json")),
            (b"{}", "gzip", (json!("e30="), "base64")),
            (b"{}", "BR", (json!("e30="), "base64")),
            (b"", "gzip", (json!(""), "text")),
        ] {
            assert_eq!(to_value(body, &headers("application/json", encoding)), Ok(expected), "{encoding}");
        }
    }

    #[test]
    fn inexact_integers_are_errors_only_in_json() {
        let body = b"{\"id\": 18446744073709551616}";
        let error = to_value(body, &headers("application/json", "")).unwrap_err();
        assert_eq!(error.code, "number_too_large");
        assert!(error.message.contains("`18446744073709551616` in `/id`"), "{error}");
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(to_value(body, &headers("text/plain", "")), Ok((json!(text), "text")));
    }

    #[test]
    fn header_conversion_keeps_every_byte() {
        let mut headers = HeaderMap::new();
        headers.append("x-name", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        headers.append("x-name", HeaderValue::from_bytes("é".as_bytes()).unwrap());
        assert_eq!(headers_to_value(&headers), json!({"x-name": "café, é"}));
    }
}
