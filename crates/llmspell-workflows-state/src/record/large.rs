//! Large values, stored outside the records that contain them.

use std::sync::Arc;

use serde_json::Value;

use super::{End, Record, StoredChange, StoredValue, stored::takes_at_least};
use crate::store::blob_hash;

/// In archived runs, values with at least this estimated size, in bytes of JSON, are stored
/// outside the records.
pub const INLINE_MAX: usize = 64 << 10;

impl Record {
    /// Moves large outputs and state changes out of the record; returns each value with the hash
    /// that replaces it.
    pub fn extract_large(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut large = Vec::new();
        self.each_value(&mut |stored| {
            let stored = unmasked(stored);
            if let StoredValue::Value(value) = stored
                && takes_at_least(value, INLINE_MAX)
            {
                let bytes = value.to_string().into_bytes();
                let hash = blob_hash(&bytes);
                *stored = StoredValue::Apart(hash.clone());
                large.push((hash, bytes));
            }
        });
        large
    }

    /// Returns the hashes of the values moved out of the record.
    pub fn large_hashes(&mut self) -> Vec<String> {
        let mut hashes = Vec::new();
        self.each_value(&mut |stored| {
            if let StoredValue::Apart(hash) = unmasked(stored) {
                hashes.push(hash.clone());
            }
        });
        hashes
    }

    /// Puts the value with this hash back into the record.
    ///
    /// # Errors
    /// Returns an error if `bytes` is not JSON.
    pub fn restore_large(&mut self, hash: &str, bytes: &[u8]) -> Result<(), serde_json::Error> {
        let value = Arc::new(serde_json::from_slice::<Value>(bytes)?);
        self.each_value(&mut |stored| {
            let stored = unmasked(stored);
            if matches!(stored, StoredValue::Apart(apart) if apart == hash) {
                *stored = StoredValue::Value(value.clone());
            }
        });
        Ok(())
    }

    fn each_value(&mut self, visit: &mut impl FnMut(&mut StoredValue)) {
        self.each_stored(&mut |stored| each(stored, visit));
    }

    /// Calls `visit` with each output and each value of a state change in the record.
    pub(super) fn each_stored(&mut self, visit: &mut impl FnMut(&mut StoredValue)) {
        match self {
            Self::Ended { end: End::Completed { output, changes }, .. }
            | Self::Closed { end: End::Completed { output, changes }, .. } => {
                visit(output);
                changes.iter_mut().filter_map(StoredChange::value_mut).for_each(visit);
            }
            Self::Redefined(redefined) => {
                let changes =
                    redefined.migrated.iter_mut().flat_map(|migrated| migrated.changes.values_mut().flatten());
                changes.filter_map(StoredChange::value_mut).for_each(visit);
            }
            Self::Ended { end: End::Skipped(_) | End::Failed(_) | End::Cancelled(_), .. }
            | Self::Closed { end: End::Skipped(_) | End::Failed(_) | End::Cancelled(_), .. }
            | Self::Started(_)
            | Self::Began { .. }
            | Self::Stopped { .. }
            | Self::Stuck { .. }
            | Self::Decided { .. }
            | Self::Warned { .. }
            | Self::Asked { .. }
            | Self::Suspended { .. }
            | Self::Resumed { .. }
            | Self::Rewound(_) => {}
        }
    }
}

fn each(stored: &mut StoredValue, visit: &mut impl FnMut(&mut StoredValue)) {
    match stored {
        StoredValue::Object(fields) => fields.iter_mut().for_each(|(_, stored)| each(stored, visit)),
        StoredValue::List(items) => items.iter_mut().for_each(|stored| each(stored, visit)),
        stored => visit(stored),
    }
}

/// Returns the value itself, without the notes about its masks.
fn unmasked(stored: &mut StoredValue) -> &mut StoredValue {
    match stored {
        StoredValue::Masked(masked) => &mut masked.value,
        stored => stored,
    }
}
