//! Large values apart from the records that hold them.

use std::sync::Arc;

use serde_json::Value;

use super::{End, Kept, KeptChange, Record, kept::takes_at_least};
use crate::store::blob_hash;

/// How many bytes of JSON or so a value takes at least that is kept apart from the records of a run that has ended.
pub const INLINE_MAX: usize = 64 << 10;

impl Record {
    /// Takes large outputs and changes of the state out of the record: each with the hash that stands for it now.
    pub fn set_apart(&mut self) -> Vec<(String, Vec<u8>)> {
        let mut apart = Vec::new();
        self.each_kept(&mut |kept| {
            if let Kept::Value(value) = kept
                && takes_at_least(value, INLINE_MAX)
            {
                let bytes = value.to_string().into_bytes();
                let hash = blob_hash(&bytes);
                *kept = Kept::Apart(hash.clone());
                apart.push((hash, bytes));
            }
        });
        apart
    }

    /// The hashes of the values that were taken out of it.
    pub fn apart(&mut self) -> Vec<String> {
        let mut hashes = Vec::new();
        self.each_kept(&mut |kept| {
            if let Kept::Apart(hash) = kept {
                hashes.push(hash.clone());
            }
        });
        hashes
    }

    /// Puts back the value with this hash.
    ///
    /// # Errors
    /// `bytes` is not JSON.
    pub fn put_back(&mut self, hash: &str, bytes: &[u8]) -> Result<(), serde_json::Error> {
        let value = Arc::new(serde_json::from_slice::<Value>(bytes)?);
        self.each_kept(&mut |kept| {
            if matches!(kept, Kept::Apart(apart) if apart == hash) {
                *kept = Kept::Value(value.clone());
            }
        });
        Ok(())
    }

    fn each_kept(&mut self, visit: &mut impl FnMut(&mut Kept)) {
        match self {
            Self::Ended { end: End::Completed { output, changes }, .. }
            | Self::Closed { end: End::Completed { output, changes }, .. } => {
                each(output, visit);
                changes.iter_mut().filter_map(KeptChange::kept_mut).for_each(|kept| each(kept, visit));
            }
            Self::Redefined(redefined) => {
                let changes =
                    redefined.migrated.iter_mut().flat_map(|migrated| migrated.changes.values_mut().flatten());
                changes.filter_map(KeptChange::kept_mut).for_each(|kept| each(kept, visit));
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

fn each(kept: &mut Kept, visit: &mut impl FnMut(&mut Kept)) {
    match kept {
        Kept::Object(fields) => fields.iter_mut().for_each(|(_, kept)| each(kept, visit)),
        Kept::List(items) => items.iter_mut().for_each(|kept| each(kept, visit)),
        kept => visit(kept),
    }
}
