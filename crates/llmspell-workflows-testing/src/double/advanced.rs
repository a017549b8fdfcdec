use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use llmspell_workflows_advanced::{
    EmbeddingService, ExecutorError, SessionStorage, StateStorage, VectorStorage,
    sessions::{Session, SessionError, SessionQuery},
    vectors::{VectorEntry, VectorError, VectorMatch, VectorQuery, VectorStats},
};
use llmspell_workflows_basic::WorkflowState;
use serde_json::{Value, json};

use super::{Double, Service};

impl Service for dyn StateStorage + '_ {
    type Error = ExecutorError;
    const CALLS: &'static [&'static str] = &["save", "load", "remove"];
}

impl Double<dyn StateStorage> {
    /// Creates a double of a state storage; the subject of a call is the name of the state.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use llmspell_workflows_advanced::{ExecutorError, MemoryHome, StateStorage, state::StoredStates};
    /// use llmspell_workflows_basic::WorkflowState;
    /// use llmspell_workflows_testing::double::Double;
    ///
    /// let states = Double::states(StoredStates::new(MemoryHome::new()));
    /// states.fails_at("save", 1, || ExecutorError::NoLoopback("there is none".into()));
    ///
    /// assert!(states.save("orders", &WorkflowState::default()).await.is_err());
    /// assert!(states.load("orders").await.unwrap().is_none());
    /// assert_eq!(states.count("save"), 1);
    /// # });
    /// ```
    #[must_use]
    pub fn states(inner: impl StateStorage + 'static) -> Self {
        Self::around(Arc::new(inner))
    }
}

#[async_trait]
impl StateStorage for Double<dyn StateStorage> {
    async fn save(&self, workflow_id: &str, state: &WorkflowState) -> Result<(), ExecutorError> {
        self.record("save", workflow_id, state.to_value()).wait(self.inner.save(workflow_id, state)).await
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<WorkflowState>, ExecutorError> {
        self.record("load", workflow_id, Value::Null).wait(self.inner.load(workflow_id)).await
    }

    async fn remove(&self, workflow_id: &str) -> Result<bool, ExecutorError> {
        self.record("remove", workflow_id, Value::Null).wait(self.inner.remove(workflow_id)).await
    }
}

impl Service for dyn SessionStorage + '_ {
    type Error = SessionError;
    const CALLS: &'static [&'static str] = &["put", "get", "list", "remove"];
}

impl Double<dyn SessionStorage> {
    /// Creates a double of a session storage; the subject of a call is the id of the session.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use std::sync::Arc;
    /// use llmspell_workflows_advanced::sessions::{MemorySessions, NewSession, SessionError, SessionManager};
    /// use llmspell_workflows_testing::double::Double;
    ///
    /// let storage = Double::sessions(MemorySessions::default());
    /// storage.fails_at("put", 2, || SessionError::Storage("the disk is full".into()));
    ///
    /// let sessions = SessionManager::new(Arc::new(storage.clone()));
    /// let session = sessions.create(NewSession::named("research")).await.unwrap();
    /// assert_eq!(sessions.suspend(&session.id).await, Err(SessionError::Storage("the disk is full".into())));
    ///
    /// // The session is unchanged, and the next attempt succeeds.
    /// assert_eq!(sessions.get(&session.id).await.unwrap().status, session.status);
    /// sessions.suspend(&session.id).await.unwrap();
    /// assert_eq!(storage.count("put"), 3);
    /// # });
    /// ```
    #[must_use]
    pub fn sessions(inner: impl SessionStorage + 'static) -> Self {
        Self::around(Arc::new(inner))
    }
}

#[async_trait]
impl SessionStorage for Double<dyn SessionStorage> {
    async fn put(&self, session: &Session) -> Result<(), SessionError> {
        self.record("put", &*session.id, json!(session)).wait(self.inner.put(session)).await
    }

    async fn get(&self, id: &str) -> Result<Option<Session>, SessionError> {
        self.record("get", id, Value::Null).wait(self.inner.get(id)).await
    }

    async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError> {
        let SessionQuery { status, parent, tag, limit } = query;
        let arguments = json!({"status": status, "parent": parent, "tag": tag, "limit": limit});
        self.record("list", "", arguments).wait(self.inner.list(query)).await
    }

    async fn remove(&self, id: &str) -> Result<bool, SessionError> {
        self.record("remove", id, Value::Null).wait(self.inner.remove(id)).await
    }
}

