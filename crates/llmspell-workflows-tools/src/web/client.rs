use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, USER_AGENT};
use reqwest::{Method, StatusCode, Url, redirect};

use super::{body, failure, resolver, tls};
use crate::{HostRules, Policy, ToolContext, ToolError, ToolErrorClass, parameters};

/// Sends requests under the policy. All web tools of a registry share one client.
pub(super) struct Client {
    policy: Arc<Policy>,
    rules: Arc<HostRules>,
    following_redirects: OnceLock<Result<reqwest::Client, ToolError>>,
    ignoring_redirects: OnceLock<Result<reqwest::Client, ToolError>>,
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
    /// Whether to follow redirects. A request with a key in a custom header must not follow them, because the key would
    /// be sent to the new host.
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
        Ok(Self { policy, rules, following_redirects: OnceLock::new(), ignoring_redirects: OnceLock::new() })
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Sends `request` and reads the response, regardless of its status. Stops if the call is cancelled.
    pub(super) async fn send(&self, request: &Request, context: &ToolContext) -> Result<Response, ToolError> {
        check_url(&self.rules, &request.url)?;
        let cell = match request.redirects {
            Redirects::Follow => &self.following_redirects,
            Redirects::Ignore => &self.ignoring_redirects,
        };
        let client = cell.get_or_init(|| self.build(request.redirects)).as_ref().map_err(Clone::clone)?;
        tokio::select! {
            () = context.cancellation.cancelled() => Err(ToolError::cancelled()),
            response = self.exchange(client, request) => response,
        }
    }

    async fn exchange(&self, client: &reqwest::Client, request: &Request) -> Result<Response, ToolError> {
        let limit = Duration::from_millis(self.policy.request_timeout_ms);
        let timeout = request.timeout.map_or(limit, |timeout| timeout.min(limit));
        let mut builder = client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .timeout(timeout);
        if !request.headers.contains_key(USER_AGENT) {
            builder = builder.header(USER_AGENT, self.policy.user_agent.as_str());
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let started = Instant::now();
        let failed = |error: reqwest::Error| failure::transport_error(error, &request.url, timeout);
        let mut response = builder.send().await.map_err(failed)?;
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

    fn build(&self, redirects: Redirects) -> Result<reqwest::Client, ToolError> {
        let policy = match redirects {
            Redirects::Ignore => redirect::Policy::none(),
            Redirects::Follow => {
                let (rules, redirects_max) = (Arc::clone(&self.rules), self.policy.redirects_max);
                redirect::Policy::custom(move |attempt| {
                    if attempt.previous().len() > redirects_max {
                        return attempt.error(failure::too_many_redirects(redirects_max));
                    }
                    match check_url(&rules, attempt.url()) {
                        Ok(()) => attempt.follow(),
                        Err(error) => attempt.error(error),
                    }
                })
            }
        };
        // A proxy from the environment would resolve names itself, bypassing the host rules, so proxies are not used.
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config()?)
            .dns_resolver(Arc::new(resolver::Resolver { rules: Arc::clone(&self.rules) }))
            .redirect(policy)
            // The URL that redirects may contain a key, so it must not be sent as the referrer.
            .referer(false)
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
    Ok(url)
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
