use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{entities, keywords, sentiment};
use crate::blocking::blocking;
use crate::{Category, SecurityLevel, Tool, ToolContext, ToolError, ToolSpec, parameters};

/// Determines the sentiment, the named entities and the keywords of a text.
pub(super) struct SentimentAnalyzer {
    spec: ToolSpec,
}

#[derive(Deserialize)]
struct Parameters {
    input: String,
    #[serde(default = "default_operations")]
    operations: Vec<Operation>,
    #[serde(default = "default_max_keywords")]
    max_keywords: usize,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Sentiment,
    Entities,
    Keywords,
}

fn default_operations() -> Vec<Operation> {
    vec![Operation::Sentiment]
}

fn default_max_keywords() -> usize {
    10
}

impl SentimentAnalyzer {
    pub(super) fn new() -> Self {
        let spec = ToolSpec {
            name: "sentiment_analyzer",
            aliases: &["sentiment_analyser"],
            description: "Determines the sentiment (VADER lexicon), the named entities and the keywords of an English text, using rules and word lists.",
            category: Category::Analysis,
            security_level: SecurityLevel::Safe,
            permissions: &[],
            parameters: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["input"],
                "properties": {
                    "input": {"type": "string", "description": "The text to analyze."},
                    "operations": {
                        "type": "array", "minItems": 1, "uniqueItems": true, "default": ["sentiment"],
                        "items": {"enum": ["sentiment", "entities", "keywords"]},
                        "description": "The analyses to run.",
                    },
                    "max_keywords": {
                        "type": "integer", "minimum": 1, "maximum": 1_000, "default": default_max_keywords(),
                        "description": "The maximum number of keywords.",
                    },
                },
            }),
            result: result_schema(),
        };
        Self { spec }
    }
}

fn result_schema() -> Value {
    let share = json!({"type": "number", "minimum": 0, "maximum": 1});
    json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "description": "One property for each requested operation.",
        "properties": {
            "sentiment": {
                "type": "object",
                "additionalProperties": false,
                "required": ["label", "score", "positive", "neutral", "negative", "sentences"],
                "properties": {
                    "label": {"enum": ["positive", "neutral", "negative"]},
                    "score": {"type": "number", "minimum": -1, "maximum": 1},
                    "positive": share, "neutral": share, "negative": share,
                    "sentences": {"type": "integer", "minimum": 0},
                },
            },
            "entities": {"type": "array", "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["type", "text", "count", "offset"],
                "properties": {
                    "type": {"enum": ["url", "email", "date", "money", "name"]},
                    "text": {"type": "string"},
                    "count": {"type": "integer", "minimum": 1},
                    "offset": {"type": "integer", "minimum": 0, "description": "The offset in characters."},
                },
            }},
            "keywords": {"type": "array", "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["text", "score", "count"],
                "properties": {
                    "text": {"type": "string"},
                    "score": {"type": "number", "minimum": 0},
                    "count": {"type": "integer", "minimum": 1},
                },
            }},
        },
    })
}

#[async_trait]
impl Tool for SentimentAnalyzer {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, _context: &ToolContext) -> Result<Value, ToolError> {
        let Parameters { input, operations, max_keywords } = parameters::read(parameters)?;
        blocking(move || {
            let result: Map<String, Value> = operations
                .into_iter()
                .map(|operation| match operation {
                    Operation::Sentiment => ("sentiment".to_owned(), json!(sentiment::sentiment(&input))),
                    Operation::Entities => ("entities".to_owned(), json!(entities::entities(&input))),
                    Operation::Keywords => ("keywords".to_owned(), json!(keywords::keywords(&input, max_keywords))),
                })
                .collect();
            Ok(Value::Object(result))
        })
        .await
    }
}
