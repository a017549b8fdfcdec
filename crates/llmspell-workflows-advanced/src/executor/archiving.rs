//! Moves ended runs from the journal to the store in the background, once enough have accumulated.

use std::sync::{Arc, Weak};

use llmspell_workflows_basic::targets;
use uuid::Uuid;

use super::{Executor, Inner};
use crate::{ExecutorError, home::JournalId};

/// The number of ended runs in a journal at which they are moved to the store.
const ENDED_MAX: usize = 32;

/// The maximum to which the threshold can grow after failed moves.
const RETRY_MAX: usize = 4_096;

/// The number of ended runs in a journal above which new runs wait for the store to catch up.
const BACKLOG_MAX: usize = 4_096;

/// The ended runs of a journal that have not been archived yet.
#[derive(Debug)]
pub(super) struct EndedRuns {
    pub(super) runs: Vec<Uuid>,
    /// The number of runs that triggers a move. The number doubles after each failure, so that a
    /// broken store is retried less often.
    threshold: usize,
    /// Whether a task is moving runs.
    is_moving: bool,
}

impl Default for EndedRuns {
    fn default() -> Self {
        Self { runs: Vec::new(), threshold: ENDED_MAX, is_moving: false }
    }
}

impl EndedRuns {
    /// Returns the runs to move, if there are enough of them.
    fn take_due(&mut self) -> Option<Vec<Uuid>> {
        (self.runs.len() >= self.threshold).then(|| std::mem::take(&mut self.runs))
    }
}

/// The task that moves the ended runs of a journal. Another task can start once this one is
/// dropped.
struct Moving {
    inner: Weak<Inner>,
    journal: JournalId,
}

impl Drop for Moving {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        if let Some(ended) = inner.registry.runs().ended.get_mut(&self.journal) {
            ended.is_moving = false;
        }
    }
}

impl Executor {
    /// Waits until the current moves of ended runs from a journal to the store have finished.
    ///
    /// A process that exits earlier loses nothing, but the next process must read the runs again.
    pub async fn wait_until_archived(&self) {
        while self.inner.registry.runs().ended.values().any(|ended| ended.is_moving) {
            self.inner.wait_for_move().await;
        }
    }
}

impl Inner {
    /// Starts moving the ended runs of `journal` to the store if there are enough of them and no task is moving them
    /// yet.
    pub(super) fn archive_ended(self: &Arc<Self>, journal: &JournalId) {
        let due = {
            let mut runs = self.registry.runs();
            let Some(ended) = runs.ended.get_mut(journal).filter(|ended| !ended.is_moving) else { return };
            let due = ended.take_due();
            ended.is_moving = due.is_some();
            due
        };
        if let Some(due) = due {
            let moving = Moving { inner: Arc::downgrade(self), journal: journal.clone() };
            tokio::spawn(self.clone().move_ended(moving, due));
        }
    }

    /// Moves `due` and then the runs that ended in the meantime. The faster runs end, the larger
    /// each move is.
    async fn move_ended(self: Arc<Self>, moving: Moving, mut due: Vec<Uuid>) {
        loop {
            // This lock is held until runs that failed to move are back in the list, so that a retry can
            // remove its run from the list.
            let _archiving = self.archiving.lock().await;
            let moved = self.archive(&moving.journal, &due).await;
            let mut runs = self.registry.runs();
            let ended = runs.ended.entry(moving.journal.clone()).or_default();
            match moved {
                Ok(()) => ended.threshold = ENDED_MAX,
                Err(error) => {
                    tracing::warn!(
                        target: targets::JOURNAL,
                        %error,
                        "cannot archive ended runs; they stay in the journal"
                    );
                    ended.runs.extend(due);
                    ended.threshold = (ended.runs.len() * 2).clamp(ENDED_MAX, RETRY_MAX.max(ended.runs.len() + 1));
                    return;
                }
            }
            let Some(more) = ended.take_due() else { return };
            due = more;
        }
    }

    /// Waits while too many ended runs of `journal` have not yet been moved to the store.
    pub(super) async fn wait_for_archive(&self, journal: &JournalId) {
        let is_behind = || {
            let runs = self.registry.runs();
            runs.ended.get(journal).is_some_and(|ended| ended.is_moving && ended.runs.len() > BACKLOG_MAX)
        };
        while is_behind() {
            self.wait_for_move().await;
        }
    }

    /// Waits for the end of the current move.
    async fn wait_for_move(&self) {
        // The task that moves runs holds this lock during each move.
        drop(self.archiving.lock().await);
        tokio::task::yield_now().await;
    }

    async fn archive(self: &Arc<Self>, journal: &JournalId, ended: &[Uuid]) -> Result<(), ExecutorError> {
        let Some(first) = ended.first() else { return Ok(()) };
        let lease = self.lease_of(*first, journal).await?;
        self.home.archive(&lease, ended).await.map(drop)
    }
}
