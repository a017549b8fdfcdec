//! Verification of the stores.

use std::{collections::BTreeSet, ops::ControlFlow};

use uuid::Uuid;

use super::{
    super::{StoreError, Verified},
    KeyValue, KeyValueStores, Range,
};
use crate::store::blocking::{ArchiveStore, BlobStore, DefinitionStore, InboxStore, RunStore, SnapshotStore};

impl<K: KeyValue> KeyValueStores<K> {
    pub(super) fn verify_all(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        for run in self.runs_of(b'r', &mut verified) {
            if verified.add_result(RunStore::get(self, run)) {
                verified.summaries.insert(run);
            }
        }
        for run in self.runs_of(b'a', &mut verified) {
            if verified.add_result(ArchiveStore::get(self, run)) {
                verified.archived.insert(run);
            }
        }
        for hash in self.hashes_of(b'd', &mut verified) {
            verified.others += u64::from(verified.add_result(DefinitionStore::get(self, &hash)));
        }
        for hash in self.hashes_of(b'b', &mut verified) {
            verified.others += u64::from(verified.add_result(BlobStore::get(self, &hash)));
        }
        for run in self.runs_of(b's', &mut verified) {
            verified.others += u64::from(verified.add_result(SnapshotStore::list(self, run)));
        }
        for run in self.runs_of(b'm', &mut verified) {
            let mut after = 0;
            while let Some(page) = Some(InboxStore::next(self, run, after)).filter(|page| page != &Ok(Vec::new())) {
                after = page.as_ref().ok().and_then(|page| page.last()).map_or(u64::MAX, |(number, _)| *number);
                verified.others += u64::from(verified.add_result(page));
                if after == u64::MAX {
                    break;
                }
            }
        }
        Ok(verified)
    }

    /// Returns the runs named in keys of this kind.
    fn runs_of(&self, kind: u8, verified: &mut Verified) -> BTreeSet<Uuid> {
        let run = |key: &[u8]| key.get(1..1 + size_of::<Uuid>()).and_then(|bytes| Uuid::from_slice(bytes).ok());
        self.keys_of(kind, verified).iter().filter_map(|key| run(key)).collect()
    }

    fn hashes_of(&self, kind: u8, verified: &mut Verified) -> Vec<String> {
        let hash = |key: &Vec<u8>| String::from_utf8_lossy(&key[1..]).into_owned();
        self.keys_of(kind, verified).iter().map(hash).collect()
    }

    /// Returns the keys of this kind, up to the first key whose value is damaged.
    fn keys_of(&self, kind: u8, verified: &mut Verified) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let scanned = self.below.scan(&Range::of(vec![kind]), &mut |key, _| {
            keys.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        });
        verified.add_result(scanned);
        keys
    }
}
