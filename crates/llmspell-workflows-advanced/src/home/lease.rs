use std::sync::Arc;

use llmspell_workflows_state::{Journal, JournalError, Receipt, Record, store::RunSummary};
use uuid::Uuid;

use super::JournalId;

/// A journal that this process holds until this and its clones are dropped.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Which one.
    pub id: JournalId,
    /// The journal itself.
    pub journal: Arc<dyn Journal>,
    /// The runs in it that had ended when it was leased.
    pub ended: Vec<Uuid>,
}

impl Lease {
    /// Writes all records of a run that no journal has yet.
    pub(crate) async fn take_in(&self, run: Uuid, records: &[Record]) -> Result<(), JournalError> {
        let opened = self.journal.open(run).await?;
        if !opened.records.is_empty() {
            // It was moved to the store, and has not left the journal yet; whoever moved it no longer owns it.
            return Ok(());
        }
        let mut last: Option<Receipt> = None;
        for record in records {
            last = Some(self.journal.append(run, opened.epoch, record)?);
        }
        match last {
            Some(receipt) => self.journal.sync(receipt).await,
            None => Ok(()),
        }
    }
}

/// The runs among `runs` that have ended.
pub(super) fn ended_of(runs: &[RunSummary]) -> Vec<Uuid> {
    runs.iter().filter(|run| run.status.has_ended()).map(|run| run.id).collect()
}
