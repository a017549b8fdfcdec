use std::collections::BTreeSet;

use uuid::Uuid;

use super::StoreError;

/// What was found where all that is kept was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verified {
    /// The runs that have a summary.
    pub summaries: BTreeSet<Uuid>,
    /// The runs whose records are in the archive.
    pub archived: BTreeSet<Uuid>,
    /// How many other things were read: definitions, snapshots, messages, large values.
    pub others: u64,
    /// What is not as it was written.
    pub damage: Vec<StoreError>,
}

impl Verified {
    /// Notes what came of reading one thing; whether it is as it was written.
    pub(crate) fn note<T>(&mut self, read: Result<T, StoreError>) -> bool {
        let is_whole = read.is_ok();
        self.damage.extend(read.err());
        is_whole
    }
}
