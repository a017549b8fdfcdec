//! Implements the async store traits with blocking stores.

use std::{
    any::Any,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread::{Builder, JoinHandle},
};

use async_trait::async_trait;
use llmspell_workflows_basic::sync::lock;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    Adapter, ArchiveStore, BlobStore, DefinitionStore, InboxStore, Message, RunPage, RunQuery, RunStore, RunSummary,
    Snapshot, SnapshotStore, StoreError, Verified,
    blocking::{self, AllStores},
};
use crate::{Record, RecordLines};

type Job<S> = Box<dyn FnOnce(&S) + Send>;

/// Blocking stores, called from a runtime: each call waits for the stores' thread without blocking the caller's thread.
///
/// Calls are served in order. Dropping the worker serves the queued calls and closes the stores, which blocks on the
/// disk.
pub(crate) struct Worker<S> {
    store: Arc<S>,
    /// `None` for stores that never wait for a disk: they are called directly.
    thread: Option<Thread<S>>,
}

struct Thread<S> {
    jobs: Mutex<mpsc::Sender<Job<S>>>,
    handle: JoinHandle<()>,
}

impl<S: AllStores> Worker<S> {
    pub(crate) fn start(store: S) -> io::Result<Self> {
        let store = Arc::new(store);
        let (jobs, queued) = mpsc::channel::<Job<S>>();
        let store_ref = store.clone();
        let handle = Builder::new().name("spellflow-store".to_owned()).spawn(move || {
            while let Ok(job) = queued.recv() {
                job(&store_ref);
            }
        })?;
        Ok(Self { store, thread: Some(Thread { jobs: Mutex::new(jobs), handle }) })
    }

    /// Wraps in-memory stores, which need no thread.
    pub(crate) fn in_memory(store: S) -> Self {
        Self { store: Arc::new(store), thread: None }
    }

