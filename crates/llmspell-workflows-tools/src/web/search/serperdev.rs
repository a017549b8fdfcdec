use serde_json::json;

use super::hits::{self, Hit, Layout};
use super::provider::{self, Language, Provider, Settings, Support};
use super::query::{Kind, Query};
use crate::ToolError;
use crate::web::client::{Request, Response};

/// Serper, which returns Google's results as JSON: <https://serper.dev>.
pub(super) struct SerperDev;

const WEB: Layout = Layout {
    list: "/organic",
    title: "/title",
    url: "/link",
    snippet: "/snippet",
    published: "/date",
    ..Layout::EMPTY
};
const NEWS: Layout = Layout { list: "/news", ..WEB };
const IMAGES: Layout =
    Layout { list: "/images", title: "/title", url: "/link", image_url: "/imageUrl", ..Layout::EMPTY };

impl Provider for SerperDev {
    fn name(&self) -> &'static str {
        "serperdev"
    }

    fn public_endpoint(&self) -> &'static str {
        "https://google.serper.dev"
    }

    fn support(&self) -> Support {
        Support {
            kinds: &[Kind::Web, Kind::News, Kind::Images],
            results_max: 100,
            safe_search: false,
            language: Language::Yes,
        }
    }

    fn request(&self, query: &Query, settings: &Settings) -> Result<Request, ToolError> {
        let path = match query.search_type {
            Kind::Web => "/search",
            Kind::News => "/news",
            Kind::Images => "/images",
        };
        let mut body = json!({"q": query.input, "num": query.max_results});
        if let Some(language) = query.language() {
            body["hl"] = language.into();
        }
        if let Some(region) = query.region() {
            body["gl"] = region.into();
        }
        let mut request = provider::post(settings.at(path), &body);
        provider::secret_header(&mut request.headers, "x-api-key", settings.key())?;
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
