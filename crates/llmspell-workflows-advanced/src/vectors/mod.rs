//! Vectors with metadata, and services that embed texts as vectors.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use llmspell_workflows_advanced::vectors::{
//!     EmbeddingService, HashedEmbeddings, MemoryVectors, VectorEntry, VectorQuery, VectorStorage,
//! };
//! use serde_json::json;
//!
//! let (vectors, words) = (MemoryVectors::default(), HashedEmbeddings::default());
//! for text in ["invoice from the baker", "weather for tomorrow"] {
//!     let vector = words.embed(&[text.to_owned()]).await?.remove(0);
//!     vectors.insert(vec![VectorEntry::new(text, "notes", vector).with("length", json!(text.len()))]).await?;
//! }
//!
//! let vector = words.embed(&["the baker's invoice".to_owned()]).await?.remove(0);
//! let found = vectors.search(&VectorQuery::new(vector).limit(1)).await?;
//! assert_eq!(found[0].entry.id, "invoice from the baker");
//! # Ok::<(), llmspell_workflows_advanced::vectors::VectorError>(()) }).unwrap();
//! ```

mod embedding;
mod memory;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use embedding::{EmbeddingService, HashedEmbeddings};
pub use memory::MemoryVectors;

/// Stores vectors and finds the vectors nearest to a query.
#[async_trait]
pub trait VectorStorage: Send + Sync + fmt::Debug {
    /// Stores all entries or none. Each entry replaces any earlier entry with the same scope and id.
    ///
    /// # Errors
    /// Returns an error if a vector has no direction or a different length from the other vectors in its scope, or if
    /// the entries cannot be written.
    async fn insert(&self, entries: Vec<VectorEntry>) -> Result<(), VectorError>;

    /// Returns the entries nearest to the query by angle, nearest first.
    ///
    /// # Errors
    /// Returns an error if the query vector has a different length from the vectors in a searched scope, or if the
    /// entries cannot be read.
    async fn search(&self, query: &VectorQuery) -> Result<Vec<VectorMatch>, VectorError>;

    /// Replaces the metadata of an entry.
    ///
    /// # Errors
    /// Returns an error if the entry does not exist or cannot be written.
    async fn update_metadata(
        &self,
        scope: &str,
        id: &str,
        metadata: BTreeMap<String, Value>,
    ) -> Result<(), VectorError>;

    /// Deletes entries of a scope; returns the number of deleted entries.
    ///
    /// # Errors
    /// Returns an error if the deletion cannot be written.
    async fn delete(&self, scope: &str, ids: &[String]) -> Result<usize, VectorError>;

    /// Deletes a scope; returns the number of deleted entries.
    ///
    /// # Errors
    /// Returns an error if the deletion cannot be written.
    async fn delete_scope(&self, scope: &str) -> Result<usize, VectorError>;

    /// Returns the number of entries, in total and by scope.
    ///
    /// # Errors
    /// Returns an error if the entries cannot be read.
    async fn stats(&self) -> Result<VectorStats, VectorError>;
}

/// A vector with metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorEntry {
    /// The id, unique in its scope.
    pub id: String,
    /// The scope that contains the entry.
    pub scope: String,
    /// The vector; all vectors of a scope have the same length.
    pub vector: Vec<f32>,
    /// Arbitrary metadata of the entry, which queries can filter by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
}

impl VectorEntry {
    /// Returns an entry without metadata.
    pub fn new(id: impl Into<String>, scope: impl Into<String>, vector: Vec<f32>) -> Self {
        Self { id: id.into(), scope: scope.into(), vector, metadata: BTreeMap::new() }
    }

    /// Adds a metadata value.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

/// A query for vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorQuery {
    /// The vector to search for.
    pub vector: Vec<f32>,
    /// The scope to search; all scopes if `None`.
    pub scope: Option<String>,
    /// The metadata that an entry must have.
    pub filter: BTreeMap<String, Value>,
    /// The minimum score of an entry. The score is the cosine of the angle to `vector`, from −1 to 1.
    pub score_min: f32,
    /// The maximum number of entries to return; 10 by default.
    pub limit: usize,
}

impl VectorQuery {
    /// Returns a query for the ten entries nearest to `vector`.
    #[must_use]
    pub fn new(vector: Vec<f32>) -> Self {
        Self { vector, scope: None, filter: BTreeMap::new(), score_min: -1.0, limit: 10 }
    }

    /// Restricts the search to a scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Restricts the search to entries with this metadata value.
    #[must_use]
    pub fn filter(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.filter.insert(key.into(), value.into());
        self
    }

    /// Sets the maximum number of entries to return.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

/// An entry that a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorMatch {
    /// The cosine of the angle between the entry and the query, from −1 to 1.
    pub score: f32,
    /// The entry.
    pub entry: VectorEntry,
}

/// The number of entries in a storage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VectorStats {
    /// The total number of entries.
    pub entries: usize,
    /// The number of entries by scope.
    pub by_scope: BTreeMap<String, usize>,
}

/// Why an operation on vectors failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// The vector's length differs from the length of the other vectors in its scope.
    #[error("expected a vector of length {expected} in scope `{scope}`, got length {found}")]
    Length {
        /// The scope.
        scope: String,
        /// The length of the vectors in the scope.
        expected: usize,
        /// The length of the given vector.
        found: usize,
    },
    /// The vector has no direction.
    #[error("a vector has no direction: all components are zero, or one is not a finite number")]
    NoDirection,
    /// The entry does not exist.
    #[error("scope `{scope}` has no entry `{id}`")]
    Unknown {
        /// The searched scope.
        scope: String,
        /// The id of the entry.
        id: String,
    },
    /// The storage or the embedding service failed.
    #[error("vector service failed: {0}")]
    Service(String),
}
