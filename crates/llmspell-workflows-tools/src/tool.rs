use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{Permission, ToolError, ToolSpec};

/// The data that a call receives in addition to its parameters.
///
/// A tool receives its policy (roots, hosts, limits) on creation; the context contains data that
/// differs between calls.
#[derive(Debug, Clone, Default)]
pub struct ToolContext {
    /// Triggered when the call must stop; a tool that waits must watch this token.
    pub cancellation: CancellationToken,
    /// A key for services that accept idempotency keys; every attempt of a step has the same key.
    pub idempotency_key: Option<String>,
}

/// A tool that workflows can call by name.
#[async_trait]
pub trait Tool: Send + Sync {
    /// Returns the tool's spec, which never changes.
    fn spec(&self) -> &ToolSpec;

    /// Returns the permissions that a call with these parameters needs: all of [`ToolSpec::permissions`], unless the tool
    /// needs some only for certain parameters, such as the path of a file.
    fn permissions(&self, _parameters: &Value) -> &'static [Permission] {
        self.spec().permissions
    }

    /// Performs a call.
    ///
    /// `parameters` have been checked against [`ToolSpec::parameters`]; the returned value matches
    /// [`ToolSpec::result`].
    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError>;
}
