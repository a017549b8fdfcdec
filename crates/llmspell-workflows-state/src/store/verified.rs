use std::collections::BTreeSet;

use uuid::Uuid;

use super::StoreError;

/// The result of reading everything in the stores.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verified {
    /// The runs with a summary.
    pub summaries: BTreeSet<Uuid>,
    /// The runs with records in the archive.
    pub archived: BTreeSet<Uuid>,
    /// The number of other items: definitions, snapshots, messages, large values.
    pub others: u64,
    /// The damage found.
    pub damage: Vec<StoreError>,
}

impl Verified {
    /// Adds the result of reading one item; returns whether the item is intact.
    pub(crate) fn add_result<T>(&mut self, read: Result<T, StoreError>) -> bool {
        let is_whole = read.is_ok();
        self.damage.extend(read.err());
        is_whole
    }
}
