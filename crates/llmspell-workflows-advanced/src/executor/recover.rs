use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::store::{RUNS_PAGE_MAX, RunQuery};

use super::{DurableRun, Executor, RunHandle};
use crate::{ExecutorError, KnownRun};

/// The result of [`Executor::recover`].
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// The recovered runs, which are now driven in the background.
    pub runs: Vec<RunHandle>,
    /// The runs that could not be resumed, with the errors. None of their records are lost.
    pub failed: Vec<(KnownRun, ExecutorError)>,
}

impl Executor {
    /// Resumes every unowned run of the home that is waiting or whose process died.
    ///
    /// Paused runs, stuck runs and runs owned by another process are left alone. Sub-workflows are
    /// resumed with their parents. Call this when a program starts; later calls resume runs that
    /// other processes have since abandoned.
    ///
    /// # Errors
    /// Returns an error if the runs cannot be listed.
    pub async fn recover(&self) -> Result<RecoveryReport, ExecutorError> {
        let mut recovered = RecoveryReport::default();
        for known in self.recoverable().await? {
            match self.resume_with_journal(&known).await {
                Ok(run) => recovered.runs.push(self.spawn(run)),
                // Another owner took the run first, or the run has ended.
                Err(ExecutorError::Held { .. } | ExecutorError::Driven { .. } | ExecutorError::Ended { .. }) => {}
                Err(error) => recovered.failed.push((known, error)),
            }
        }
        Ok(recovered)
    }

    /// Resumes a run and leases its whole journal, since the other runs in it are resumed too.
    async fn resume_with_journal(&self, known: &KnownRun) -> Result<DurableRun, ExecutorError> {
        let journal = self.journal_of(known)?;
        let summaries = self.inner.home.summaries(journal).await?;
        // A damaged journal is left unchanged for a repair; its intact runs are moved out.
        if summaries.damaged.is_empty() && summaries.damage.is_empty() {
            self.inner.lease_of(known.id(), journal).await?;
        }
        self.resume(known).await
    }

    /// Returns the runs that [`Self::recover`] resumes, oldest first.
    async fn recoverable(&self) -> Result<Vec<KnownRun>, ExecutorError> {
        let statuses = vec![
            RunStatus::Pending,
            RunStatus::Running,
            RunStatus::Waiting,
            RunStatus::Interrupted,
            RunStatus::Compensating,
        ];
        let leased: Vec<_> = self.inner.leased().await.into_iter().map(|lease| lease.id).collect();
        let mut query = RunQuery { statuses, limit: RUNS_PAGE_MAX, ..RunQuery::default() };
        let mut found = Vec::new();
        loop {
            let page = self.inner.home.runs(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = Some(last.summary.cursor());
            found.extend(page.into_iter().filter(|run| {
                let is_ours = run.journal().is_some_and(|journal| leased.contains(journal));
                let is_free = run.holder.is_none() || is_ours;
                is_free && run.summary.parent.is_none() && !self.inner.registry.is_owned_or_parked(run.id())
            }));
        }
        found.reverse();
        Ok(found)
    }
}
