use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{ToolError, ToolSpec};

/// What a call knows beside its parameters.
///
/// Tools get their policy (roots, hosts, limits) when they are made; a call only brings what differs from call to call.
#[derive(Debug, Clone, Default)]
pub struct ToolContext {
    /// Triggered when the call should stop; a tool that waits must watch it.
    pub cancellation: CancellationToken,
    /// The same for every attempt of one step, for services that accept an idempotency key.
    pub idempotency_key: Option<String>,
}

/// Something a workflow can call by name.
#[async_trait]
pub trait Tool: Send + Sync {
    /// What it is; the same at every call.
    fn spec(&self) -> &ToolSpec;

    /// Does the work.
    ///
    /// `parameters` have been checked against [`ToolSpec::parameters`]; the value returned fits [`ToolSpec::result`].
    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError>;
}
