use std::sync::Arc;

use llmspell_workflows_state::Journal;
use uuid::Uuid;

use super::JournalId;
use crate::ExecutorError;

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
    /// Removes a run from the journal.
    pub(crate) async fn forget(&self, run: Uuid) -> Result<(), ExecutorError> {
        let epoch = self.journal.open(run).await?.epoch;
        Ok(self.journal.forget(&[(run, epoch)]).await?)
    }
}
