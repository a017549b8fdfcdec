//! Runs that are not wanted any more.

use std::collections::BTreeMap;

use jiff::Timestamp;
use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::{
    JournalError,
    store::{RUNS_PAGE_MAX, RunQuery},
};

use super::{Contact, Home, JournalId, KnownRun, Lease, RunPlace};
use crate::ExecutorError;

/// Which of the runs that have ended are not wanted any more. Everything that is set must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Prune {
    /// Those that ended before.
    pub ended_before: Timestamp,
    /// Those with one of these statuses; any where there are none.
    pub statuses: Vec<RunStatus>,
    /// Those of this workflow.
    pub workflow: Option<String>,
    /// How many of the newest of these stay in any case.
    pub keep: usize,
}

impl dyn Home {
    /// Deletes runs that have ended, with all that is kept of them.
    ///
    /// # Errors
    /// One has not ended, or is in the journal of a process that is alive; then none is deleted. Or a journal or the
    /// store cannot be written.
    pub async fn delete(&self, runs: &[KnownRun]) -> Result<(), ExecutorError> {
        runs.iter().try_for_each(KnownRun::check_deletable)?;
        let mut leases = BTreeMap::<JournalId, (Lease, Vec<_>)>::new();
        for run in runs {
            let RunPlace::Journal(journal) = &run.place else { continue };
            if !leases.contains_key(journal) {
                leases.insert(journal.clone(), (self.lease_of(run, journal).await?, Vec::new()));
            }
            if let Some((lease, gone)) = leases.get_mut(journal) {
                gone.push((run.id(), lease.journal.open(run.id()).await?.epoch));
            }
        }
        for (lease, gone) in leases.values() {
            lease.journal.forget(gone).await?;
        }
        let Some(stores) = self.existing_stores().await? else { return Ok(()) };
        for run in runs {
            // The summary first: records that nobody finds do no harm, a run without records would.
            stores.runs.remove(run.id()).await?;
            stores.snapshots.remove_all(run.id()).await?;
            stores.inbox.remove(run.id()).await?;
            stores.archive.remove(run.id()).await?;
            stores.blobs.release(run.id()).await?;
        }
        Ok(())
    }

    /// The runs that `prune` means, the newest first.
    ///
    /// # Errors
    /// A journal or the store cannot be read.
    pub async fn prunable(&self, prune: &Prune) -> Result<Vec<KnownRun>, ExecutorError> {
        let ended = |status: &RunStatus| status.has_ended();
        let any = || RunStatus::ALL.into_iter().filter(ended).collect();
        let statuses = if prune.statuses.is_empty() { any() } else { prune.statuses.clone() };
        let mut query =
            RunQuery { statuses, workflow: prune.workflow.clone(), limit: RUNS_PAGE_MAX, ..RunQuery::default() };
        let (mut seen, mut found) = (0, Vec::new());
        loop {
            let page = self.runs(&query).await?;
            let Some(last) = page.last() else { return Ok(found) };
            query.after = Some(last.summary.cursor());
            for run in page.into_iter().filter(|run| run.status().has_ended()) {
                seen += 1;
                let is_old = run.summary.ended_at.is_some_and(|ended| ended < prune.ended_before);
                if is_old && seen > prune.keep {
                    found.push(run);
                }
            }
        }
    }

    /// The journal that `run` is in, for a moment.
    async fn lease_of(&self, run: &KnownRun, journal: &JournalId) -> Result<Lease, ExecutorError> {
        self.lease(journal, Contact::None).await.map_err(|error| match error {
            ExecutorError::Journal(JournalError::Held { holder, .. }) => ExecutorError::Held { run: run.id(), holder },
            error => error,
        })
    }
}

impl KnownRun {
    /// Checks that the run may be deleted.
    ///
    /// # Errors
    /// It has not ended, or is in the journal of a running process.
    pub fn check_deletable(&self) -> Result<(), ExecutorError> {
        if !self.status().has_ended() {
            return Err(ExecutorError::NotEnded { run: self.id(), status: self.status() });
        }
        match &self.holder {
            Some(holder) => Err(ExecutorError::Held { run: self.id(), holder: holder.0.clone() }),
            None => Ok(()),
        }
    }
}
