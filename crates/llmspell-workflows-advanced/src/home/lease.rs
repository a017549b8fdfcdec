use std::sync::Arc;

use llmspell_workflows_state::{Journal, JournalError, Receipt, Record, store::RunSummary};
use uuid::Uuid;

use super::JournalId;

/// A lease on a journal, held until this lease and all its clones are dropped.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The id of the journal.
    pub id: JournalId,
    /// The journal itself.
    pub journal: Arc<dyn Journal>,
    /// The runs in the journal that had already ended when the lease began.
    pub ended: Vec<Uuid>,
}

impl Lease {
    /// Writes all records of a run that is not in the journal yet.
    pub(crate) async fn import(&self, run: Uuid, records: &[Record]) -> Result<(), JournalError> {
        let opened = self.journal.open(run).await?;
        if !opened.records.is_empty() {
            // The run was archived but has not been removed from the journal, and its former owner has released it.
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

/// Returns the ids of the ended runs.
pub(super) fn ended_of(runs: &[RunSummary]) -> Vec<Uuid> {
    runs.iter().filter(|run| run.status.has_ended()).map(|run| run.id).collect()
}
