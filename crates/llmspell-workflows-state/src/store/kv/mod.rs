//! Implements all stores on an ordered key-value store, so an adapter has little to implement.

mod blobs;
mod documents;
mod inbox;
mod keys;
mod runs;
mod upkeep;

use std::{
    fmt,
    ops::ControlFlow,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{StoreError, Verified};
use crate::store::blocking::Adapter;

/// An ordered key-value store in one process.
pub(crate) trait KeyValue: Send + Sync + fmt::Debug + 'static {
    /// Returns the adapter's name.
    fn name(&self) -> &'static str;

    /// Returns the store's location, for errors.
    fn location(&self) -> String;

    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the keys of a range with their values, until `visit` breaks.
    fn scan(&self, range: &Range, visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Applies all of the changes or none, and makes them visible to all readers. Returns the
    /// number to pass to [`Self::sync`].
    fn write(&self, changes: Vec<Change>) -> Result<u64, StoreError>;

    /// Blocks until this write and all earlier writes survive a power loss.
    fn sync(&self, write: u64) -> Result<(), StoreError>;

    /// Copies everything to a store of the same kind that does not exist yet; the copy survives a power loss.
    fn copy_to(&self, to: &Path) -> Result<(), StoreError>;
}

/// Copies everything from `from` to `to`, which is empty.
#[cfg(any(feature = "fjall", feature = "sled"))]
pub(crate) fn copy(from: &dyn KeyValue, to: &dyn KeyValue) -> Result<(), StoreError> {
    /// The size of a write, in bytes.
    const BATCH: usize = 1 << 20;
    let (mut changes, mut bytes, mut last) = (Vec::<Change>::new(), 0, 0);
    from.scan(&Range { from: Vec::new(), to: vec![u8::MAX], backward: false }, &mut |key, value| {
        bytes += key.len() + value.len();
        changes.push((key.to_vec(), Some(value.to_vec())));
        if bytes >= BATCH {
            last = to.write(std::mem::take(&mut changes))?;
            bytes = 0;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if !changes.is_empty() {
        last = to.write(changes)?;
    }
    to.sync(last)
}

/// The visitor of a scan.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError> + 'a;

/// The keys from `from` (inclusive) to `to` (exclusive).
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
    /// Whether to return the keys in descending order.
    pub(crate) backward: bool,
}

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// A key and its new value; `None` removes it.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// The stores on `K`.
#[derive(Debug)]
pub(crate) struct KeyValueStores<K> {
    below: K,
    /// Locked while a change is computed and written, and released before waiting for its sync.
    writing: Mutex<()>,
}

impl<K: KeyValue> KeyValueStores<K> {
    pub(crate) fn new(below: K) -> Self {
        Self { below, writing: Mutex::new(()) }
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Computes changes from the current content, then writes and syncs them.
    fn change<T>(&self, changes: impl FnOnce(&mut Vec<Change>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (write, answer) = {
            let _writing = self.writing();
            let mut list = Vec::new();
            let answer = changes(&mut list)?;
            (self.below.write(list)?, answer)
        };
        self.below.sync(write)?;
        Ok(answer)
    }

    /// Removes a key; returns whether it existed.
    fn remove_key(&self, key: Vec<u8>) -> Result<bool, StoreError> {
        self.change(|changes| {
            let was_there = self.below.get(&key)?.is_some();
            changes.extend(was_there.then_some((key, None)));
            Ok(was_there)
        })
    }

    /// Returns all keys that begin with `prefix`, with their values.
    fn all(&self, prefix: Vec<u8>) -> Result<Vec<Pair>, StoreError> {
        let mut found = Vec::new();
        self.below.scan(&Range::of(prefix), &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }
}

impl<K: KeyValue> Adapter for KeyValueStores<K> {
    fn name(&self) -> &'static str {
        self.below.name()
    }

    fn admits_several_processes(&self) -> bool {
        false
    }

    fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        // Writes are blocked during the copy so that the copy is consistent.
        let _writing = self.writing();
        self.below.copy_to(to)
    }

    fn compact(&self) -> Result<(), StoreError> {
        // The engines compact their data by themselves.
        Ok(())
    }

    fn verify(&self) -> Result<Verified, StoreError> {
        self.verify_all()
    }
}

impl Range {
    /// Returns the range of all keys that begin with `prefix`, in ascending order.
    pub(crate) fn of(prefix: Vec<u8>) -> Self {
        let to = keys::after(prefix.clone());
        Self { from: prefix, to, backward: false }
    }
}
