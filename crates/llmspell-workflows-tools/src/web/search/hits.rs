use serde_json::{Map, Value, json};

use crate::web::client::Response;
use crate::web::failure;
use crate::{ToolError, ToolErrorClass};

/// One result.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Hit {
    pub(super) title: String,
    pub(super) url: String,
    pub(super) snippet: String,
    /// How well it fits, where the service says so.
    pub(super) score: Option<f64>,
    /// The image itself, for a search of images.
    pub(super) image_url: Option<String>,
    /// When it was published, as the service words it.
    pub(super) published: Option<String>,
}

/// Where a service's JSON has what a [`Hit`] takes: JSON Pointers, of the list in the answer and of the rest in an item.
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
    /// A layout without anything, to fill in what a service has: `/` is the property of the empty name.
    pub(super) const EMPTY: Self =
        Self { list: "/", title: "/", url: "/", snippet: "/", score: "/", image_url: "/", published: "/" };

    /// The hits in `answer`. Services leave the list out where they found nothing; an item without an address is left
    /// out too, since it leads nowhere.
    pub(super) fn read(&self, answer: &Value) -> Vec<Hit> {
        let items = answer.pointer(self.list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
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

/// The answer as a JSON object.
pub(super) fn answer(response: &Response) -> Result<Value, ToolError> {
    match serde_json::from_slice(&response.body) {
        Ok(Value::Object(answer)) => Ok(Value::Object(answer)),
        _ => Err(not_understood(response)),
    }
}

/// An answer that is not what the service documents.
pub(super) fn not_understood(response: &Response) -> ToolError {
    ToolError::new(
        ToolErrorClass::Configuration,
        "search_answer_not_understood",
        format!("the answer of `{}` is not one of this search service", failure::shown(&response.url)),
    )
    .with_help("check the provider's `endpoint` in the policy")
}

/// The schema of the result.
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
                "description": "Best first; empty where nothing was found.",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["rank", "title", "url", "snippet", "score"],
                    "properties": {
                        "rank": {"type": "integer", "minimum": 1},
                        "title": {"type": "string"},
                        "url": {"type": "string", "description": "The page, also of an image."},
                        "snippet": {"type": "string"},
                        "score": {"type": ["number", "null"], "description": "The service's own, null where it has none."},
                        "image_url": {"type": "string"},
                        "published": {"type": "string", "description": "As the service words it."},
                    },
                },
            },
        },
    })
}
