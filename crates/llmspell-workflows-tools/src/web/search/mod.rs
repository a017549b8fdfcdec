//! Web search with seven services behind one [`Provider`] trait.
//!
//! A provider declares its supported options, builds its request and reads its response.
//! Unsupported options are rejected before anything is sent, never ignored. If a service limits the
//! number of results of a request, the tool has the same limit.

mod bing;
mod brave;
mod duckduckgo;
mod google;
mod hits;
mod provider;
mod query;
mod serpapi;
mod serperdev;
mod tavily;

use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_basic::nearest;
use reqwest::StatusCode;
use serde_json::{Value, json};

use self::provider::{PROVIDERS, Provider, Settings};
use self::query::Query;
use super::client::{Client, Response};
use super::failure;
use crate::{
    Category, Permission, SearchPolicy, SecurityLevel, Tool, ToolContext, ToolError, ToolErrorClass, ToolSpec,
    parameters,
};

/// Searches the web.
pub(super) struct WebSearcher {
    spec: ToolSpec,
    client: Arc<Client>,
}

impl WebSearcher {
    pub(super) fn new(client: Arc<Client>) -> Self {
        let spec = ToolSpec {
            name: "web_searcher",
            aliases: &["web_search"],
            description: "Searches the web for pages, news or images using one of several services.",
            category: Category::Web,
            security_level: SecurityLevel::Restricted,
            permissions: &[Permission::Network],
            parameters: query::schema(),
            result: hits::schema(),
        };
        Self { spec, client }
    }
}

#[async_trait]
impl Tool for WebSearcher {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let query: Query = parameters::read(parameters)?;
        let provider = choose(query.provider.as_deref(), &self.client.policy().search)?;
        provider.support().check(provider.name(), &query)?;
        let settings = Settings::of(provider, &self.client.policy().search)?;
        let request = provider.request(&query, &settings)?;
        let response = self.client.send(&request, context).await?;
        if response.status != StatusCode::OK {
            return Err(status_error(provider, &response));
        }
        let mut hits = provider.hits(&query, &response)?;
        hits.truncate(query.max_results);
        Ok(json!({
            "provider": provider.name(),
            "query": query.input,
            "results": hits.iter().enumerate().map(|(index, hit)| hit.to_value(index + 1)).collect::<Vec<_>>(),
        }))
    }
}

/// Checks that every provider named in `policy` exists.
pub(super) fn check(policy: &SearchPolicy) -> Result<(), ToolError> {
    let configured = policy.providers.keys().chain(&policy.default_provider);
    configured.map(|name| find(name)).try_for_each(|found| found.map(drop))
}

/// Returns the requested provider. Otherwise, returns the policy's default, the only configured
/// provider, or a provider that needs no key, in this order.
fn choose(requested: Option<&str>, policy: &SearchPolicy) -> Result<&'static dyn Provider, ToolError> {
    let mut configured = policy.providers.keys();
    let only = configured.next().filter(|_| configured.next().is_none());
    let name = requested.or(policy.default_provider.as_deref()).or(only.map(String::as_str)).unwrap_or("duckduckgo");
    find(name)
}

fn find(name: &str) -> Result<&'static dyn Provider, ToolError> {
    let found = PROVIDERS.iter().find(|provider| provider.name() == name).copied();
    found.ok_or_else(|| {
        let names: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name()).collect();
        ToolError::new(
            ToolErrorClass::Configuration,
            "unknown_search_provider",
            format!("unknown search provider `{name}`"),
        )
        .with_help(match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the providers are {}", names.join(", ")),
        })
    })
}

/// Creates the error for a status other than 200.
fn status_error(provider: &dyn Provider, response: &Response) -> ToolError {
    let name = provider.name();
    let (class, code, what) = match response.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            (ToolErrorClass::Configuration, "search_key_refused", "rejected the API key")
        }
        StatusCode::TOO_MANY_REQUESTS => {
            (ToolErrorClass::Resource, "search_quota", "reported that its search quota is exhausted")
        }
        status if status.is_redirection() => {
            (ToolErrorClass::Configuration, "search_endpoint_moved", "redirected the request; its endpoint has moved")
        }
        _ => return failure::status_error(response),
    };
    let details = failure::status_error(response).details.unwrap_or_default();
    ToolError::new(class, code, format!("the search provider `{name}` {what}"))
        .with_help(format!("check `search.providers.{name}` in the policy"))
        .with_details(details)
}
