use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::parameters::{self as request, RequestParameters};
use super::retry::{self, Retry, RetryOutcome};
use super::{body, failure};
use crate::{Category, Permission, SecurityLevel, Tool, ToolContext, ToolError, ToolSpec, parameters};

/// Sends an HTTP request and returns the response.
pub(super) struct HttpRequester {
    spec: ToolSpec,
    client: Arc<Client>,
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(flatten)]
    request: RequestParameters,
    #[serde(default)]
    retry: Retry,
    #[serde(default)]
    allow_error_status: bool,
}

impl HttpRequester {
    pub(super) fn new(client: Arc<Client>) -> Self {
        let mut properties = request::schema();
        properties.insert("retry".into(), retry::schema());
        properties.insert(
            "allow_error_status".into(),
            json!({
                "type": "boolean", "default": false,
                "description": "Return a response with status 4xx or 5xx as a result instead of failing.",
            }),
        );
        let spec = ToolSpec {
            name: "http_requester",
            aliases: &["http_request"],
            description: "Sends an HTTP request and returns the response, with JSON parsed.",
            category: Category::Api,
            security_level: SecurityLevel::Restricted,
            permissions: &[Permission::Network],
            parameters: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["input"],
                "properties": properties,
            }),
            result: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["url", "status", "headers", "body", "body_type", "attempts"],
                "properties": {
                    "url": {"type": "string", "description": "The final URL after redirects."},
                    "status": {"type": "integer"},
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                    "body": {
                        "description": "Parsed JSON, decoded text, or any other content as base64, such as content \
                            that the server compressed without being asked to.",
                    },
                    "body_type": {"enum": ["json", "text", "base64"]},
                    "attempts": {"type": "integer", "minimum": 1},
                },
            }),
        };
        Self { spec, client }
    }
}

#[async_trait]
impl Tool for HttpRequester {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let Parameters { request, retry, allow_error_status } = parameters::read(parameters)?;
        let request = request.into_request(context)?;
        let RetryOutcome { response, attempts } = retry::send(&self.client, &request, &retry, context).await?;
        let is_error = response.status.is_client_error() || response.status.is_server_error();
        if is_error && !allow_error_status {
            return Err(failure::status_error(&response));
        }
        let (body, body_type) = body::to_value(&response.body, &response.headers)?;
        Ok(json!({
            "url": response.url.as_str(),
            "status": response.status.as_u16(),
            "headers": body::headers_to_value(&response.headers),
            "body": body,
            "body_type": body_type,
            "attempts": attempts,
        }))
    }
}
