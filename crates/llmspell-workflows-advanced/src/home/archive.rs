//! Runs that have ended leave the journal, their large values apart from their records.

use llmspell_workflows_state::{
    JournalError, Record,
    record::NotThere,
    store::{RunSummary, StoreError, Stores},
};
use uuid::Uuid;

use super::{Claim, Home};
use crate::ExecutorError;

/// How many runs are moved at once.
const BATCH: usize = 64;

impl Home {
    /// Moves `runs`, which have ended, from the journal of `claim` to the store.
    ///
    /// The summaries first, then the records, which syncs both; only then does the journal forget them. Whatever comes
    /// between, a run is always in one of the two.
    pub(crate) async fn archive(&self, claim: &Claim, runs: &[Uuid]) -> Result<(), ExecutorError> {
        for batch in runs.chunks(BATCH) {
            let (mut epochs, mut all) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
            for run in batch {
                let opened = claim.journal.open(*run).await?;
                epochs.push((*run, opened.epoch));
                all.push((*run, opened.records));
            }
            let summaries = all.iter().filter_map(|(run, records)| RunSummary::of(*run, records, None));
            let summaries: Vec<RunSummary> = summaries.collect();
            let stores = self.stores()?;
            stores.runs.put_all(&summaries)?;
            put_all(stores, &mut all)?;
            for (run, epoch) in epochs {
                claim.journal.forget(run, epoch)?;
            }
            // Others look for them in the store from now on.
            claim.journal.write()?;
        }
        Ok(())
    }
}

/// Keeps the records of runs that have ended; what is large in them first, so that none refers to nothing.
pub(super) fn put_all(stores: &Stores, runs: &mut [(Uuid, Vec<Record>)]) -> Result<(), StoreError> {
    for (run, records) in &mut *runs {
        for record in records {
            record.set_apart(|bytes| stores.blobs.put(*run, bytes))?;
        }
    }
    let kept: Vec<(Uuid, &[Record])> = runs.iter().map(|(run, records)| (*run, &**records)).collect();
    stores.archive.put_all(&kept)
}

/// The records of a run that has ended, as they were.
pub(super) fn get(stores: &Stores, run: Uuid) -> Result<Option<Vec<Record>>, ExecutorError> {
    let Some(mut records) = stores.archive.get(run)? else { return Ok(None) };
    for record in &mut records {
        record.put_back(|hash| stores.blobs.get(hash).map_err(Missing::from)).map_err(|missing| missing.of(run))?;
    }
    Ok(Some(records))
}

/// Why a large value could not be put back.
enum Missing {
    Store(StoreError),
    NotThere(NotThere),
}

impl From<StoreError> for Missing {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NotThere> for Missing {
    fn from(error: NotThere) -> Self {
        Self::NotThere(error)
    }
}

impl Missing {
    fn of(self, run: Uuid) -> ExecutorError {
        match self {
            Self::Store(error) => error.into(),
            Self::NotThere(error) => JournalError::Damaged { run, message: error.to_string() }.into(),
        }
    }
}
