use std::fmt;

use serde_json::Value;

use super::StoreError;

/// Definitions as JSON, by hash: what runs were started with.
pub trait DefinitionStore: Send + Sync + fmt::Debug {
    /// Keeps a definition, which outlives a power loss when the call returns. One that is there already stays as it is.
    ///
    /// # Errors
    /// The store cannot be written.
    fn put(&self, hash: &str, definition: &Value) -> Result<(), StoreError>;

    /// The definition of this hash.
    ///
    /// # Errors
    /// The store cannot be read.
    fn get(&self, hash: &str) -> Result<Option<Value>, StoreError>;

    /// Forgets a definition; whether there was one.
    ///
    /// # Errors
    /// The store cannot be written.
    fn remove(&self, hash: &str) -> Result<bool, StoreError>;
}
