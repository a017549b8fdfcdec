//! Runs that have ended leave the journal.

use llmspell_workflows_state::{Record, store::RunSummary};
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
            let mut opened = Vec::with_capacity(batch.len());
            for run in batch {
                opened.push((*run, claim.journal.open(*run).await?));
            }
            let summary = |(run, records): (Uuid, &[Record])| RunSummary::of(run, records, None);
            let all: Vec<(Uuid, &[Record])> = opened.iter().map(|(run, opened)| (*run, &*opened.records)).collect();
            let summaries: Vec<RunSummary> = all.iter().copied().filter_map(summary).collect();
            let stores = self.stores()?;
            stores.runs.put_all(&summaries)?;
            stores.archive.put_all(&all)?;
            for (run, opened) in &opened {
                claim.journal.forget(*run, opened.epoch)?;
            }
        }
        Ok(())
    }
}
