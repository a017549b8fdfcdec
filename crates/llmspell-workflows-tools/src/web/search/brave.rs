use reqwest::header::{ACCEPT, HeaderValue};

use super::hits::{self, Hit, Layout};
use super::provider::{self, Language, Provider, Settings, Support};
use super::query::{Kind, Query};
use crate::ToolError;
use crate::web::client::{Request, Response};

/// The Brave Search API: <https://api-dashboard.search.brave.com/app/documentation>.
pub(super) struct Brave;

const WEB: Layout = Layout {
    list: "/web/results",
    title: "/title",
    url: "/url",
    snippet: "/description",
    published: "/age",
    ..Layout::EMPTY
};
const NEWS: Layout = Layout { list: "/results", ..WEB };
const IMAGES: Layout =
    Layout { list: "/results", title: "/title", url: "/url", image_url: "/properties/url", ..Layout::EMPTY };

impl Provider for Brave {
    fn name(&self) -> &'static str {
        "brave"
    }

    fn public_endpoint(&self) -> &'static str {
        "https://api.search.brave.com"
    }

    fn support(&self) -> Support {
        Support {
            kinds: &[Kind::Web, Kind::News, Kind::Images],
            results_max: 20,
            safe_search: true,
            language: Language::Yes,
        }
    }

    fn request(&self, query: &Query, settings: &Settings) -> Result<Request, ToolError> {
        let path = format!("/res/v1/{}/search", query.search_type.name());
        let mut pairs = vec![("q", query.input.clone()), ("count", query.max_results.to_string())];
        if query.search_type == Kind::Web {
            // Without this, titles and descriptions contain emphasis markup.
            pairs.push(("text_decorations", "false".to_owned()));
            pairs.push(("result_filter", "web".to_owned()));
        }
        if let Some(safe) = query.safe_search {
            pairs.push(("safesearch", if safe { "strict" } else { "off" }.to_owned()));
        }
        if let Some(language) = query.language() {
            pairs.push(("search_lang", language));
        }
        if let Some(region) = query.region() {
            pairs.push(("country", region.to_uppercase()));
        }
        let mut request = provider::get(settings.at(&path), pairs);
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        provider::secret_header(&mut request.headers, "x-subscription-token", settings.key())?;
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
