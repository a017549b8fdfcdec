//! A home is kept small.

use llmspell_workflows_state::JournalError;

use super::{Contact, Home};
use crate::ExecutorError;

/// What was done to keep a home small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// How many runs that have ended were moved from journals to the store.
    pub archived: usize,
    /// How many empty journals were removed.
    pub journals_removed: usize,
    /// How many journals were left as they are, since a running process holds them.
    pub journals_held: usize,
}

/// What is in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackedUp {
    /// How many runs were in a journal.
    pub live: usize,
    /// How many definitions there are.
    pub definitions: usize,
}

impl dyn Home {
    /// Moves runs that have ended out of the journals that no process holds, removes those that are empty then, and
    /// gives room in the store back to the system.
    ///
    /// # Errors
    /// A journal or the store cannot be read or written.
    pub async fn compact(&self) -> Result<Compacted, ExecutorError> {
        let mut done = Compacted::default();
        for journal in self.journals().await? {
            let lease = match self.lease(&journal, Contact::None).await {
                Err(ExecutorError::Journal(JournalError::Held { .. })) => {
                    done.journals_held += 1;
                    continue;
                }
                leased => leased?,
            };
            self.archive(&lease, &lease.ended).await?;
            done.archived += lease.ended.len();
            done.journals_removed += usize::from(self.remove_if_empty(lease).await?);
        }
        if let Some(stores) = self.existing_stores().await? {
            stores.adapter.compact().await?;
        }
        Ok(done)
    }
}
