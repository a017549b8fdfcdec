use std::path::Path;

use async_trait::async_trait;
use llmspell_workflows_state::{
    Record, RecordLines,
    store::{
        Adapter, ArchiveStore, BlobStore, DefinitionStore, InboxStore, Message, RunPage, RunQuery, RunStore,
        RunSummary, Snapshot, SnapshotStore, StoreError, Verified,
    },
};
use mockall::mock;
use uuid::Uuid;

mock! {
    /// A mock of the index of runs.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use llmspell_workflows_state::store::{RunPage, RunQuery, RunStore, Stores};
    /// use llmspell_workflows_testing::mock::{MockRunStore, mockall::predicate::function};
    ///
    /// // Runs are listed in pages of a bounded size.
    /// let mut runs = MockRunStore::new();
    /// runs.expect_list()
    ///     .with(function(|query: &RunQuery| query.limit <= 50))
    ///     .times(1)
    ///     .returning(|_| Ok(RunPage::default()));
    ///
    /// // One store is a mock, the others are in memory.
    /// let stores = Stores { runs: Arc::new(runs), ..Stores::memory() };
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert!(stores.runs.list(&RunQuery::default()).await.unwrap().runs.is_empty());
    /// # });
    /// ```
    #[derive(Debug)]
    pub RunStore {}

    #[async_trait]
    impl RunStore for RunStore {
        async fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError>;
        async fn put(&self, run: &RunSummary) -> Result<(), StoreError>;
        async fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError>;
        async fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError>;
        async fn remove_all(&self, runs: &[Uuid]) -> Result<usize, StoreError>;
        async fn remove(&self, run: Uuid) -> Result<bool, StoreError>;
    }
}

mock! {
    /// A mock of the archive of ended runs.
    #[derive(Debug)]
    pub ArchiveStore {}

    #[async_trait]
    impl ArchiveStore for ArchiveStore {
        async fn put_all(&self, runs: Vec<(Uuid, RecordLines)>) -> Result<(), StoreError>;
        async fn put(&self, run: Uuid, records: Vec<Record>) -> Result<(), StoreError>;
        async fn get(&self, run: Uuid) -> Result<Option<Vec<Record>>, StoreError>;
        async fn remove(&self, run: Uuid) -> Result<bool, StoreError>;
    }
}

mock! {
    /// A mock of the store of definitions.
    #[derive(Debug)]
    pub DefinitionStore {}

    #[async_trait]
    impl DefinitionStore for DefinitionStore {
        async fn put(&self, hash: &str, definition: &str) -> Result<(), StoreError>;
        async fn get(&self, hash: &str) -> Result<Option<String>, StoreError>;
        async fn hashes(&self) -> Result<Vec<String>, StoreError>;
        async fn remove(&self, hash: &str) -> Result<bool, StoreError>;
    }
}

mock! {
    /// A mock of the store of checkpoints.
    #[derive(Debug)]
    pub SnapshotStore {}

    #[async_trait]
    impl SnapshotStore for SnapshotStore {
        async fn put(&self, snapshot: &Snapshot) -> Result<(), StoreError>;
        async fn get(&self, run: Uuid, name: &str) -> Result<Option<Snapshot>, StoreError>;
        async fn list(&self, run: Uuid) -> Result<Vec<Snapshot>, StoreError>;
        async fn remove(&self, run: Uuid, name: &str) -> Result<bool, StoreError>;
        async fn remove_all(&self, run: Uuid) -> Result<usize, StoreError>;
    }
}

mock! {
    /// A mock of the inbox of runs.
    #[derive(Debug)]
    pub InboxStore {}

    #[async_trait]
    impl InboxStore for InboxStore {
        async fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError>;
        async fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError>;
        async fn remove(&self, run: Uuid) -> Result<usize, StoreError>;
    }
}

mock! {
    /// A mock of the store of large values.
    #[derive(Debug)]
    pub BlobStore {}

    #[async_trait]
    impl BlobStore for BlobStore {
        async fn put(&self, owner: Uuid, bytes: Vec<u8>) -> Result<String, StoreError>;
        async fn get(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError>;
        async fn share(&self, owner: Uuid, hash: &str) -> Result<(), StoreError>;
        async fn owners(&self, hash: &str) -> Result<usize, StoreError>;
        async fn owned(&self, owner: Uuid) -> Result<Vec<String>, StoreError>;
        async fn release(&self, owner: Uuid) -> Result<usize, StoreError>;
    }
}

mock! {
    /// A mock of an adapter; all stores in one location share an adapter.
    #[derive(Debug)]
    pub Adapter {}

    #[async_trait]
    impl Adapter for Adapter {
        fn name(&self) -> &'static str;
        fn admits_several_processes(&self) -> bool;
        async fn back_up(&self, to: &Path) -> Result<(), StoreError>;
        async fn compact(&self) -> Result<(), StoreError>;
        async fn verify(&self) -> Result<Verified, StoreError>;
    }
}
