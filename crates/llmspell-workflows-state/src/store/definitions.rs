use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use super::StoreError;

/// The definitions that runs were started with, as JSON, by hash.
#[async_trait]
pub trait DefinitionStore: Send + Sync + fmt::Debug {
    /// Stores a definition, which survives a power loss once the call returns. An existing one is not changed.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn put(&self, hash: &str, definition: &Value) -> Result<(), StoreError>;

    /// Returns the definition with this hash.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    async fn get(&self, hash: &str) -> Result<Option<Value>, StoreError>;

    /// Returns the sorted hashes of all definitions.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    async fn hashes(&self) -> Result<Vec<String>, StoreError>;

    /// Removes a definition; returns whether it existed.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn remove(&self, hash: &str) -> Result<bool, StoreError>;
}
