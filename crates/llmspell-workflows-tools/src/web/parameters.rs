use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use llmspell_workflows_basic::expr::url_encoded;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::{Redirects, Request, parse_url};
use crate::{ToolContext, ToolError, parameters};

/// The parameters shared by the tools that send a request on behalf of the caller.
#[derive(Deserialize)]
pub(super) struct RequestParameters {
    pub(super) input: String,
    #[serde(default)]
    query: Map<String, Value>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    auth: Option<Auth>,
    #[serde(default)]
    timeout: Option<f64>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Auth {
    Basic {
        username: String,
        #[serde(default)]
        password: String,
    },
    Bearer {
        token: String,
    },
}

/// Returns the property schemas of [`RequestParameters`].
pub(super) fn schema() -> Map<String, Value> {
    let properties = json!({
        "input": url_schema(),
        "query": query_schema(),
        "method": {
            "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], "default": "GET",
            "description": "The HTTP method.",
        },
        "headers": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
            "description": "Headers by name.",
        },
        "body": {"description": "The body: a string is sent unchanged, any other value as JSON."},
        "auth": {
            "type": "object",
            "description": "Credentials: {type: basic, username, password} or {type: bearer, token}.",
            "required": ["type"],
            "properties": {
                "type": {"enum": ["basic", "bearer"]},
                "username": {"type": "string"},
                "password": {"type": "string"},
                "token": {"type": "string"},
            },
            "additionalProperties": false,
            "if": {"properties": {"type": {"const": "bearer"}}},
            "then": {"required": ["token"], "properties": {"username": false, "password": false}},
            "else": {"required": ["username"], "properties": {"token": false}},
        },
        "timeout": timeout_schema(),
    });
    match properties {
        Value::Object(properties) => properties,
        _ => unreachable!("the value above is an object"),
    }
}

/// Returns the schema of a URL.
pub(super) fn url_schema() -> Value {
    json!({"type": "string", "minLength": 1, "format": "url", "description": "The URL."})
}

/// Returns the schema of a query's fields.
pub(super) fn query_schema() -> Value {
    let scalar = json!(["string", "number", "boolean"]);
    json!({
        "type": "object",
        "additionalProperties": {
            "type": ["string", "number", "boolean", "null", "array"],
            "items": {"type": scalar},
        },
        "description": "Fields that are encoded and added to the query of the URL; a list repeats its field, and null \
            omits the field.",
    })
}

/// Returns the schema of a `timeout` in seconds.
pub(super) fn timeout_schema() -> Value {
    json!({
        "type": "number", "exclusiveMinimum": 0, "maximum": 86_400,
        "description": "The time limit of a request in seconds; it cannot exceed the policy's limit.",
    })
}

/// Converts a `timeout` that matches [`timeout_schema`] to a duration.
pub(super) fn timeout(seconds: Option<f64>) -> Option<Duration> {
    seconds.map(Duration::from_secs_f64)
}

impl RequestParameters {
    /// Builds the described request.
    ///
    /// POST and PATCH requests carry the step's idempotency key in the header `Idempotency-Key`. A server that supports
    /// this header answers a repeated attempt without performing the request twice.
    pub(super) fn into_request(self, context: &ToolContext) -> Result<Request, ToolError> {
        let method = self.method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| parameters::invalid(format!("`{method}` is not a valid HTTP method")))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(header_name(name)?, header_value(name, &text_of(value))?);
        }
        if let Some(auth) = &self.auth {
            if headers.contains_key(AUTHORIZATION) {
                return Err(parameters::invalid("`auth` and the header `Authorization` cannot be used together")
                    .with_help("remove one of them"));
            }
            let mut value = header_value("Authorization", &auth.header()?)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let body = self.body.map(|body| body_bytes(body, &mut headers));
        if let Some(key) = &context.idempotency_key
            && matches!(method, Method::POST | Method::PATCH)
            && !headers.contains_key("idempotency-key")
        {
            headers.insert("idempotency-key", header_value("Idempotency-Key", key)?);
        }
        Ok(Request {
            method,
            url: url_with(&self.input, &self.query)?,
            headers,
            body,
            timeout: timeout(self.timeout),
            redirects: Redirects::Follow,
        })
    }
}

impl Auth {
    fn header(&self) -> Result<String, ToolError> {
        match self {
            // The server treats everything after the first colon as the password.
            Self::Basic { username, .. } if username.contains(':') => {
                Err(parameters::invalid("the user name in `auth` contains `:`").with_help("use another user name"))
            }
            Self::Basic { username, password } => {
                Ok(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            }
            Self::Bearer { token } => Ok(format!("Bearer {token}")),
        }
    }
}

/// Converts a body to bytes, and sets the matching content type unless the caller set one.
fn body_bytes(body: Value, headers: &mut HeaderMap) -> Vec<u8> {
    let (bytes, content_type) = match body {
        Value::String(text) => (text.into_bytes(), "text/plain; charset=utf-8"),
        other => (other.to_string().into_bytes(), "application/json"),
    };
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    bytes
}

/// Parses a URL and adds the fields of `query`.
///
/// Spaces become `%20`, which every server understands, rather than `+`.
pub(super) fn url_with(input: &str, query: &Map<String, Value>) -> Result<Url, ToolError> {
    let mut url = parse_url(input)?;
    let mut fields: Vec<_> = url.query().filter(|query| !query.is_empty()).map(str::to_owned).into_iter().collect();
    for (name, value) in query {
        let values = match value {
            Value::Null => &[],
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        fields.extend(values.iter().map(|value| format!("{}={}", url_encoded(name), url_encoded(&text_of(value)))));
    }
    if !query.is_empty() {
        url.set_query((!fields.is_empty()).then(|| fields.join("&")).as_deref());
    }
    Ok(url)
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn header_name(name: &str) -> Result<HeaderName, ToolError> {
    let header = name.parse().map_err(|_| parameters::invalid(format!("`{name}` is not a valid header name")))?;
    // A length that does not match the body would make the server wait for more data, or read the rest as a separate
    // request.
    if matches!(header, CONTENT_LENGTH | TRANSFER_ENCODING) {
        let message = format!("the header `{name}` cannot be set: it is derived from the body");
        return Err(parameters::invalid(message).with_help("remove it"));
    }
    Ok(header)
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, ToolError> {
    // The message does not show the value, which may be a secret.
    HeaderValue::from_str(value)
        .map_err(|_| parameters::invalid(format!("the value of the header `{name}` contains invalid characters")))
}
