use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, USER_AGENT};
use reqwest::{Method, StatusCode, Url, redirect::Policy as RedirectPolicy};

use super::{body, failure, redirect, resolver, tls};
use crate::{HostRules, Policy, ToolContext, ToolError, ToolErrorClass, parameters};

/// Sends requests under the policy. All web tools of a registry share one client.
pub(super) struct Client {
    policy: Arc<Policy>,
    rules: Arc<HostRules>,
    client: OnceLock<Result<reqwest::Client, ToolError>>,
}

/// An HTTP request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
    /// The time limit from the connection to the last byte; the policy's limit still applies.
    pub(super) timeout: Option<Duration>,
    /// Whether to follow redirects. Another host receives none of the request's headers.
    pub(super) redirects: Redirects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    Follow,
    Ignore,
}

/// An HTTP response with its whole body.
#[derive(Debug)]
pub(super) struct Response {
    /// The final URL, without user name and password.
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The time from the start of the request until the headers arrived.
    pub(super) first_byte: Duration,
    /// The time from the start of the request until the body was complete.
    pub(super) total: Duration,
}

impl Request {
    pub(super) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
            timeout: None,
            redirects: Redirects::Follow,
        }
    }
}

impl Client {
    pub(super) fn new(policy: Arc<Policy>) -> Result<Self, ToolError> {
        let rules = Arc::new(HostRules::parse(&policy.hosts)?);
        Ok(Self { policy, rules, client: OnceLock::new() })
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends `request` and reads the response, regardless of its status. Stops if the call is cancelled.
    pub(super) async fn send(&self, request: &Request, context: &ToolContext) -> Result<Response, ToolError> {
        let client = self.client.get_or_init(|| self.build()).as_ref().map_err(Clone::clone)?;
        tokio::select! {
            () = context.cancellation.cancelled() => Err(ToolError::cancelled()),
            response = self.exchange(client, request) => response,
        }
    }

    async fn exchange(&self, client: &reqwest::Client, request: &Request) -> Result<Response, ToolError> {
        let limit = Duration::from_millis(self.policy.request_timeout_ms);
        let timeout = request.timeout.map_or(limit, |timeout| timeout.min(limit));
        let started = Instant::now();
        let failed = |error: reqwest::Error| failure::transport_error(error, &request.url, timeout);
        let mut response = self.follow(client, request, started, timeout).await?;
        let first_byte = started.elapsed();
        let mut url = response.url().clone();
        // Neither call can fail, because the URL has just been requested.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        let body = body::read(&mut response, self.policy.response_bytes_max, failed).await?;
        Ok(Response {
            url,
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
            first_byte,
            total: started.elapsed(),
        })
    }

    /// Sends `request` and follows its redirects; all requests share `timeout`.
    async fn follow(
        &self,
        client: &reqwest::Client,
        request: &Request,
        started: Instant,
        timeout: Duration,
    ) -> Result<reqwest::Response, ToolError> {
        let failed = |error: reqwest::Error| failure::transport_error(error, &request.url, timeout);
        let mut next = request.clone();
        let mut redirects = 0;
        loop {
            check_url(&self.rules, &next.url)?;
            let left = timeout.saturating_sub(started.elapsed());
            let response = self.request(client, &next, left).send().await.map_err(failed)?;
            let following = match request.redirects {
                Redirects::Follow => redirect::next(&next, response.status(), response.headers()),
                Redirects::Ignore => None,
            };
            let Some(following) = following else { return Ok(response) };
            redirects += 1;
            if redirects > self.policy.redirects_max {
                return Err(failure::too_many_redirects(self.policy.redirects_max));
            }
            next = following;
        }
    }

    fn request(&self, client: &reqwest::Client, request: &Request, timeout: Duration) -> reqwest::RequestBuilder {
        let builder = client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .timeout(timeout);
        let builder = match request.headers.contains_key(USER_AGENT) {
            true => builder,
            false => builder.header(USER_AGENT, self.policy.user_agent.as_str()),
        };
        // Without this header, a server may choose any encoding, and the client decodes none.
        let builder = match request.headers.contains_key(ACCEPT_ENCODING) {
            true => builder,
            false => builder.header(ACCEPT_ENCODING, "identity"),
        };
        match &request.body {
            Some(body) => builder.body(body.clone()),
            None => builder,
        }
    }

    fn build(&self) -> Result<reqwest::Client, ToolError> {
        // A proxy from the environment would resolve names itself, bypassing the host rules, so proxies are not used.
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config()?)
            .dns_resolver(Arc::new(resolver::Resolver { rules: Arc::clone(&self.rules) }))
            // The HTTP client would send most of a request's headers to any host after a redirect.
            .redirect(RedirectPolicy::none())
            .no_proxy()
            .build()
            .map_err(|error| {
                ToolError::new(
                    ToolErrorClass::Configuration,
                    "http_unavailable",
                    format!("cannot set up the HTTP client: {error}"),
                )
            })
    }
}

/// Parses a URL, and checks that the tools support its scheme.
pub(super) fn parse_url(text: &str) -> Result<Url, ToolError> {
    let url = Url::parse(text.trim())
        .map_err(|error| parameters::invalid(format!("`{text}` is not a valid URL: {error}")))?;
    check_scheme(&url)?;
    if let Some(segment) = encoded_dots(text.trim()) {
        let message = format!(
            "the path of `{}` contains the segment `{segment}`, which would lead to another path",
            failure::redacted(&url)
        );
        return Err(
            parameters::invalid(message).with_help("a URL cannot contain such a segment; pass the value in the query")
        );
    }
    Ok(url)
}

/// Returns `.` or `..` if the path contains an encoded form of this segment, such as the output of
/// `url_encode`.
fn encoded_dots(text: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once("//")?;
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).skip(1).filter(|segment| segment.contains('%')).find_map(|segment| {
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => Some("."),
            ".." => Some(".."),
            _ => None,
        }
    })
}

fn check_scheme(url: &Url) -> Result<(), ToolError> {
    if matches!(url.scheme(), "http" | "https") {
        return Ok(());
    }
    Err(parameters::invalid(format!("unsupported URL scheme in `{}`", failure::redacted(url)))
        .with_help("use a URL that begins with http:// or https://"))
}

fn check_url(rules: &HostRules, url: &Url) -> Result<(), ToolError> {
    check_scheme(url)?;
    rules.check_host(url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}
