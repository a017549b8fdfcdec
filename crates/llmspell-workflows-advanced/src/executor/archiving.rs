//! Moves ended runs from the journal to the store in the background, once there are many of them.

use std::sync::Arc;

use llmspell_workflows_basic::targets;
use uuid::Uuid;

use super::Inner;
use crate::{ExecutorError, home::JournalId};

/// Ended runs are moved to the store once a journal contains this many of them.
const ENDED_MAX: usize = 32;

/// The maximum threshold after failed moves.
const RETRY_MAX: usize = 4_096;

/// The ended runs of a journal that have not been archived yet.
#[derive(Debug)]
pub(super) struct EndedRuns {
    pub(super) runs: Vec<Uuid>,
    /// The number of runs that triggers a move. It doubles after each failure, so that a broken store is retried less
    /// often.
    threshold: usize,
}

impl Default for EndedRuns {
    fn default() -> Self {
        Self { runs: Vec::new(), threshold: ENDED_MAX }
    }
}

impl Inner {
    /// Starts to move the ended runs of `journal` to the store if their number has reached the threshold.
    pub(super) fn archive_ended(self: &Arc<Self>, journal: &JournalId) {
        let ended = {
            let mut runs = self.registry.runs();
            let Some(ended) = runs.ended.get_mut(journal).filter(|ended| ended.runs.len() >= ended.threshold) else {
                return;
            };
            std::mem::take(&mut ended.runs)
        };
        let (inner, journal) = (self.clone(), journal.clone());
        tokio::spawn(async move {
            let _archiving = inner.archiving.lock().await;
            let moved = inner.archive(&journal, &ended).await;
            let mut runs = inner.registry.runs();
            let remaining = runs.ended.entry(journal).or_default();
            match moved {
                Ok(()) => remaining.threshold = ENDED_MAX,
                Err(error) => {
                    tracing::warn!(target: targets::JOURNAL, %error, "cannot archive ended runs; kept in the journal");
                    remaining.runs.extend(ended);
                    remaining.threshold =
                        (remaining.runs.len() * 2).clamp(ENDED_MAX, RETRY_MAX.max(remaining.runs.len() + 1));
                }
            }
        });
    }

    async fn archive(self: &Arc<Self>, journal: &JournalId, ended: &[Uuid]) -> Result<(), ExecutorError> {
        let Some(first) = ended.first() else { return Ok(()) };
        let lease = self.lease_of(*first, journal).await?;
        self.home.archive(&lease, ended).await
    }
}
