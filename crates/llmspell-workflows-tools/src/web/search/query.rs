use serde::Deserialize;
use serde_json::{Value, json};

use super::provider::PROVIDERS;

/// What is searched for.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    pub(super) input: String,
    pub(super) provider: Option<String>,
    #[serde(default = "default_max_results")]
    pub(super) max_results: usize,
    #[serde(default)]
    pub(super) search_type: Kind,
    /// Strictly or not at all; the service's own default where it is not said.
    pub(super) safe_search: Option<bool>,
    /// A language such as `en`, with a region such as `en-US` or without.
    language: Option<String>,
}

/// What kind of thing is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    #[default]
    Web,
    News,
    Images,
}

/// The most results that any provider gives to one request.
const RESULTS_MAX: usize = 100;

fn default_max_results() -> usize {
    10
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::News => "news",
            Self::Images => "images",
        }
    }
}

impl Query {
    /// The language in lower case.
    pub(super) fn language(&self) -> Option<String> {
        Some(self.language.as_deref()?.split('-').next()?.to_ascii_lowercase())
    }

    /// The region in lower case, where the language names one.
    pub(super) fn region(&self) -> Option<String> {
        Some(self.language.as_deref()?.split_once('-')?.1.to_ascii_lowercase())
    }
}

/// The schema of the parameters.
pub(super) fn schema() -> Value {
    let providers: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name()).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["input"],
        "properties": {
            "input": {"type": "string", "minLength": 1, "maxLength": 2_000, "description": "What to search for."},
            "provider": {"enum": providers, "description": "The service; the policy's by default."},
            "max_results": {
                "type": "integer", "minimum": 1, "maximum": RESULTS_MAX, "default": default_max_results(),
                "description": "The most results to give; each provider has a limit of its own.",
            },
            "search_type": {"enum": ["web", "news", "images"], "default": "web", "description": "What to search."},
            "safe_search": {
                "type": "boolean",
                "description": "Whether adult content is left out strictly or not at all; the provider's default if not said.",
            },
            "language": {
                "type": "string", "pattern": "^[A-Za-z]{2,3}(-[A-Za-z]{2})?$",
                "description": "The language of results, such as `en`, or with a region `en-US`.",
            },
        },
    })
}
