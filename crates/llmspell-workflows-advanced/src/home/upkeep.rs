//! Compaction of a home, and the reports of maintenance operations.

use llmspell_workflows_state::JournalError;

use super::{Contact, Home};
use crate::ExecutorError;

/// The result of compacting a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactionReport {
    /// The number of ended runs moved from journals to the store.
    pub archived: usize,
    /// The number of empty journals removed.
    pub journals_removed: usize,
    /// The number of journals that were left alone because running processes hold them.
    pub journals_held: usize,
}

/// Statistics about the contents of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupReport {
    /// The number of runs in journals.
    pub live: usize,
    /// The number of definitions.
    pub definitions: usize,
}

impl dyn Home {
    /// Archives the ended runs of unleased journals, removes empty journals, and frees unused space in the store.
    ///
    /// # Errors
    /// Returns an error if a journal or the store cannot be read or written.
    pub async fn compact(&self) -> Result<CompactionReport, ExecutorError> {
        let mut done = CompactionReport::default();
        for journal in self.journals().await? {
            let lease = match self.lease(&journal, Contact::None).await {
                Err(ExecutorError::Journal(JournalError::Held { .. })) => {
                    done.journals_held += 1;
                    continue;
                }
                leased => leased?,
            };
            done.archived += self.archive(&lease, &lease.ended).await?;
            lease.journal.compact(true).await?;
            done.journals_removed += usize::from(self.remove_if_empty(lease).await?);
        }
        if let Some(stores) = self.existing_stores().await? {
            stores.adapter.compact().await?;
        }
        Ok(done)
    }
}
