use std::fmt;

use async_trait::async_trait;

use super::StoreError;

/// The definitions that runs were started with, as JSON text, keyed by the hash of the text.
#[async_trait]
pub trait DefinitionStore: Send + Sync + fmt::Debug {
    /// Stores a definition, which survives a power loss once the call returns. An existing
    /// definition is not changed.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn put(&self, hash: &str, definition: &str) -> Result<(), StoreError>;

    /// Returns the text of the definition with this hash.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    async fn get(&self, hash: &str) -> Result<Option<String>, StoreError>;

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
