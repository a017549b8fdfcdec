use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::summary;
use crate::blocking::blocking;
use crate::{Category, SecurityLevel, Tool, ToolContext, ToolError, ToolSpec, parameters};

/// Shortens a text to its most informative sentences.
pub(super) struct TextSummarizer {
    spec: ToolSpec,
}

#[derive(Deserialize)]
struct Parameters {
    input: String,
    #[serde(default = "default_max_length")]
    max_length: usize,
}

fn default_max_length() -> usize {
    500
}

impl TextSummarizer {
    pub(super) fn new() -> Self {
        let spec = ToolSpec {
            name: "text_summarizer",
            aliases: &["text_summariser"],
            description: "Shortens a text to its most informative sentences, in their original order (extractive; the word lists are English).",
            category: Category::Analysis,
            security_level: SecurityLevel::Safe,
            permissions: &[],
            parameters: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["input"],
                "properties": {
                    "input": {"type": "string", "description": "The text to summarize."},
                    "max_length": {
                        "type": "integer", "minimum": 1, "maximum": 1_000_000, "default": default_max_length(),
                        "description": "The maximum length of the summary in characters.",
                    },
                },
            }),
            result: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["result", "sentences", "sentences_total", "length", "original_length", "truncated"],
                "properties": {
                    "result": {"type": "string", "description": "The summary."},
                    "sentences": {
                        "type": "array", "items": {"type": "integer", "minimum": 0},
                        "description": "The indices, from 0, of the sentences in the summary.",
                    },
                    "sentences_total": {"type": "integer", "minimum": 0},
                    "length": {"type": "integer", "minimum": 0, "description": "The length of the summary in characters."},
                    "original_length": {"type": "integer", "minimum": 0, "description": "The length of the input in characters."},
                    "truncated": {
                        "type": "boolean",
                        "description": "Whether a sentence was truncated because no sentence fits completely.",
                    },
                },
            }),
        };
        Self { spec }
    }
}

#[async_trait]
impl Tool for TextSummarizer {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, _context: &ToolContext) -> Result<Value, ToolError> {
        let Parameters { input, max_length } = parameters::read(parameters)?;
        blocking(move || {
            let summary = summary::summarize(&input, max_length);
            Ok(json!({
                "length": summary.text.chars().count(),
                "result": summary.text,
                "sentences": summary.chosen,
                "sentences_total": summary.total,
                "original_length": input.chars().count(),
                "truncated": summary.truncated,
            }))
        })
        .await
    }
}
