use std::collections::BTreeMap;

use async_trait::async_trait;
use llmspell_workflows_advanced::{
    EmbeddingService, ExecutorError, SessionStorage, StateStorage, VectorStorage,
    sessions::{Session, SessionError, SessionQuery},
    vectors::{VectorEntry, VectorError, VectorMatch, VectorQuery, VectorStats},
};
use llmspell_workflows_basic::WorkflowState;
use mockall::mock;
use serde_json::Value;

mock! {
    /// A mock of a state storage.
    #[derive(Debug)]
    pub StateStorage {}

    #[async_trait]
    impl StateStorage for StateStorage {
        async fn save(&self, workflow_id: &str, state: &WorkflowState) -> Result<(), ExecutorError>;
        async fn load(&self, workflow_id: &str) -> Result<Option<WorkflowState>, ExecutorError>;
        async fn remove(&self, workflow_id: &str) -> Result<bool, ExecutorError>;
    }
}

mock! {
    /// A mock of a session storage.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use std::sync::Arc;
    /// use llmspell_workflows_advanced::sessions::{NewSession, SessionManager, SessionStatus};
    /// use llmspell_workflows_testing::mock::MockSessionStorage;
    ///
    /// // Creating a session stores it once, as active.
    /// let mut storage = MockSessionStorage::new();
    /// storage
    ///     .expect_put()
    ///     .withf(|session| session.name == "research" && session.status == SessionStatus::Active)
    ///     .times(1)
    ///     .returning(|_| Ok(()));
    /// SessionManager::new(Arc::new(storage)).create(NewSession::named("research")).await.unwrap();
    /// # });
    /// ```
    #[derive(Debug)]
    pub SessionStorage {}

    #[async_trait]
    impl SessionStorage for SessionStorage {
        async fn put(&self, session: &Session) -> Result<(), SessionError>;
        async fn get(&self, id: &str) -> Result<Option<Session>, SessionError>;
        async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError>;
        async fn remove(&self, id: &str) -> Result<bool, SessionError>;
    }
}

mock! {
    /// A mock of a vector storage.
    #[derive(Debug)]
    pub VectorStorage {}

    #[async_trait]
    impl VectorStorage for VectorStorage {
        async fn insert(&self, entries: Vec<VectorEntry>) -> Result<(), VectorError>;
        async fn search(&self, query: &VectorQuery) -> Result<Vec<VectorMatch>, VectorError>;
        async fn update_metadata(
            &self,
            scope: &str,
            id: &str,
            metadata: BTreeMap<String, Value>,
        ) -> Result<(), VectorError>;
        async fn delete(&self, scope: &str, ids: &[String]) -> Result<usize, VectorError>;
        async fn delete_scope(&self, scope: &str) -> Result<usize, VectorError>;
        async fn stats(&self) -> Result<VectorStats, VectorError>;
    }
}

mock! {
    /// A mock of an embedding service.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use llmspell_workflows_advanced::EmbeddingService;
    /// use llmspell_workflows_testing::mock::MockEmbeddingService;
    ///
    /// // Return vectors with the similarity that the test needs.
    /// let mut embeddings = MockEmbeddingService::new();
    /// embeddings.expect_embed().returning(|texts| {
    ///     Ok(texts.iter().map(|text| if text.contains("refund") { vec![1.0, 0.0] } else { vec![0.0, 1.0] }).collect())
    /// });
    /// let vectors = embeddings.embed(&["a refund".into(), "the weather".into()]).await.unwrap();
    /// assert_eq!(vectors, [[1.0, 0.0], [0.0, 1.0]]);
    /// # });
    /// ```
    #[derive(Debug)]
    pub EmbeddingService {}

    #[async_trait]
    impl EmbeddingService for EmbeddingService {
        fn dimensions(&self) -> usize;
        async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, VectorError>;
    }
}
