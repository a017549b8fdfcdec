use serde_json::{Map, Value, json};

use crate::web::client::Response;
use crate::web::failure;
use crate::{ToolError, ToolErrorClass};

/// A search result.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Hit {
    pub(super) title: String,
    pub(super) url: String,
    pub(super) snippet: String,
    /// The relevance score, if the service provides one.
    pub(super) score: Option<f64>,
    /// For an image search, the URL of the image itself.
    pub(super) image_url: Option<String>,
    /// The date of publication, in the service's format.
    pub(super) published: Option<String>,
}

/// The JSON Pointers to the fields of a [`Hit`]: `list` is relative to the response, and all other fields are relative
/// to a result.
pub(super) struct Layout {
    pub(super) list: &'static str,
    pub(super) title: &'static str,
    pub(super) url: &'static str,
    pub(super) snippet: &'static str,
    pub(super) score: &'static str,
    pub(super) image_url: &'static str,
    pub(super) published: &'static str,
}

impl Layout {
    /// A layout in which every pointer leads to a missing property (`/` points to a property with
    /// an empty name); each service overrides the fields it provides.
    pub(super) const EMPTY: Self =
        Self { list: "/", title: "/", url: "/", snippet: "/", score: "/", image_url: "/", published: "/" };

    /// Extracts the hits from `response`. Services omit the list if there are no results, and items without a URL are
    /// skipped.
    pub(super) fn read(&self, response: &Value) -> Vec<Hit> {
        let items = response.pointer(self.list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(|item| self.read_item(item)).collect()
    }

    fn read_item(&self, item: &Value) -> Option<Hit> {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Some(Hit {
            title: text(self.title).unwrap_or_default(),
            url: text(self.url)?,
            snippet: text(self.snippet).unwrap_or_default(),
            score: item.pointer(self.score).and_then(Value::as_f64),
            image_url: text(self.image_url),
            published: text(self.published),
        })
    }
}

impl Hit {
    pub(super) fn to_value(&self, rank: usize) -> Value {
        let mut value = Map::new();
        value.insert("rank".into(), rank.into());
        value.insert("title".into(), self.title.as_str().into());
        value.insert("url".into(), self.url.as_str().into());
        value.insert("snippet".into(), self.snippet.as_str().into());
        value.insert("score".into(), self.score.into());
        if let Some(image_url) = &self.image_url {
            value.insert("image_url".into(), image_url.as_str().into());
        }
        if let Some(published) = &self.published {
            value.insert("published".into(), published.as_str().into());
        }
        Value::Object(value)
    }
}

/// Parses the response as a JSON object.
pub(super) fn parse(response: &Response) -> Result<Value, ToolError> {
    match serde_json::from_slice(&response.body) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        _ => Err(unexpected_response(response)),
    }
}

/// Creates the error for a response that does not match the service's documentation.
pub(super) fn unexpected_response(response: &Response) -> ToolError {
    ToolError::new(
        ToolErrorClass::Configuration,
        "search_answer_not_understood",
        format!("unexpected response from `{}` for this search service", failure::redacted(&response.url)),
    )
    .with_help("check the provider's `endpoint` in the policy")
}

/// Returns the schema of the result.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["provider", "query", "results"],
        "properties": {
            "provider": {"type": "string"},
            "query": {"type": "string"},
            "results": {
                "type": "array",
                "description": "The results, best first; empty if nothing was found.",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["rank", "title", "url", "snippet", "score"],
                    "properties": {
                        "rank": {"type": "integer", "minimum": 1},
                        "title": {"type": "string"},
                        "url": {"type": "string", "description": "The URL of the page; for an image, the page that contains it."},
                        "snippet": {"type": "string"},
                        "score": {"type": ["number", "null"], "description": "The service's relevance score, or null."},
                        "image_url": {"type": "string"},
                        "published": {"type": "string", "description": "The date of publication, in the format of the service."},
                    },
                },
            },
        },
    })
}
