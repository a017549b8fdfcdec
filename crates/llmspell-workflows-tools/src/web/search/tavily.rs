use serde_json::json;

use super::hits::{self, Hit, Layout};
use super::provider::{self, Language, Provider, Settings, Support};
use super::query::{Kind, Query};
use crate::ToolError;
use crate::web::client::{Request, Response};

/// Tavily, a search service for language models: <https://docs.tavily.com/documentation/api-reference/endpoint/search>.
pub(super) struct Tavily;

const RESULTS: Layout = Layout {
    list: "/results",
    title: "/title",
    url: "/url",
    snippet: "/content",
    score: "/score",
    published: "/published_date",
    ..Layout::EMPTY
};

impl Provider for Tavily {
    fn name(&self) -> &'static str {
        "tavily"
    }

    fn public_endpoint(&self) -> &'static str {
        "https://api.tavily.com"
    }

    fn support(&self) -> Support {
        Support { kinds: &[Kind::Web, Kind::News], results_max: 20, safe_search: false, language: Language::No }
    }

    fn request(&self, query: &Query, settings: &Settings) -> Result<Request, ToolError> {
        let topic = if query.search_type == Kind::News { "news" } else { "general" };
        let body = json!({"query": query.input, "topic": topic, "max_results": query.max_results});
        let mut request = provider::post(settings.at("/search"), &body);
        provider::secret_header(&mut request.headers, "authorization", &format!("Bearer {}", settings.key()))?;
        Ok(request)
    }

    fn hits(&self, _query: &Query, response: &Response) -> Result<Vec<Hit>, ToolError> {
        Ok(RESULTS.read(&hits::parse(response)?))
    }
}