impl Service for dyn VectorStorage + '_ {
    type Error = VectorError;
    const CALLS: &'static [&'static str] = &["insert", "search", "update_metadata", "delete", "delete_scope", "stats"];
}

impl Double<dyn VectorStorage> {
    /// Creates a double of a vector storage; the subject of a call is the scope and the ids of the entries.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use llmspell_workflows_advanced::vectors::{MemoryVectors, VectorEntry, VectorError, VectorQuery, VectorStorage};
    /// use llmspell_workflows_testing::double::Double;
    ///
    /// let vectors = Double::vectors(MemoryVectors::default());
    /// // The insertion succeeds but its response is lost; a second attempt must not store the entry twice.
    /// vectors.loses_response_at("insert", 1, || VectorError::Service("connection lost".into()));
    ///
    /// let entry = || vec![VectorEntry::new("n-1", "notes", vec![1.0, 0.0])];
    /// assert!(vectors.insert(entry()).await.is_err());
    /// vectors.insert(entry()).await.unwrap();
    /// assert_eq!(vectors.search(&VectorQuery::new(vec![1.0, 0.0])).await.unwrap().len(), 1);
    /// vectors.story().contains_in_order(&["insert notes/n-1", "search"]);
    /// # });
    /// ```
    #[must_use]
    pub fn vectors(inner: impl VectorStorage + 'static) -> Self {
        Self::around(Arc::new(inner))
    }
}

#[async_trait]
impl VectorStorage for Double<dyn VectorStorage> {
    async fn insert(&self, entries: Vec<VectorEntry>) -> Result<(), VectorError> {
        let subject: Vec<_> = entries.iter().map(|entry| format!("{}/{}", entry.scope, entry.id)).collect();
        self.record("insert", subject.join(" "), json!(entries)).wait(self.inner.insert(entries)).await
    }

    async fn search(&self, query: &VectorQuery) -> Result<Vec<VectorMatch>, VectorError> {
        let VectorQuery { vector, scope, filter, score_min, limit } = query;
        let arguments = json!({"vector": vector, "filter": filter, "score_min": score_min, "limit": limit});
        self.record("search", scope.clone().unwrap_or_default(), arguments).wait(self.inner.search(query)).await
    }

    async fn update_metadata(
        &self,
        scope: &str,
        id: &str,
        metadata: BTreeMap<String, Value>,
    ) -> Result<(), VectorError> {
        let call = self.record("update_metadata", format!("{scope}/{id}"), json!(metadata));
        call.wait(self.inner.update_metadata(scope, id, metadata)).await
    }

    async fn delete(&self, scope: &str, ids: &[String]) -> Result<usize, VectorError> {
        self.record("delete", scope, json!(ids)).wait(self.inner.delete(scope, ids)).await
    }

    async fn delete_scope(&self, scope: &str) -> Result<usize, VectorError> {
        self.record("delete_scope", scope, Value::Null).wait(self.inner.delete_scope(scope)).await
    }

    async fn stats(&self) -> Result<VectorStats, VectorError> {
        self.record("stats", "", Value::Null).wait(self.inner.stats()).await
    }
}

impl Service for dyn EmbeddingService + '_ {
    type Error = VectorError;
    const CALLS: &'static [&'static str] = &["embed"];
}

impl Double<dyn EmbeddingService> {
    /// Creates a double of an embedding service; the subject of `embed` is the number of texts.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use llmspell_workflows_advanced::vectors::{EmbeddingService, HashedEmbeddings, VectorError};
    /// use llmspell_workflows_testing::double::Double;
    ///
    /// let words = Double::embeddings(HashedEmbeddings::default());
    /// words.fails_from("embed", 2, || VectorError::Service("the quota is used up".into()));
    ///
    /// let text = ["invoice".to_owned()];
    /// assert_eq!(words.embed(&text).await, HashedEmbeddings::default().embed(&text).await);
    /// assert!(words.embed(&text).await.is_err());
    /// words.story().is(&["embed 1", "embed 1: failed, vector service failed: the quota is used up"]);
    /// # });
    /// ```
    #[must_use]
    pub fn embeddings(inner: impl EmbeddingService + 'static) -> Self {
        Self::around(Arc::new(inner))
    }
}

#[async_trait]
impl EmbeddingService for Double<dyn EmbeddingService> {
    fn dimensions(&self) -> usize {
        self.inner.dimensions()
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, VectorError> {
        self.record("embed", texts.len().to_string(), json!(texts)).wait(self.inner.embed(texts)).await
    }
}
