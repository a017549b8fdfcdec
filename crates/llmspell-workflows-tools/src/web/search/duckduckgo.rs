use std::sync::LazyLock;

use reqwest::Method;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use scraper::{ElementRef, Selector};
use tokio_util::sync::CancellationToken;

use super::hits::{self, Hit};
use super::provider::{self, Language, Provider, Settings, Support};
use super::query::{Kind, Query};
use crate::web::client::{Request, Response};
use crate::web::document::{self, WorkLimit};
use crate::web::{body, charset, html};
use crate::{ToolError, ToolErrorClass};

/// DuckDuckGo's page for browsers without JavaScript, which needs no key.
///
/// DuckDuckGo's JSON API returns instant answers but no search results, so this provider reads the page. The service
/// challenges clients that send too many requests; a challenge is reported as a separate error.
pub(super) struct DuckDuckGo;

static RESULT: LazyLock<Selector> = LazyLock::new(|| fixed(".result:not(.result--ad)"));
static LINK: LazyLock<Selector> = LazyLock::new(|| fixed("a.result__a[href]"));
static SNIPPET: LazyLock<Selector> = LazyLock::new(|| fixed(".result__snippet"));
static NOTHING: LazyLock<Selector> = LazyLock::new(|| fixed(".no-results, .result--no-result"));
static CHALLENGE: LazyLock<Selector> = LazyLock::new(|| fixed("#challenge-form, [class*=anomaly-modal]"));

impl Provider for DuckDuckGo {
    fn name(&self) -> &'static str {
        "duckduckgo"
    }

    fn public_endpoint(&self) -> &'static str {
        "https://html.duckduckgo.com"
    }

    fn needs_key(&self) -> bool {
        false
    }

    fn support(&self) -> Support {
        // The first page has about thirty results.
        Support { kinds: &[Kind::Web], results_max: 30, safe_search: true, language: Language::WithRegion }
    }

    fn request(&self, query: &Query, settings: &Settings) -> Result<Request, ToolError> {
        let mut pairs = vec![("q", query.input.clone())];
        if let Some(safe) = query.safe_search {
            pairs.push(("kp", if safe { "1" } else { "-2" }.to_owned()));
        }
        if let (Some(language), Some(region)) = (query.language(), query.region()) {
            pairs.push(("kl", format!("{region}-{language}")));
        }
        let mut request = provider::get(settings.at("/html/"), pairs);
        // The page expects the request that its own form sends: a POST with the same pairs in its body.
        request.method = Method::POST;
        request.body = request.url.query().map(|pairs| pairs.as_bytes().to_vec());
        request.url.set_query(None);
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Ok(request)
    }

    fn hits(&self, _query: &Query, response: &Response) -> Result<Vec<Hit>, ToolError> {
        let text = charset::decode_html(&response.body, body::content_type(&response.headers));
        let page = document::parse(&text, &WorkLimit::new(CancellationToken::new()))?;
        let found: Vec<Hit> = page.select(&RESULT).filter_map(|result| read(result, &response.url)).collect();
        let has = |selector: &Selector| page.select(selector).next().is_some();
        match () {
            () if has(&CHALLENGE) => Err(challenge_error()),
            () if found.is_empty() && !has(&NOTHING) => Err(hits::unexpected_response(response)),
            () => Ok(found),
        }
    }
}

/// Creates the error for a page that asks for proof that the client is human.
fn challenge_error() -> ToolError {
    let message = "the search provider `duckduckgo` asked for proof that the client is human";
    ToolError::new(ToolErrorClass::Resource, "search_challenged", message)
        .with_help("search less often, or configure a provider with an API key in `search.providers` in the policy")
}

fn read(result: ElementRef<'_>, page: &Url) -> Option<Hit> {
    let link = result.select(&LINK).next()?;
    let target = page.join(link.attr("href")?).ok()?;
    // Links may go through the service's own redirect, whose `uddg` parameter contains the page's URL.
    let destination = target.query_pairs().find(|(name, _)| name == "uddg").map(|(_, url)| url.into_owned());
    Some(Hit {
        title: html::text_of(link),
        url: destination.unwrap_or_else(|| target.to_string()),
        snippet: result.select(&SNIPPET).next().map(html::text_of).unwrap_or_default(),
        ..Hit::default()
    })
}

fn fixed(css: &str) -> Selector {
    Selector::parse(css).expect("the selector is a constant that the tests use")
}
