use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use super::StoreError;

/// Definitions as JSON, by hash: what runs were started with.
#[async_trait]
pub trait DefinitionStore: Send + Sync + fmt::Debug {
    /// Keeps a definition, which outlives a power loss when the call returns. One that is there already stays as it is.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn put(&self, hash: &str, definition: &Value) -> Result<(), StoreError>;

    /// The definition of this hash.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn get(&self, hash: &str) -> Result<Option<Value>, StoreError>;

    /// The hashes of all definitions, sorted.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn hashes(&self) -> Result<Vec<String>, StoreError>;

    /// Forgets a definition; whether there was one.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn remove(&self, hash: &str) -> Result<bool, StoreError>;
}
