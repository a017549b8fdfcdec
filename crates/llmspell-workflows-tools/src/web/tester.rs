use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::body;
use super::client::Client;
use super::parameters::{self as request, RequestParameters};
use crate::{Category, Permission, SecurityLevel, Tool, ToolContext, ToolError, ToolSpec, parameters};

/// Reports how an HTTP API responds.
pub(super) struct ApiTester {
    spec: ToolSpec,
    client: Arc<Client>,
}

impl ApiTester {
    pub(super) fn new(client: Arc<Client>) -> Self {
        let spec = ToolSpec {
            name: "api_tester",
            aliases: &["api_test"],
            description: "Sends a request to an HTTP API and reports the response and its timing, regardless of the status.",
            category: Category::Api,
            security_level: SecurityLevel::Restricted,
            permissions: &[Permission::Network],
            parameters: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["input"],
                "properties": request::schema(),
            }),
            result: json!({
                "type": "object",
                "additionalProperties": false,
                "required": [
                    "success", "url", "status", "status_text", "headers", "timing", "size", "body", "body_type", "json",
                ],
                "properties": {
                    "success": {"type": "boolean", "description": "Whether the status is 2xx."},
                    "url": {"type": "string", "description": "The final URL after redirects."},
                    "status": {"type": "integer"},
                    "status_text": {"type": "string"},
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                    "timing": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["first_byte_ms", "total_ms"],
                        "properties": {
                            "first_byte_ms": {"type": "number", "description": "The time until the headers arrived."},
                            "total_ms": {"type": "number", "description": "The time until the body was complete."},
                        },
                    },
                    "size": {"type": "integer", "minimum": 0, "description": "The size of the body in bytes."},
                    "body": {"type": "string", "description": "The body as text, or as base64 if it is not text."},
                    "body_type": {"enum": ["text", "base64"]},
                    "json": {"description": "The parsed body, or null if it is not JSON."},
                },
            }),
        };
        Self { spec, client }
    }
}

#[async_trait]
impl Tool for ApiTester {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let request: RequestParameters = parameters::read(parameters)?;
        let response = self.client.send(&request.into_request(context)?, context).await?;
        let (body, body_form) = body::to_readable(&response.body, &response.headers);
        Ok(json!({
            "success": response.status.is_success(),
            "url": response.url.as_str(),
            "status": response.status.as_u16(),
            "status_text": response.status.canonical_reason().unwrap_or_default(),
            "headers": body::headers_to_value(&response.headers),
            "timing": {"first_byte_ms": milliseconds(response.first_byte), "total_ms": milliseconds(response.total)},
            "size": response.body.len(),
            "body": body,
            "body_type": body_form.name(),
            "json": body::to_json(&response.body, &response.headers)?,
        }))
    }
}

/// Returns the duration in milliseconds, with microsecond precision.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}
