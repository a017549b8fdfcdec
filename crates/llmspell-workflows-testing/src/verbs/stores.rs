use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use llmspell_workflows_advanced::Home;
use llmspell_workflows_state::{
    Record, RecordLines,
    store::{
        Adapter, ArchiveStore, BlobStore, DefinitionStore, InboxStore, Message, RunPage, RunQuery, RunStore,
        RunSummary, Snapshot, SnapshotStore, StoreError, Stores, Verified,
    },
};
use uuid::Uuid;

use super::gate::Gate;

/// Wraps `stores` for a process that may crash.
pub(super) fn crashing(stores: Stores, gate: Gate) -> Stores {
    Stores::all(Arc::new(CrashingStores { inner: stores, gate }))
}

/// Stores in which each change is between two boundaries.
#[derive(Debug)]
struct CrashingStores {
    inner: Stores,
    gate: Gate,
}

#[async_trait]
impl RunStore for CrashingStores {
    async fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError> {
        self.gate.around("put summaries", self.inner.runs.put_all(runs)).await
    }

    async fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError> {
        self.inner.runs.get(run).await
    }

    async fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError> {
        self.inner.runs.list(query).await
    }

    async fn remove_all(&self, runs: &[Uuid]) -> Result<usize, StoreError> {
        self.gate.around("remove summaries", self.inner.runs.remove_all(runs)).await
    }
}

#[async_trait]
impl ArchiveStore for CrashingStores {
    async fn put_all(&self, runs: Vec<(Uuid, RecordLines)>) -> Result<(), StoreError> {
        self.gate.around("put into the archive", self.inner.archive.put_all(runs)).await
    }

    async fn get(&self, run: Uuid) -> Result<Option<Vec<Record>>, StoreError> {
        self.inner.archive.get(run).await
    }

    async fn remove(&self, run: Uuid) -> Result<bool, StoreError> {
        self.gate.around("remove from the archive", self.inner.archive.remove(run)).await
    }
}

#[async_trait]
impl DefinitionStore for CrashingStores {
    async fn put(&self, hash: &str, definition: &str) -> Result<(), StoreError> {
        self.gate.around("put a definition", self.inner.definitions.put(hash, definition)).await
    }

    async fn get(&self, hash: &str) -> Result<Option<String>, StoreError> {
        self.inner.definitions.get(hash).await
    }

    async fn hashes(&self) -> Result<Vec<String>, StoreError> {
        self.inner.definitions.hashes().await
    }

    async fn remove(&self, hash: &str) -> Result<bool, StoreError> {
        self.gate.around("remove a definition", self.inner.definitions.remove(hash)).await
    }
}

#[async_trait]
impl SnapshotStore for CrashingStores {
    async fn put(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.gate.around("put a checkpoint", self.inner.snapshots.put(snapshot)).await
    }

    async fn get(&self, run: Uuid, name: &str) -> Result<Option<Snapshot>, StoreError> {
        self.inner.snapshots.get(run, name).await
    }

    async fn list(&self, run: Uuid) -> Result<Vec<Snapshot>, StoreError> {
        self.inner.snapshots.list(run).await
    }

    async fn remove(&self, run: Uuid, name: &str) -> Result<bool, StoreError> {
        self.gate.around("remove a checkpoint", self.inner.snapshots.remove(run, name)).await
    }

    async fn remove_all(&self, run: Uuid) -> Result<usize, StoreError> {
        self.gate.around("remove checkpoints", self.inner.snapshots.remove_all(run)).await
    }
}

#[async_trait]
impl InboxStore for CrashingStores {
    async fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError> {
        self.gate.around("post", self.inner.inbox.post(run, message_id, message)).await
    }

    async fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError> {
        self.inner.inbox.next(run, after).await
    }

    async fn remove(&self, run: Uuid) -> Result<usize, StoreError> {
        self.gate.around("remove messages", self.inner.inbox.remove(run)).await
    }
}

#[async_trait]
impl BlobStore for CrashingStores {
    async fn put(&self, owner: Uuid, bytes: Vec<u8>) -> Result<String, StoreError> {
        self.gate.around("put a large value", self.inner.blobs.put(owner, bytes)).await
    }

    async fn get(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.blobs.get(hash).await
    }

    async fn share(&self, owner: Uuid, hash: &str) -> Result<(), StoreError> {
        self.gate.around("share a large value", self.inner.blobs.share(owner, hash)).await
    }

    async fn owners(&self, hash: &str) -> Result<usize, StoreError> {
        self.inner.blobs.owners(hash).await
    }

    async fn owned(&self, owner: Uuid) -> Result<Vec<String>, StoreError> {
        self.inner.blobs.owned(owner).await
    }

    async fn release(&self, owner: Uuid) -> Result<usize, StoreError> {
        self.gate.around("release large values", self.inner.blobs.release(owner)).await
    }
}

#[async_trait]
impl Adapter for CrashingStores {
    fn name(&self) -> &'static str {
        self.inner.adapter.name()
    }

    fn admits_several_processes(&self) -> bool {
        self.inner.adapter.admits_several_processes()
    }

    async fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        self.gate.around("back up the stores", self.inner.adapter.back_up(to)).await
    }

    async fn compact(&self) -> Result<(), StoreError> {
        self.gate.around("compact the stores", self.inner.adapter.compact()).await
    }

    async fn verify(&self) -> Result<Verified, StoreError> {
        self.inner.adapter.verify().await
    }
}

/// The definitions of a home, in which each change is between two boundaries.
#[derive(Debug)]
pub(super) struct CrashingDefinitions {
    pub(super) home: Arc<dyn Home>,
    pub(super) gate: Gate,
}

#[async_trait]
impl DefinitionStore for CrashingDefinitions {
    async fn put(&self, hash: &str, definition: &str) -> Result<(), StoreError> {
        self.gate.around("put a definition", self.home.definitions().put(hash, definition)).await
    }

    async fn get(&self, hash: &str) -> Result<Option<String>, StoreError> {
        self.home.definitions().get(hash).await
    }

    async fn hashes(&self) -> Result<Vec<String>, StoreError> {
        self.home.definitions().hashes().await
    }

    async fn remove(&self, hash: &str) -> Result<bool, StoreError> {
        self.gate.around("remove a definition", self.home.definitions().remove(hash)).await
    }
}
