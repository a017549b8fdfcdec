use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use super::hits::Hit;
use super::query::{Kind, Query};
use super::{bing, brave, duckduckgo, google, serpapi, serperdev, tavily};
use crate::web::client::{Redirects, Request, Response, parse_url};
use crate::{SearchPolicy, Secret, ToolError, ToolErrorClass, parameters};

/// All providers, sorted by name.
pub(super) static PROVIDERS: &[&dyn Provider] = &[
    &bing::Bing,
    &brave::Brave,
    &duckduckgo::DuckDuckGo,
    &google::Google,
    &serpapi::SerpApi,
    &serperdev::SerperDev,
    &tavily::Tavily,
];

/// A search service.
pub(super) trait Provider: Send + Sync {
    /// Returns the name that identifies the provider in parameters and in the policy.
    fn name(&self) -> &'static str;

    /// Returns the base URL of the public service.
    fn public_endpoint(&self) -> &'static str;

    /// Returns whether the service requires a key.
    fn needs_key(&self) -> bool {
        true
    }

    /// Returns the search options supported by the provider.
    fn support(&self) -> Support;

    /// Builds the request for a supported query.
    fn request(&self, query: &Query, settings: &Settings) -> Result<Request, ToolError>;

    /// Extracts the hits from a response with status 200, best first.
    fn hits(&self, query: &Query, response: &Response) -> Result<Vec<Hit>, ToolError>;
}

/// The search options supported by a provider; all other options are rejected.
pub(super) struct Support {
    pub(super) kinds: &'static [Kind],
    pub(super) results_max: usize,
    pub(super) safe_search: bool,
    pub(super) language: Language,
}

/// Whether a provider can filter results by language.
#[derive(PartialEq)]
pub(super) enum Language {
    No,
    /// The provider can filter by language only in combination with a region.
    WithRegion,
    Yes,
}

impl Support {
    /// Checks that `provider` supports `query`; the error names the unsupported option.
    pub(super) fn check(&self, provider: &str, query: &Query) -> Result<(), ToolError> {
        let kind = query.search_type;
        let refused = match () {
            () if !self.kinds.contains(&kind) => format!("`search_type: {}`", kind.name()),
            () if query.max_results > self.results_max => {
                format!("`max_results: {}` (at most {})", query.max_results, self.results_max)
            }
            () if query.safe_search.is_some() && !self.safe_search => "`safe_search`".to_owned(),
            () if query.language().is_some() && self.language == Language::No => "`language`".to_owned(),
            () if query.language().is_some() && query.region().is_none() && self.language == Language::WithRegion => {
                "a `language` without a region".to_owned()
            }
            () => return Ok(()),
        };
        Err(parameters::invalid(format!("the search provider `{provider}` does not support {refused}"))
            .with_help("remove it, or choose another provider"))
    }
}

/// The connection settings of a provider.
pub(super) struct Settings {
    endpoint: Url,
    key: Option<Secret>,
    engine_id: Option<String>,
}

impl Settings {
    /// Returns the settings of `provider` in `policy`; the error names a missing setting.
    pub(super) fn of(provider: &dyn Provider, policy: &SearchPolicy) -> Result<Self, ToolError> {
        let configured = policy.providers.get(provider.name()).cloned().unwrap_or_default();
        let endpoint = parse_url(configured.endpoint.as_deref().unwrap_or(provider.public_endpoint()))?;
        let key = provider.needs_key().then(|| configured.key(provider.name())).transpose()?;
        Ok(Self { endpoint, key, engine_id: configured.engine_id })
    }

    /// Returns the URL of `path` at the endpoint.
    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.endpoint.clone();
        url.set_path(&format!("{}{path}", self.endpoint.path().trim_end_matches('/')));
        url
    }

    /// Returns the key, or an empty string for a provider that needs no key.
    pub(super) fn key(&self) -> &str {
        self.key.as_ref().map_or("", Secret::reveal)
    }

    /// Returns Google's engine id.
    pub(super) fn engine_id(&self) -> Result<&str, ToolError> {
        self.engine_id.as_deref().ok_or_else(|| {
            ToolError::new(
                ToolErrorClass::Configuration,
                "missing_engine_id",
                "no search engine id is configured for `google`",
            )
            .with_help(
                "in the policy, set `search.providers.google.engine_id` to the id (cx) of a programmable search engine",
            )
        })
    }
}

/// Builds a GET request to `url` with `pairs` as its query.
pub(super) fn get<'a>(mut url: Url, pairs: impl IntoIterator<Item = (&'a str, String)>) -> Request {
    url.query_pairs_mut().extend_pairs(pairs);
    let mut request = Request::get(url);
    request.redirects = Redirects::Ignore;
    request
}

/// Builds a POST request to `url` with `body`.
pub(super) fn post(url: Url, body: &Value) -> Request {
    let mut request = Request::get(url);
    request.method = Method::POST;
    request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.body = Some(body.to_string().into_bytes());
    request.redirects = Redirects::Ignore;
    request
}

/// Adds a header whose value is excluded from logs.
pub(super) fn secret_header(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), ToolError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        let message = "the API key contains characters that are not allowed in a header";
        ToolError::new(ToolErrorClass::Configuration, "invalid_api_key", message)
    })?;
    value.set_sensitive(true);
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}
