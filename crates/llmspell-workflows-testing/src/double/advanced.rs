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
    /// A double of where states are kept under names: each call is told with the name.
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
        self.ask("save", workflow_id, state.to_value()).wait(self.inner.save(workflow_id, state)).await
    }

    async fn load(&self, workflow_id: &str) -> Result<Option<WorkflowState>, ExecutorError> {
        self.ask("load", workflow_id, Value::Null).wait(self.inner.load(workflow_id)).await
    }

    async fn remove(&self, workflow_id: &str) -> Result<bool, ExecutorError> {
        self.ask("remove", workflow_id, Value::Null).wait(self.inner.remove(workflow_id)).await
    }
}

impl Service for dyn SessionStorage + '_ {
    type Error = SessionError;
    const CALLS: &'static [&'static str] = &["put", "get", "list", "remove"];
}

impl Double<dyn SessionStorage> {
    /// A double of where sessions are kept: each call is told with the session's id.
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
    /// // It is as it was, and the next try succeeds.
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
        self.ask("put", &*session.id, json!(session)).wait(self.inner.put(session)).await
    }

    async fn get(&self, id: &str) -> Result<Option<Session>, SessionError> {
        self.ask("get", id, Value::Null).wait(self.inner.get(id)).await
    }

    async fn list(&self, query: &SessionQuery) -> Result<Vec<Session>, SessionError> {
        let SessionQuery { status, parent, tag, limit } = query;
        let with = json!({"status": status, "parent": parent, "tag": tag, "limit": limit});
        self.ask("list", "", with).wait(self.inner.list(query)).await
    }

    async fn remove(&self, id: &str) -> Result<bool, SessionError> {
        self.ask("remove", id, Value::Null).wait(self.inner.remove(id)).await
    }
}

impl Service for dyn VectorStorage + '_ {
    type Error = VectorError;
    const CALLS: &'static [&'static str] = &["insert", "search", "update_metadata", "delete", "delete_scope", "stats"];
}

impl Double<dyn VectorStorage> {
    /// A double of where vectors are kept: calls are told with scopes and ids.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use llmspell_workflows_advanced::vectors::{MemoryVectors, VectorEntry, VectorError, VectorQuery, VectorStorage};
    /// use llmspell_workflows_testing::double::Double;
    ///
    /// let vectors = Double::vectors(MemoryVectors::default());
    /// // It arrives, and nobody hears of it: whoever tries again must not keep it twice.
    /// vectors.unheard_at("insert", 1, || VectorError::Service("the connection is gone".into()));
    ///
    /// let entry = || vec![VectorEntry::new("n-1", "notes", vec![1.0, 0.0])];
    /// assert!(vectors.insert(entry()).await.is_err());
    /// vectors.insert(entry()).await.unwrap();
    /// assert_eq!(vectors.search(&VectorQuery::new(vec![1.0, 0.0])).await.unwrap().len(), 1);
    /// vectors.story().has_in_order(&["insert notes/n-1", "search"]);
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
        let about: Vec<_> = entries.iter().map(|entry| format!("{}/{}", entry.scope, entry.id)).collect();
        self.ask("insert", about.join(" "), json!(entries)).wait(self.inner.insert(entries)).await
    }

    async fn search(&self, query: &VectorQuery) -> Result<Vec<VectorMatch>, VectorError> {
        let VectorQuery { vector, scope, filter, score_min, limit } = query;
        let with = json!({"vector": vector, "filter": filter, "score_min": score_min, "limit": limit});
        self.ask("search", scope.clone().unwrap_or_default(), with).wait(self.inner.search(query)).await
    }

    async fn update_metadata(
        &self,
        scope: &str,
        id: &str,
        metadata: BTreeMap<String, Value>,
    ) -> Result<(), VectorError> {
        let turn = self.ask("update_metadata", format!("{scope}/{id}"), json!(metadata));
        turn.wait(self.inner.update_metadata(scope, id, metadata)).await
    }

    async fn delete(&self, scope: &str, ids: &[String]) -> Result<usize, VectorError> {
        self.ask("delete", scope, json!(ids)).wait(self.inner.delete(scope, ids)).await
    }

    async fn delete_scope(&self, scope: &str) -> Result<usize, VectorError> {
        self.ask("delete_scope", scope, Value::Null).wait(self.inner.delete_scope(scope)).await
    }

    async fn stats(&self) -> Result<VectorStats, VectorError> {
        self.ask("stats", "", Value::Null).wait(self.inner.stats()).await
    }
}

impl Service for dyn EmbeddingService + '_ {
    type Error = VectorError;
    const CALLS: &'static [&'static str] = &["embed"];
}

impl Double<dyn EmbeddingService> {
    /// A double of what makes vectors of texts: `embed` is told with the number of texts.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use llmspell_workflows_advanced::vectors::{EmbeddingService, HashedEmbeddings, VectorError};
    /// use llmspell_workflows_testing::double::Double;
    ///
    /// let words = Double::embeddings(HashedEmbeddings::default());
    /// words.fails_from("embed", 2, || VectorError::Service("no quota is left".into()));
    ///
    /// let text = ["invoice".to_owned()];
    /// assert_eq!(words.embed(&text).await, HashedEmbeddings::default().embed(&text).await);
    /// assert!(words.embed(&text).await.is_err());
    /// words.story().is(&["embed 1", "embed 1: failed, vector service failed: no quota is left"]);
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
        self.ask("embed", texts.len().to_string(), json!(texts)).wait(self.inner.embed(texts)).await
    }
}
