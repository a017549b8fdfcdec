//! Conformance tests for implementations of the advanced services.
//!
//! Pass a new, empty instance of your implementation to each function. The function panics at the first difference and
//! reports the expected behaviour. The tests for journals and stores are in the state crate, behind its feature
//! `conformance`.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use llmspell_workflows_advanced::{MemoryHome, sessions::MemorySessions, state::StoredStates};
//! use llmspell_workflows_advanced::vectors::{HashedEmbeddings, MemoryVectors};
//! use llmspell_workflows_testing::conformance;
//!
//! conformance::states(&StoredStates::new(MemoryHome::new())).await;
//! conformance::sessions(&MemorySessions::default()).await;
//! conformance::vectors(&MemoryVectors::default()).await;
//! conformance::embeddings(&HashedEmbeddings::default()).await;
//! # });
//! ```

mod sessions;
mod states;
mod vectors;

pub use sessions::sessions;
pub use states::states;
pub use vectors::{embeddings, vectors};
