use std::sync::Arc;

use llmspell_workflows_state::Journal;
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
