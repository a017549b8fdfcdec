//! The included implementations pass the conformance tests, and faulty implementations fail them.

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
async fn doubles_of_conforming_services_pass_the_conformance_tests() {
    conformance::states(&Double::states(StoredStates::new(MemoryHome::new()))).await;
    conformance::sessions(&Double::sessions(MemorySessions::default())).await;
    conformance::vectors(&Double::vectors(MemoryVectors::default())).await;
    conformance::embeddings(&Double::embeddings(HashedEmbeddings::default())).await;
}

/// Returns the panic message of a conformance test that must fail.
async fn panic_message(check: impl Future<Output = ()>) -> String {
    let panic = AssertUnwindSafe(check).catch_unwind().await.expect_err("the service is faulty");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(text) => (*text.downcast::<&str>().expect("a panic with a message")).to_owned(),
    }
}

/// A service with one fault.
#[derive(Debug)]
struct Faulty<S: ?Sized>(Arc<S>);

#[async_trait]
impl StateStorage for Faulty<dyn StateStorage> {
    async fn save(&self, workflow_id: &str, state: &WorkflowState) -> Result<(), ExecutorError> {
        self.0.save(workflow_id, state).await
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<WorkflowState>, ExecutorError> {
        self.0.load(workflow_id).await
    }

    /// Always returns false.
    async fn remove(&self, workflow_id: &str) -> Result<bool, ExecutorError> {
        self.0.remove(workflow_id).await.map(|_| false)
    }
}

#[async_trait]
impl SessionStorage for Faulty<dyn SessionStorage> {
    async fn put(&self, session: &Session) -> Result<(), SessionError> {
        self.0.put(session).await
    }

    async fn get(&self, id: &str) -> Result<Option<Session>, SessionError> {
        self.0.get(id).await
    }

    /// Ignores the limit.
    async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError> {
        self.0.list(&SessionQuery { limit: None, ..query.clone() }).await
    }

    async fn remove(&self, id: &str) -> Result<bool, SessionError> {
        self.0.remove(id).await
    }
}

#[async_trait]
impl VectorStorage for Faulty<dyn VectorStorage> {
    /// Inserts the entries one by one, so entries before an invalid entry are stored.
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
impl EmbeddingService for Faulty<dyn EmbeddingService> {
    fn dimensions(&self) -> usize {
        self.0.dimensions()
    }

    /// Returns the vectors in reverse order.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, VectorError> {
        self.0.embed(texts).await.map(|vectors| vectors.into_iter().rev().collect())
    }
}

#[tokio::test]
async fn faulty_services_fail_the_conformance_tests() {
    let faulty = Faulty::<dyn StateStorage>(Arc::new(StoredStates::new(MemoryHome::new())));
    assert_eq!(panic_message(conformance::states(&faulty)).await, "removing an existing state must return true");
    let faulty = Faulty::<dyn SessionStorage>(Arc::new(MemorySessions::default()));
    let message = panic_message(conformance::sessions(&faulty)).await;
    assert!(message.contains("a limit must return the first sessions only"), "{message}");
    let faulty = Faulty::<dyn VectorStorage>(Arc::new(MemoryVectors::default()));
    let message = panic_message(conformance::vectors(&faulty)).await;
    assert!(message.contains("an insertion must be stored completely or not at all"), "{message}");
    let faulty = Faulty::<dyn EmbeddingService>(Arc::new(HashedEmbeddings::default()));
    let message = panic_message(conformance::embeddings(&faulty)).await;
    assert!(message.contains("in the order of their texts"), "{message}");
}