    /// Runs `work` on the stores' thread; if it panics, the panic resumes in the caller.
    async fn call<T: Send + 'static>(&self, work: impl FnOnce(&S) -> T + Send + 'static) -> T {
        let Some(thread) = &self.thread else { return work(&self.store) };
        let (answer, answered) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
        let job: Job<S> = Box::new(move |store| {
            // The receiver may have stopped waiting.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(|| work(store))));
        });
        let sent = lock(&thread.jobs).send(job);
        assert!(sent.is_ok(), "the thread runs as long as the worker exists");
        match answered.await.expect("the thread answers every job") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        if let Some(Thread { jobs, handle }) = self.thread.take() {
            drop(jobs);
            // A panic in a job was passed to its caller.
            let _ = handle.join();
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl<S: AllStores> RunStore for Worker<S> {
    async fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError> {
        let runs = runs.to_vec();
        self.call(move |store| blocking::RunStore::put_all(store, &runs)).await
    }

    async fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError> {
        self.call(move |store| blocking::RunStore::get(store, run)).await
    }

    async fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError> {
        let query = query.clone();
        self.call(move |store| blocking::RunStore::list(store, &query)).await
    }

    async fn remove_all(&self, runs: &[Uuid]) -> Result<usize, StoreError> {
        let runs = runs.to_vec();
        self.call(move |store| blocking::RunStore::remove_all(store, &runs)).await
    }
}

#[async_trait]
impl<S: AllStores> ArchiveStore for Worker<S> {
    async fn put_all(&self, runs: Vec<(Uuid, RecordLines)>) -> Result<(), StoreError> {
        self.call(move |store| blocking::ArchiveStore::put_all(store, &runs)).await
    }

    async fn get(&self, run: Uuid) -> Result<Option<Vec<Record>>, StoreError> {
        self.call(move |store| blocking::ArchiveStore::get(store, run)).await
    }

    async fn remove(&self, run: Uuid) -> Result<bool, StoreError> {
        self.call(move |store| blocking::ArchiveStore::remove(store, run)).await
    }
}

#[async_trait]
impl<S: AllStores> DefinitionStore for Worker<S> {
    async fn put(&self, hash: &str, definition: &str) -> Result<(), StoreError> {
        let (hash, definition) = (hash.to_owned(), definition.to_owned());
        self.call(move |store| blocking::DefinitionStore::put(store, &hash, &definition)).await
    }

    async fn get(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let hash = hash.to_owned();
        self.call(move |store| blocking::DefinitionStore::get(store, &hash)).await
    }

    async fn hashes(&self) -> Result<Vec<String>, StoreError> {
        self.call(|store| blocking::DefinitionStore::hashes(store)).await
    }

    async fn remove(&self, hash: &str) -> Result<bool, StoreError> {
        let hash = hash.to_owned();
        self.call(move |store| blocking::DefinitionStore::remove(store, &hash)).await
    }
}

#[async_trait]
impl<S: AllStores> SnapshotStore for Worker<S> {
    async fn put(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let snapshot = snapshot.clone();
        self.call(move |store| blocking::SnapshotStore::put(store, &snapshot)).await
    }

    async fn get(&self, run: Uuid, name: &str) -> Result<Option<Snapshot>, StoreError> {
        let name = name.to_owned();
        self.call(move |store| blocking::SnapshotStore::get(store, run, &name)).await
    }

    async fn list(&self, run: Uuid) -> Result<Vec<Snapshot>, StoreError> {
        self.call(move |store| blocking::SnapshotStore::list(store, run)).await
    }

    async fn remove(&self, run: Uuid, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.call(move |store| blocking::SnapshotStore::remove(store, run, &name)).await
    }

    async fn remove_all(&self, run: Uuid) -> Result<usize, StoreError> {
        self.call(move |store| blocking::SnapshotStore::remove_all(store, run)).await
    }
}

#[async_trait]
impl<S: AllStores> InboxStore for Worker<S> {
    async fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError> {
        let (message_id, message) = (message_id.to_owned(), message.clone());
        self.call(move |store| blocking::InboxStore::post(store, run, &message_id, &message)).await
    }

    async fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError> {
        self.call(move |store| blocking::InboxStore::next(store, run, after)).await
    }

    async fn remove(&self, run: Uuid) -> Result<usize, StoreError> {
        self.call(move |store| blocking::InboxStore::remove(store, run)).await
    }
}

#[async_trait]
impl<S: AllStores> BlobStore for Worker<S> {
    async fn put(&self, owner: Uuid, bytes: Vec<u8>) -> Result<String, StoreError> {
        self.call(move |store| blocking::BlobStore::put(store, owner, &bytes)).await
    }

    async fn get(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let hash = hash.to_owned();
        self.call(move |store| blocking::BlobStore::get(store, &hash)).await
    }

    async fn share(&self, owner: Uuid, hash: &str) -> Result<(), StoreError> {
        let hash = hash.to_owned();
        self.call(move |store| blocking::BlobStore::share(store, owner, &hash)).await
    }

    async fn owners(&self, hash: &str) -> Result<usize, StoreError> {
        let hash = hash.to_owned();
        self.call(move |store| blocking::BlobStore::owners(store, &hash)).await
    }

    async fn owned(&self, owner: Uuid) -> Result<Vec<String>, StoreError> {
        self.call(move |store| blocking::BlobStore::owned(store, owner)).await
    }

    async fn release(&self, owner: Uuid) -> Result<usize, StoreError> {
        self.call(move |store| blocking::BlobStore::release(store, owner)).await
    }
}

#[async_trait]
impl<S: AllStores> Adapter for Worker<S> {
    fn name(&self) -> &'static str {
        blocking::Adapter::name(&*self.store)
    }

    fn admits_several_processes(&self) -> bool {
        blocking::Adapter::admits_several_processes(&*self.store)
    }

    async fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_owned();
        self.call(move |store| blocking::Adapter::back_up(store, &to)).await
    }

    async fn compact(&self) -> Result<(), StoreError> {
        self.call(|store| blocking::Adapter::compact(store)).await
    }

    async fn verify(&self) -> Result<Verified, StoreError> {
        self.call(|store| blocking::Adapter::verify(store)).await
    }
}
