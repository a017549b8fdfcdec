use std::path::Path;

use llmspell_workflows_state::{
    Record,
    store::{
        Adapter, ArchiveStore, BlobStore, DefinitionStore, InboxStore, Message, RunPage, RunQuery, RunStore,
        RunSummary, Snapshot, SnapshotStore, StoreError, Verified,
    },
};
use mockall::mock;
use serde_json::Value;
use uuid::Uuid;

mock! {
    /// A mock of the index of runs.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use llmspell_workflows_state::store::{RunPage, RunQuery, RunStore, Stores};
    /// use llmspell_workflows_testing::mock::{MockRunStore, mockall::predicate::function};
    ///
    /// // Whoever lists runs asks for a page of a bounded size.
    /// let mut runs = MockRunStore::new();
    /// runs.expect_list()
    ///     .with(function(|query: &RunQuery| query.limit <= 50))
    ///     .times(1)
    ///     .returning(|_| Ok(RunPage::default()));
    ///
    /// // One store is the mock, the others are in memory.
    /// let stores = Stores { runs: Arc::new(runs), ..Stores::memory() };
    /// assert!(stores.runs.list(&RunQuery::default()).unwrap().runs.is_empty());
    /// ```
    pub RunStore {}

    impl RunStore for RunStore {
        fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError>;
        fn put(&self, run: &RunSummary) -> Result<(), StoreError>;
        fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError>;
        fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError>;
        fn remove(&self, run: Uuid) -> Result<bool, StoreError>;
    }
}

mock! {
    /// A mock of the records of runs that have ended.
    pub ArchiveStore {}

    impl ArchiveStore for ArchiveStore {
        fn put_all<'a>(&self, runs: &[(Uuid, &'a [Record])]) -> Result<(), StoreError>;
        fn put(&self, run: Uuid, records: &[Record]) -> Result<(), StoreError>;
        fn get(&self, run: Uuid) -> Result<Option<Vec<Record>>, StoreError>;
        fn remove(&self, run: Uuid) -> Result<bool, StoreError>;
    }
}

mock! {
    /// A mock of the definitions by their hashes.
    pub DefinitionStore {}

    impl DefinitionStore for DefinitionStore {
        fn put(&self, hash: &str, definition: &Value) -> Result<(), StoreError>;
        fn get(&self, hash: &str) -> Result<Option<Value>, StoreError>;
        fn remove(&self, hash: &str) -> Result<bool, StoreError>;
    }
}

mock! {
    /// A mock of the checkpoints of runs.
    pub SnapshotStore {}

    impl SnapshotStore for SnapshotStore {
        fn put(&self, snapshot: &Snapshot) -> Result<(), StoreError>;
        fn get(&self, run: Uuid, name: &str) -> Result<Option<Snapshot>, StoreError>;
        fn list(&self, run: Uuid) -> Result<Vec<Snapshot>, StoreError>;
        fn remove(&self, run: Uuid, name: &str) -> Result<bool, StoreError>;
        fn remove_all(&self, run: Uuid) -> Result<usize, StoreError>;
    }
}

mock! {
    /// A mock of the messages to runs.
    pub InboxStore {}

    impl InboxStore for InboxStore {
        fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError>;
        fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError>;
        fn remove(&self, run: Uuid) -> Result<usize, StoreError>;
    }
}

mock! {
    /// A mock of large values by their hashes.
    pub BlobStore {}

    impl BlobStore for BlobStore {
        fn put(&self, owner: Uuid, bytes: &[u8]) -> Result<String, StoreError>;
        fn get(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError>;
        fn share(&self, owner: Uuid, hash: &str) -> Result<(), StoreError>;
        fn owners(&self, hash: &str) -> Result<usize, StoreError>;
        fn owned(&self, owner: Uuid) -> Result<Vec<String>, StoreError>;
        fn release(&self, owner: Uuid) -> Result<usize, StoreError>;
    }
}

mock! {
    /// A mock of what all stores of one place have in common.
    pub Adapter {}

    impl Adapter for Adapter {
        fn name(&self) -> &'static str;
        fn admits_several_processes(&self) -> bool;
        fn back_up(&self, to: &Path) -> Result<(), StoreError>;
        fn compact(&self) -> Result<(), StoreError>;
        fn verify(&self) -> Result<Verified, StoreError>;
    }
}

shown_by_name!(
    MockRunStore,
    MockArchiveStore,
    MockDefinitionStore,
    MockSnapshotStore,
    MockInboxStore,
    MockBlobStore,
    MockAdapter
);
