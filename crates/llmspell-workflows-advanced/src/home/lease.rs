use std::{collections::HashSet, sync::Arc};

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
    /// Returns whether the journal is intact and contains no unfinished run other than `run`.
    pub(crate) fn is_only_for(&self, run: Uuid) -> bool {
        let ended: HashSet<&Uuid> = self.ended.iter().collect();
        let is_other = |other: &Uuid| *other != run && !ended.contains(other);
        self.journal.damage().is_empty() && !self.journal.runs().iter().any(is_other)
    }

    /// Removes a run from the journal.
    pub(crate) async fn forget(&self, run: Uuid) -> Result<(), ExecutorError> {
        let epoch = self.journal.open(run).await?.epoch;
        Ok(self.journal.forget(&[(run, epoch)]).await?)
    }
}
