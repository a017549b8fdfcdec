use serde::Deserialize;
use serde_json::{Value, json};

use super::provider::PROVIDERS;

/// The parameters of a search.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    pub(super) input: String,
    pub(super) provider: Option<String>,
    #[serde(default = "default_max_results")]
    pub(super) max_results: usize,
    #[serde(default)]
    pub(super) search_type: Kind,
    /// Whether adult content is filtered strictly (true) or not at all (false); if unset, the service decides.
    pub(super) safe_search: Option<bool>,
    /// A language such as `en`, optionally with a region, such as `en-US`.
    language: Option<String>,
}

/// The kind of search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    #[default]
    Web,
    News,
    Images,
}

/// The maximum number of results that any provider can return for a single request.
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
    /// Returns the language in lower case.
    pub(super) fn language(&self) -> Option<String> {
        Some(self.language.as_deref()?.split('-').next()?.to_ascii_lowercase())
    }

    /// Returns the region in lower case, if the language has a region.
    pub(super) fn region(&self) -> Option<String> {
        Some(self.language.as_deref()?.split_once('-')?.1.to_ascii_lowercase())
    }
}

/// Returns the schema of the parameters.
pub(super) fn schema() -> Value {
    let providers: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name()).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["input"],
        "properties": {
            "input": {"type": "string", "minLength": 1, "maxLength": 2_000, "description": "The query."},
            "provider": {"enum": providers, "description": "The search provider; by default, the provider that the policy selects."},
            "max_results": {
                "type": "integer", "minimum": 1, "maximum": RESULTS_MAX, "default": default_max_results(),
                "description": "The maximum number of results; each provider has its own limit.",
            },
            "search_type": {"enum": ["web", "news", "images"], "default": "web", "description": "The kind of search."},
            "safe_search": {
                "type": "boolean",
                "description": "Whether adult content is filtered strictly (true) or not at all (false); by default, the provider decides.",
            },
            "language": {
                "type": "string", "pattern": "^[A-Za-z]{2,3}(-[A-Za-z]{2})?$",
                "description": "The language of the results, such as `en`, optionally with a region: `en-US`.",
            },
        },
    })
}
