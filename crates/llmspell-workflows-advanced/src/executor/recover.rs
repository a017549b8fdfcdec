use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::store::{RUNS_PAGE_MAX, RunQuery};

use super::{Executor, RunHandle};
use crate::{ExecutorError, KnownRun};

/// The runs that are recovered, and those that could not be.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The runs that are driven now.
    pub runs: Vec<RunHandle>,
    /// The runs that could not be taken up, and why; nothing of them is lost.
    pub failed: Vec<(KnownRun, ExecutorError)>,
}

impl Executor {
    /// Takes up every run of the home that nobody drives: runs whose process died, and runs that wait.
    ///
    /// Runs that someone paused, stuck runs, and runs that another process holds stay as they are; a sub-workflow is taken
    /// up with its parent. Call it when a program starts; calling it again takes up what other processes have left since.
    ///
    /// # Errors
    /// The runs cannot be listed.
    pub async fn recover(&self) -> Result<Recovered, ExecutorError> {
        let mut recovered = Recovered::default();
        for known in self.recoverable().await? {
            match self.resume(&known).await {
                Ok(run) => recovered.runs.push(self.spawn(run)),
                // Someone else was faster.
                Err(ExecutorError::Held { .. } | ExecutorError::Driven { .. } | ExecutorError::Ended { .. }) => {}
                Err(error) => recovered.failed.push((known, error)),
            }
        }
        Ok(recovered)
    }

    /// The runs that [`Self::recover`] takes up, the oldest first.
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
                is_free && run.summary.parent.is_none() && !self.inner.registry.is_taken(run.id())
            }));
        }
        found.reverse();
        Ok(found)
    }
}
