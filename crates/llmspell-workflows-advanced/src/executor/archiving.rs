//! Runs that have ended are moved from the journal to the store, in the background, once there are many.

use std::sync::Arc;

use uuid::Uuid;

use super::Inner;
use crate::{ExecutorError, home::JournalId};

/// How many runs that have ended stay in a journal before they are moved to the store.
const ENDED_MAX: usize = 32;

/// How many may pile up at most before a failed move is tried again.
const RETRY_MAX: usize = 4_096;

/// The runs of one journal that have ended and are not archived yet.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) runs: Vec<Uuid>,
    /// From how many on they are moved; doubled each time that fails, so that a broken store is not asked all the time.
    moved_from: usize,
}

impl Default for Ended {
    fn default() -> Self {
        Self { runs: Vec::new(), moved_from: ENDED_MAX }
    }
}

impl Inner {
    /// Starts to move the runs of `journal` that have ended, if there are many.
    pub(super) fn archive_ended(self: &Arc<Self>, journal: &JournalId) {
        let ended = {
            let mut runs = self.registry.runs();
            let Some(ended) = runs.ended.get_mut(journal).filter(|ended| ended.runs.len() >= ended.moved_from) else {
                return;
            };
            std::mem::take(&mut ended.runs)
        };
        let (inner, journal) = (self.clone(), journal.clone());
        tokio::spawn(async move {
            let _archiving = inner.archiving.lock().await;
            let moved = inner.archive(&journal, &ended).await;
            let mut runs = inner.registry.runs();
            let kept = runs.ended.entry(journal).or_default();
            match moved {
                Ok(()) => kept.moved_from = ENDED_MAX,
                Err(error) => {
                    tracing::warn!(target: "spellflow", %error, "runs that have ended stay in the journal for now");
                    kept.runs.extend(ended);
                    kept.moved_from = (kept.runs.len() * 2).clamp(ENDED_MAX, RETRY_MAX.max(kept.runs.len() + 1));
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
