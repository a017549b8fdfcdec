use super::hits::{self, Hit, Layout};
use super::provider::{self, Language, Provider, Settings, Support};
use super::query::{Kind, Query};
use crate::ToolError;
use crate::web::client::{Request, Response};

/// The Bing Search API v7: <https://learn.microsoft.com/bing/search-apis/>.
///
/// Microsoft closed the API to the public in August 2025. The API still serves customers who kept their access, and
/// `endpoint` can name another service with the same protocol.
pub(super) struct Bing;

const WEB: Layout = Layout {
    list: "/webPages/value",
    title: "/name",
    url: "/url",
    snippet: "/snippet",
    published: "/datePublished",
    ..Layout::EMPTY
};
const NEWS: Layout = Layout { list: "/value", snippet: "/description", ..WEB };
const IMAGES: Layout = Layout {
    list: "/value",
    title: "/name",
    url: "/hostPageUrl",
    image_url: "/contentUrl",
    published: "/datePublished",
    ..Layout::EMPTY
};

impl Provider for Bing {
    fn name(&self) -> &'static str {
        "bing"
    }

    fn public_endpoint(&self) -> &'static str {
        "https://api.bing.microsoft.com"
    }

    fn support(&self) -> Support {
        Support {
            kinds: &[Kind::Web, Kind::News, Kind::Images],
            results_max: 50,
            safe_search: true,
            language: Language::Yes,
        }
    }

    fn request(&self, query: &Query, settings: &Settings) -> Result<Request, ToolError> {
        let path = match query.search_type {
            Kind::Web => "/v7.0/search",
            Kind::News => "/v7.0/news/search",
            Kind::Images => "/v7.0/images/search",
        };
        let mut pairs = vec![("q", query.input.clone()), ("count", query.max_results.to_string())];
        if query.search_type == Kind::Web {
            pairs.push(("responseFilter", "Webpages".to_owned()));
        }
        if let Some(safe) = query.safe_search {
            pairs.push(("safeSearch", if safe { "Strict" } else { "Off" }.to_owned()));
        }
        match (query.language(), query.region()) {
            (Some(language), Some(region)) => pairs.push(("mkt", format!("{language}-{}", region.to_uppercase()))),
            (Some(language), None) => pairs.push(("setLang", language)),
            _ => {}
        }
        let mut request = provider::get(settings.at(path), pairs);
        provider::secret_header(&mut request.headers, "ocp-apim-subscription-key", settings.key())?;
        Ok(request)
    }

    fn hits(&self, query: &Query, response: &Response) -> Result<Vec<Hit>, ToolError> {
        let layout = match query.search_type {
            Kind::Web => WEB,
            Kind::News => NEWS,
            Kind::Images => IMAGES,
        };
        Ok(layout.read(&hits::parse(response)?))
    }
}
