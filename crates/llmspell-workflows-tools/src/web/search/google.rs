use super::hits::{self, Hit, Layout};
use super::provider::{self, Language, Provider, Settings, Support};
use super::query::{Kind, Query};
use crate::ToolError;
use crate::web::client::{Request, Response};

/// Google's Custom Search JSON API: <https://developers.google.com/custom-search/v1/reference/rest/v1/cse/list>.
pub(super) struct Google;

const WEB: Layout = Layout { list: "/items", title: "/title", url: "/link", snippet: "/snippet", ..Layout::EMPTY };
const IMAGES: Layout = Layout { url: "/image/contextLink", image_url: "/link", ..WEB };

impl Provider for Google {
    fn name(&self) -> &'static str {
        "google"
    }

    fn public_endpoint(&self) -> &'static str {
        "https://www.googleapis.com"
    }

    fn support(&self) -> Support {
        Support { kinds: &[Kind::Web, Kind::Images], results_max: 10, safe_search: true, language: Language::Yes }
    }

    fn request(&self, query: &Query, settings: &Settings) -> Result<Request, ToolError> {
        let mut pairs = vec![
            ("key", settings.key().to_owned()),
            ("cx", settings.engine_id()?.to_owned()),
            ("q", query.input.clone()),
            ("num", query.max_results.to_string()),
        ];
        if query.search_type == Kind::Images {
            pairs.push(("searchType", "image".to_owned()));
        }
        if let Some(safe) = query.safe_search {
            pairs.push(("safe", if safe { "active" } else { "off" }.to_owned()));
        }
        if let Some(language) = query.language() {
            pairs.push(("lr", format!("lang_{language}")));
        }
        if let Some(region) = query.region() {
            pairs.push(("gl", region));
        }
        Ok(provider::get(settings.at("/customsearch/v1"), pairs))
    }

    fn hits(&self, query: &Query, response: &Response) -> Result<Vec<Hit>, ToolError> {
        let layout = if query.search_type == Kind::Images { IMAGES } else { WEB };
        Ok(layout.read(&hits::parse(response)?))
    }
}
