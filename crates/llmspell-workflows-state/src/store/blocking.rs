//! Blocking versions of the store traits, for adapters that use a disk or a blocking client.
//!
//! Each trait has the same contract as the async trait of the same name in [`store`](super).
//! [`Stores::blocking`](super::Stores::blocking) runs an adapter that implements all of these
//! traits on a separate thread.

use std::{fmt, path::Path};

use uuid::Uuid;

use super::{Message, RunPage, RunQuery, RunSummary, Snapshot, StoreError, Verified};
use crate::{Record, RecordLines};

/// The blocking form of [`RunStore`](super::RunStore).
#[expect(missing_docs, reason = "each method is documented on the async trait")]
pub trait RunStore: Send + Sync + fmt::Debug {
    fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError>;
    fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError>;
    fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError>;
    fn remove_all(&self, runs: &[Uuid]) -> Result<usize, StoreError>;
}

/// The blocking form of [`ArchiveStore`](super::ArchiveStore).
#[expect(missing_docs, reason = "each method is documented on the async trait")]
pub trait ArchiveStore: Send + Sync + fmt::Debug {
    fn put_all(&self, runs: &[(Uuid, RecordLines)]) -> Result<(), StoreError>;
    fn get(&self, run: Uuid) -> Result<Option<Vec<Record>>, StoreError>;
    fn remove(&self, run: Uuid) -> Result<bool, StoreError>;
}

/// The blocking form of [`DefinitionStore`](super::DefinitionStore).
#[expect(missing_docs, reason = "each method is documented on the async trait")]
pub trait DefinitionStore: Send + Sync + fmt::Debug {
    fn put(&self, hash: &str, definition: &str) -> Result<(), StoreError>;
    fn get(&self, hash: &str) -> Result<Option<String>, StoreError>;
    fn hashes(&self) -> Result<Vec<String>, StoreError>;
    fn remove(&self, hash: &str) -> Result<bool, StoreError>;
}

/// The blocking form of [`SnapshotStore`](super::SnapshotStore).
#[expect(missing_docs, reason = "each method is documented on the async trait")]
pub trait SnapshotStore: Send + Sync + fmt::Debug {
    fn put(&self, snapshot: &Snapshot) -> Result<(), StoreError>;
    fn get(&self, run: Uuid, name: &str) -> Result<Option<Snapshot>, StoreError>;
    fn list(&self, run: Uuid) -> Result<Vec<Snapshot>, StoreError>;
    fn remove(&self, run: Uuid, name: &str) -> Result<bool, StoreError>;
    fn remove_all(&self, run: Uuid) -> Result<usize, StoreError>;
}

/// The blocking form of [`InboxStore`](super::InboxStore).
#[expect(missing_docs, reason = "each method is documented on the async trait")]
pub trait InboxStore: Send + Sync + fmt::Debug {
    fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError>;
    fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError>;
    fn remove(&self, run: Uuid) -> Result<usize, StoreError>;
}

/// The blocking form of [`BlobStore`](super::BlobStore).
#[expect(missing_docs, reason = "each method is documented on the async trait")]
pub trait BlobStore: Send + Sync + fmt::Debug {
    fn put(&self, owner: Uuid, bytes: &[u8]) -> Result<String, StoreError>;
    fn get(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError>;
    fn share(&self, owner: Uuid, hash: &str) -> Result<(), StoreError>;
    fn owners(&self, hash: &str) -> Result<usize, StoreError>;
    fn owned(&self, owner: Uuid) -> Result<Vec<String>, StoreError>;
    fn release(&self, owner: Uuid) -> Result<usize, StoreError>;
}

/// The blocking form of [`Adapter`](super::Adapter).
#[expect(missing_docs, reason = "each method is documented on the async trait")]
pub trait Adapter: Send + Sync + fmt::Debug {
    fn name(&self) -> &'static str;
    fn admits_several_processes(&self) -> bool;
    fn back_up(&self, to: &Path) -> Result<(), StoreError>;
    fn compact(&self) -> Result<(), StoreError>;
    fn verify(&self) -> Result<Verified, StoreError>;
}

/// All the traits that an adapter must implement for [`Stores`](super::Stores).
pub trait AllStores:
    RunStore + ArchiveStore + DefinitionStore + SnapshotStore + InboxStore + BlobStore + Adapter + 'static
{
}

impl<S> AllStores for S where
    S: RunStore + ArchiveStore + DefinitionStore + SnapshotStore + InboxStore + BlobStore + Adapter + 'static
{
}
