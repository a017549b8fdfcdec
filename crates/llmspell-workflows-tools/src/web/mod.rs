//! Tools that contact servers. All connections are opened by [`Client`](client::Client), which checks hosts, addresses,
//! sizes and time limits.

mod body;
mod charset;
mod client;
mod document;
mod failure;
mod html;
mod parameters;
mod redirect;
mod requester;
mod resolver;
mod retry;
mod scraper;
mod search;
mod tester;
mod tls;

use std::sync::Arc;

use crate::{Policy, Registry, ToolError};

/// Adds the web tools, which share a connection pool.
pub(crate) fn register(registry: &mut Registry, policy: &Arc<Policy>) -> Result<(), ToolError> {
    search::check(&policy.search)?;
    let client = Arc::new(client::Client::new(Arc::clone(policy))?);
    registry.register(Arc::new(requester::HttpRequester::new(Arc::clone(&client))))?;
    registry.register(Arc::new(tester::ApiTester::new(Arc::clone(&client))))?;
    registry.register(Arc::new(scraper::WebScraper::new(Arc::clone(&client))))?;
    registry.register(Arc::new(search::WebSearcher::new(client)))
}
