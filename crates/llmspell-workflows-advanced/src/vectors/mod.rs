//! Memory by meaning: vectors with metadata, and what makes vectors of texts.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use llmspell_workflows_advanced::vectors::{
//!     EmbeddingService, HashedEmbeddings, MemoryVectors, VectorEntry, VectorQuery, VectorStorage,
//! };
//! use serde_json::json;
//!
//! let (vectors, words) = (MemoryVectors::default(), HashedEmbeddings::default());
//! for text in ["invoice of the baker", "weather of tomorrow"] {
//!     let vector = words.embed(&[text.to_owned()]).await?.remove(0);
//!     vectors.insert(vec![VectorEntry::new(text, "notes", vector).with("length", json!(text.len()))]).await?;
//! }
//!
//! let vector = words.embed(&["the baker's invoice".to_owned()]).await?.remove(0);
//! let found = vectors.search(&VectorQuery::new(vector).limit(1)).await?;
//! assert_eq!(found[0].entry.id, "invoice of the baker");
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

/// Keeps vectors, and finds those that are near another one.
#[async_trait]
pub trait VectorStorage: Send + Sync + fmt::Debug {
    /// Keeps the entries, each in place of the one of its scope and id; all or none of them.
    ///
    /// # Errors
    /// A vector has another length than those of its scope, or no direction; or they cannot be written.
    async fn insert(&self, entries: Vec<VectorEntry>) -> Result<(), VectorError>;

    /// The entries that are nearest to the query by the angle between them, the nearest first.
    ///
    /// # Errors
    /// The vector has another length than those of a scope that is searched, or they cannot be read.
    async fn search(&self, query: &VectorQuery) -> Result<Vec<VectorMatch>, VectorError>;

    /// Sets what is known of an entry beside its vector.
    ///
    /// # Errors
    /// There is no such entry, or it cannot be written.
    async fn update_metadata(
        &self,
        scope: &str,
        id: &str,
        metadata: BTreeMap<String, Value>,
    ) -> Result<(), VectorError>;

    /// Forgets entries of a scope; how many there were.
    ///
    /// # Errors
    /// They cannot be written.
    async fn delete(&self, scope: &str, ids: &[String]) -> Result<usize, VectorError>;

    /// Forgets a scope; how many entries it had.
    ///
    /// # Errors
    /// It cannot be written.
    async fn delete_scope(&self, scope: &str) -> Result<usize, VectorError>;

    /// How much is kept.
    ///
    /// # Errors
    /// It cannot be read.
    async fn stats(&self) -> Result<VectorStats, VectorError>;
}

/// A vector, and what is known of what it stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VectorEntry {
    /// Its id, unique in its scope.
    pub id: String,
    /// What it belongs to.
    pub scope: String,
    /// The vector; all of a scope have one length.
    pub vector: Vec<f32>,
    /// What is known of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
}

impl VectorEntry {
    /// An entry of which nothing more is known.
    pub fn new(id: impl Into<String>, scope: impl Into<String>, vector: Vec<f32>) -> Self {
        Self { id: id.into(), scope: scope.into(), vector, metadata: BTreeMap::new() }
    }

    /// Adds something that is known of it.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorQuery {
    /// What it should be near to.
    pub vector: Vec<f32>,
    /// What it belongs to; none: anything.
    pub scope: Option<String>,
    /// What must be known of it.
    pub filter: BTreeMap<String, Value>,
    /// How near it must be: the cosine of the angle between them, from −1 to 1.
    pub score_min: f32,
    /// How many at most; 10 by default.
    pub limit: usize,
}

impl VectorQuery {
    /// The ten entries that are nearest to `vector`.
    #[must_use]
    pub fn new(vector: Vec<f32>) -> Self {
        Self { vector, scope: None, filter: BTreeMap::new(), score_min: -1.0, limit: 10 }
    }

    /// Only those of this scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Only those of which this is known.
    #[must_use]
    pub fn filter(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.filter.insert(key.into(), value.into());
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorMatch {
    /// How near it is: the cosine of the angle between them.
    pub score: f32,
    /// The entry.
    pub entry: VectorEntry,
}

/// How much a storage keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VectorStats {
    /// How many entries.
    pub entries: usize,
    /// How many of each scope.
    pub by_scope: BTreeMap<String, usize>,
}

/// Why vectors cannot be kept, found or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// It does not fit to the others.
    #[error("a vector has the length {found}, and those of the scope `{scope}` have {expected}")]
    Length {
        /// Where.
        scope: String,
        /// The length of the others.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// It points nowhere.
    #[error("a vector has no direction: all of it is zero, or something of it is no finite number")]
    NoDirection,
    /// There is none.
    #[error("the scope `{scope}` has no entry `{id}`")]
    Unknown {
        /// Where it was looked for.
        scope: String,
        /// Its id.
        id: String,
    },
    /// It cannot be read or written, or nothing makes a vector of it.
    #[error("vectors cannot be kept, found or made: {0}")]
    Service(String),
}
