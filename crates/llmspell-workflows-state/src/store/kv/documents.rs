//! Stores of whole documents, looked up by key.

use uuid::Uuid;

use super::{
    super::{Snapshot, StoreError, archive, seal, snapshots},
    KeyValue, KeyValueStores, keys,
};
use crate::store::blocking::{ArchiveStore, DefinitionStore, SnapshotStore};
use crate::{Record, record::RecordLines};

impl<K: KeyValue> ArchiveStore for KeyValueStores<K> {
    fn put_all(&self, runs: &[(Uuid, RecordLines)]) -> Result<(), StoreError> {
        self.change(|changes| {
            let entry =
                |(run, records): &(Uuid, RecordLines)| (keys::of_run(b'a', *run), Some(archive::encode(*run, records)));
            changes.extend(runs.iter().map(entry));
            Ok(())
        })
    }

    fn get(&self, run: Uuid) -> Result<Option<Vec<Record>>, StoreError> {
        let bytes = self.below.get(&keys::of_run(b'a', run))?;
        bytes.map(|bytes| archive::decode(&self.below.location(), run, &bytes)).transpose()
    }

    fn remove(&self, run: Uuid) -> Result<bool, StoreError> {
        self.remove_key(keys::of_run(b'a', run))
    }
}

impl<K: KeyValue> DefinitionStore for KeyValueStores<K> {
    fn put(&self, hash: &str, definition: &str) -> Result<(), StoreError> {
        let key = keys::hashed(b'd', hash);
        self.change(|changes| {
            if self.below.get(&key)?.is_none() {
                let sealed = seal::seal(&key, definition.as_bytes());
                changes.push((key, Some(sealed)));
            }
            Ok(())
        })
    }

    fn get(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let key = keys::hashed(b'd', hash);
        let location = || format!("the definition {hash} in {}", self.below.location());
        self.below.get(&key)?.map(|bytes| seal::open_text(&location(), &key, &bytes)).transpose()
    }

    fn hashes(&self) -> Result<Vec<String>, StoreError> {
        let hash = |key: &[u8]| String::from_utf8_lossy(&key[1..]).into_owned();
        Ok(self.all(vec![b'd'])?.iter().map(|(key, _)| hash(key)).collect())
    }

    fn remove(&self, hash: &str) -> Result<bool, StoreError> {
        self.remove_key(keys::hashed(b'd', hash))
    }
}

impl<K: KeyValue> KeyValueStores<K> {
    fn snapshot(&self, run: Uuid, key: &[u8], bytes: &[u8]) -> Result<Snapshot, StoreError> {
        seal::open_json(&format!("a snapshot of run {run} in {}", self.below.location()), key, bytes)
    }
}

impl<K: KeyValue> SnapshotStore for KeyValueStores<K> {
    fn put(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.change(|changes| {
            let key = keys::named(b's', snapshot.run, snapshot.name.as_bytes());
            let sealed = seal::seal_json(&key, snapshot);
            changes.push((key, Some(sealed)));
            Ok(())
        })
    }

    fn get(&self, run: Uuid, name: &str) -> Result<Option<Snapshot>, StoreError> {
        let key = keys::named(b's', run, name.as_bytes());
        self.below.get(&key)?.map(|bytes| self.snapshot(run, &key, &bytes)).transpose()
    }

    fn list(&self, run: Uuid) -> Result<Vec<Snapshot>, StoreError> {
        let found = self.all(keys::of_run(b's', run))?;
        let mut list: Vec<_> =
            found.iter().map(|(key, bytes)| self.snapshot(run, key, bytes)).collect::<Result<_, _>>()?;
        snapshots::sort(&mut list);
        Ok(list)
    }

    fn remove(&self, run: Uuid, name: &str) -> Result<bool, StoreError> {
        self.remove_key(keys::named(b's', run, name.as_bytes()))
    }

    fn remove_all(&self, run: Uuid) -> Result<usize, StoreError> {
        self.change(|changes| {
            changes.extend(self.all(keys::of_run(b's', run))?.into_iter().map(|(key, _)| (key, None)));
            Ok(changes.len())
        })
    }
}
