//! What comes along conforms, and what does something else is found out.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use futures_util::FutureExt;
use llmspell_workflows_advanced::{
    EmbeddingService, ExecutorError, MemoryHome, SessionStorage, StateStorage, VectorStorage,
    sessions::{MemorySessions, Session, SessionError, SessionQuery},
    state::StoredStates,
    vectors::{HashedEmbeddings, MemoryVectors, VectorEntry, VectorError, VectorMatch, VectorQuery, VectorStats},
};
use llmspell_workflows_basic::WorkflowState;
use llmspell_workflows_testing::{conformance, double::Double};
use serde_json::Value;

#[tokio::test]
async fn doubles_conform_as_what_they_stand_around() {
    conformance::states(&Double::states(StoredStates::new(MemoryHome::new()))).await;
    conformance::sessions(&Double::sessions(MemorySessions::default())).await;
    conformance::vectors(&Double::vectors(MemoryVectors::default())).await;
    conformance::embeddings(&Double::embeddings(HashedEmbeddings::default())).await;
}

/// What the panic of `check` says.
async fn found_out(check: impl Future<Output = ()>) -> String {
    let panic = AssertUnwindSafe(check).catch_unwind().await.expect_err("it does something else");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(text) => (*text.downcast::<&str>().expect("a panic with a text")).to_owned(),
    }
}

/// A service that does one thing wrong.
#[derive(Debug)]
struct Wrong<S: ?Sized>(Arc<S>);

#[async_trait]
impl StateStorage for Wrong<dyn StateStorage> {
    async fn save(&self, workflow_id: &str, state: &WorkflowState) -> Result<(), ExecutorError> {
        self.0.save(workflow_id, state).await
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<WorkflowState>, ExecutorError> {
        self.0.load(workflow_id).await
    }

    /// It was never there.
    async fn remove(&self, workflow_id: &str) -> Result<bool, ExecutorError> {
        self.0.remove(workflow_id).await.map(|_| false)
    }
}

#[async_trait]
impl SessionStorage for Wrong<dyn SessionStorage> {
    async fn put(&self, session: &Session) -> Result<(), SessionError> {
        self.0.put(session).await
    }

    async fn get(&self, id: &str) -> Result<Option<Session>, SessionError> {
        self.0.get(id).await
    }

    /// There is no limit.
    async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError> {
        self.0.list(&SessionQuery { limit: None, ..query.clone() }).await
    }

    async fn remove(&self, id: &str) -> Result<bool, SessionError> {
        self.0.remove(id).await
    }
}

#[async_trait]
impl VectorStorage for Wrong<dyn VectorStorage> {
    /// One after the other: what comes before a bad one is kept.
    async fn insert(&self, entries: Vec<VectorEntry>) -> Result<(), VectorError> {
        for entry in entries {
            self.0.insert(vec![entry]).await?;
        }
        Ok(())
    }

    async fn search(&self, query: &VectorQuery) -> Result<Vec<VectorMatch>, VectorError> {
        self.0.search(query).await
    }

    async fn update_metadata(
        &self,
        scope: &str,
        id: &str,
        metadata: BTreeMap<String, Value>,
    ) -> Result<(), VectorError> {
        self.0.update_metadata(scope, id, metadata).await
    }

    async fn delete(&self, scope: &str, ids: &[String]) -> Result<usize, VectorError> {
        self.0.delete(scope, ids).await
    }

    async fn delete_scope(&self, scope: &str) -> Result<usize, VectorError> {
        self.0.delete_scope(scope).await
    }

    async fn stats(&self) -> Result<VectorStats, VectorError> {
        self.0.stats().await
    }
}

#[async_trait]
impl EmbeddingService for Wrong<dyn EmbeddingService> {
    fn dimensions(&self) -> usize {
        self.0.dimensions()
    }

    /// The last text comes first.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, VectorError> {
        self.0.embed(texts).await.map(|vectors| vectors.into_iter().rev().collect())
    }
}

#[tokio::test]
async fn what_does_something_else_is_found_out() {
    let wrong = Wrong::<dyn StateStorage>(Arc::new(StoredStates::new(MemoryHome::new())));
    assert_eq!(found_out(conformance::states(&wrong)).await, "it was there");
    let wrong = Wrong::<dyn SessionStorage>(Arc::new(MemorySessions::default()));
    let shown = found_out(conformance::sessions(&wrong)).await;
    assert!(shown.contains("no more than the limit"), "{shown}");
    let wrong = Wrong::<dyn VectorStorage>(Arc::new(MemoryVectors::default()));
    let shown = found_out(conformance::vectors(&wrong)).await;
    assert!(shown.contains("all of an insertion is kept, or nothing"), "{shown}");
    let wrong = Wrong::<dyn EmbeddingService>(Arc::new(HashedEmbeddings::default()));
    let shown = found_out(conformance::embeddings(&wrong)).await;
    assert!(shown.contains("in the order of their texts"), "{shown}");
}
