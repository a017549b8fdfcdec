use uuid::Uuid;

use super::{
    super::{StoreError, blob_hash, blobs},
    Change, KeyValue, KeyValueStores, keys,
};
use crate::store::blocking::BlobStore;

fn references(hash: &str, owner: Uuid) -> [Vec<u8>; 2] {
    [keys::owner(hash, owner), keys::named(b'w', owner, hash.as_bytes())]
}

impl<K: KeyValue> BlobStore for KeyValueStores<K> {
    fn put(&self, owner: Uuid, bytes: &[u8]) -> Result<String, StoreError> {
        let hash = blob_hash(bytes);
        self.change(|changes| {
            if BlobStore::owners(self, &hash)? == 0 {
                changes.push((keys::hashed(b'b', &hash), Some(bytes.to_vec())));
            }
            changes.extend(references(&hash, owner).map(|key| (key, Some(Vec::new()))));
            Ok(())
        })?;
        Ok(hash)
    }

    fn get(&self, hash: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.below.get(&keys::hashed(b'b', hash))?;
        bytes.map(|bytes| blobs::checked(&self.below.location(), hash, bytes)).transpose()
    }

    fn share(&self, owner: Uuid, hash: &str) -> Result<(), StoreError> {
        self.change(|changes| {
            if BlobStore::owners(self, hash)? == 0 {
                return Err(StoreError::NoBlob { hash: hash.to_owned() });
            }
            changes.extend(references(hash, owner).map(|key| (key, Some(Vec::new()))));
            Ok(())
        })
    }

    fn owners(&self, hash: &str) -> Result<usize, StoreError> {
        Ok(self.all(keys::owners(hash))?.len())
    }

    fn owned(&self, owner: Uuid) -> Result<Vec<String>, StoreError> {
        let hash = |key: &[u8]| String::from_utf8_lossy(&key[1 + size_of::<Uuid>()..]).into_owned();
        Ok(self.all(keys::of_run(b'w', owner))?.iter().map(|(key, _)| hash(key)).collect())
    }

    fn release(&self, owner: Uuid) -> Result<usize, StoreError> {
        self.change(|changes: &mut Vec<Change>| {
            let mut forgotten = 0;
            for hash in BlobStore::owned(self, owner)? {
                if BlobStore::owners(self, &hash)? == 1 {
                    changes.push((keys::hashed(b'b', &hash), None));
                    forgotten += 1;
                }
                changes.extend(references(&hash, owner).map(|key| (key, None)));
            }
            Ok(forgotten)
        })
    }
}
