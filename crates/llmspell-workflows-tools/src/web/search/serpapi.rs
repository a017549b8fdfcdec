use serde_json::Value;

use super::hits::{self, Hit, Layout};
use super::provider::{self, Language, Provider, Settings, Support};
use super::query::{Kind, Query};
use crate::web::client::{Request, Response};
use crate::{ToolError, ToolErrorClass};

/// SerpApi, which returns Google's results as JSON: <https://serpapi.com/search-api>.
pub(super) struct SerpApi;

const WEB: Layout = Layout {
    list: "/organic_results",
    title: "/title",
    url: "/link",
    snippet: "/snippet",
    published: "/date",
    ..Layout::EMPTY
};
const NEWS: Layout = Layout { list: "/news_results", ..WEB };
const IMAGES: Layout =
    Layout { list: "/images_results", title: "/title", url: "/link", image_url: "/original", ..Layout::EMPTY };

impl Provider for SerpApi {
    fn name(&self) -> &'static str {
        "serpapi"
    }

    fn public_endpoint(&self) -> &'static str {
        "https://serpapi.com"
    }

    fn support(&self) -> Support {
        Support {
            kinds: &[Kind::Web, Kind::News, Kind::Images],
            results_max: 100,
            safe_search: true,
            language: Language::Yes,
        }
    }

    fn request(&self, query: &Query, settings: &Settings) -> Result<Request, ToolError> {
        let engine = if query.search_type == Kind::Images { "google_images" } else { "google" };
        let mut pairs = vec![("engine", engine.to_owned()), ("q", query.input.clone())];
        match query.search_type {
            Kind::Web => pairs.push(("num", query.max_results.to_string())),
            Kind::News => pairs.extend([("tbm", "nws".to_owned()), ("num", query.max_results.to_string())]),
            // A page of images has a hundred results; this number cannot be changed.
            Kind::Images => {}
        }
        if let Some(safe) = query.safe_search {
            pairs.push(("safe", if safe { "active" } else { "off" }.to_owned()));
        }
        if let Some(language) = query.language() {
            pairs.extend([("lr", format!("lang_{language}")), ("hl", language)]);
        }
        if let Some(region) = query.region() {
            pairs.push(("gl", region));
        }
        pairs.push(("api_key", settings.key().to_owned()));
        Ok(provider::get(settings.at("/search.json"), pairs))
    }

    fn hits(&self, query: &Query, response: &Response) -> Result<Vec<Hit>, ToolError> {
        let body = hits::parse(response)?;
        let layout = match query.search_type {
            Kind::Web => WEB,
            Kind::News => NEWS,
            Kind::Images => IMAGES,
        };
        match body.get("error").and_then(Value::as_str) {
            // The service reports an empty result as an error with status 200.
            Some(error) if !error.contains("hasn't returned any results") => Err(ToolError::new(
                ToolErrorClass::Configuration,
                "search_failed",
                format!("the search provider `serpapi` reported an error: {error}"),
            )),
            _ => Ok(layout.read(&body)),
        }
    }
}
