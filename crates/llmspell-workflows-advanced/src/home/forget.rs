//! Deletes runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::store::{RUNS_PAGE_MAX, RunQuery};
use uuid::Uuid;

use super::{Contact, Home, JournalId, KnownRun, Lease, RunLocation};
use crate::ExecutorError;

/// Selects ended runs for deletion. A run must meet all conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Prune {
    /// Selects runs that ended before this time.
    pub ended_before: Timestamp,
    /// Selects runs with one of these statuses; any status if empty.
    pub statuses: Vec<RunStatus>,
    /// Selects runs of this workflow.
    pub workflow: Option<String>,
    /// The number of matching runs to keep regardless of their age; the newest are kept.
    pub keep: usize,
}

impl dyn Home {
    /// Deletes ended runs with their sub-workflows, and all data stored for them.
    ///
    /// # Errors
    /// Returns an error, and deletes no run, if a run has not ended, is in the journal of a running
    /// process or is a sub-workflow of a run that is kept. Also returns an error if a journal or
    /// the store cannot be written.
    pub async fn delete(&self, runs: &[KnownRun]) -> Result<(), ExecutorError> {
        let mut all: Vec<KnownRun> = Vec::new();
        for run in runs {
            let family = std::iter::once(run.clone()).chain(self.descendants(run).await?);
            all.extend(family.filter(|run| !all.iter().any(|known| known.id() == run.id())).collect::<Vec<_>>());
        }
        let runs = &*all;
        runs.iter().try_for_each(KnownRun::check_deletable)?;
        for run in runs {
            let Some(parent) = run.summary.parent.filter(|parent| !runs.iter().any(|run| run.id() == *parent)) else {
                continue;
            };
            if self.get(parent).await?.is_some() {
                return Err(ExecutorError::PartOf { run: run.id(), parent, done: "deleted" });
            }
        }
        for run in runs {
            for journal in &run.copies {
                self.lease_of(run, journal).await?.forget(run.id()).await?;
            }
        }
        let stores = self.existing_stores().await?;
        let (live, archived): (Vec<&KnownRun>, Vec<&KnownRun>) = runs.iter().partition(|run| run.journal().is_some());
        if let Some(stores) = stores.filter(|_| !live.is_empty()) {
            // The archive still contains the old version of a run that was brought back from there. If the
            // run were deleted only from its journal, the old version would reappear.
            let ids: Vec<Uuid> = live.iter().map(|run| run.id()).collect();
            stores.runs.remove_all(&ids).await?;
            for run in ids {
                stores.archive.remove(run).await?;
            }
        }
        let mut leases = BTreeMap::<JournalId, (Lease, Vec<_>)>::new();
        for run in live {
            let RunLocation::Journal(journal) = &run.location else { continue };
            if !leases.contains_key(journal) {
                leases.insert(journal.clone(), (self.lease_of(run, journal).await?, Vec::new()));
            }
            if let Some((lease, deleted)) = leases.get_mut(journal) {
                deleted.push((run.id(), lease.journal.open(run.id()).await?.epoch));
            }
        }
        for (lease, deleted) in leases.values() {
            lease.journal.forget(deleted).await?;
        }
        if let Some(outputs) = self.outputs() {
            outputs.remove(&runs.iter().map(KnownRun::id).collect::<Vec<_>>()).await?;
        }
        let Some(stores) = stores else { return Ok(()) };
        // Remove all summaries at once, before anything else. Records of an unlisted run do no
        // harm, but a listed run without records or a sub-workflow without its parent would.
        let ids: Vec<Uuid> = archived.iter().map(|run| run.id()).collect();
        stores.runs.remove_all(&ids).await?;
        for run in runs {
            stores.snapshots.remove_all(run.id()).await?;
            stores.inbox.remove(run.id()).await?;
            stores.archive.remove(run.id()).await?;
            stores.blobs.release(run.id()).await?;
        }
        Ok(())
    }

    /// Returns the runs that `prune` selects, newest first.
    ///
    /// # Errors
    /// Returns an error if a journal or the store cannot be read.
    pub async fn prunable(&self, prune: &Prune) -> Result<Vec<KnownRun>, ExecutorError> {
        let ended = |status: &RunStatus| status.has_ended();
        let any = || RunStatus::ALL.into_iter().filter(ended).collect();
        let statuses = if prune.statuses.is_empty() { any() } else { prune.statuses.clone() };
        let mut query =
            RunQuery { statuses, workflow: prune.workflow.clone(), limit: RUNS_PAGE_MAX, ..RunQuery::default() };
        let (mut matching, mut found) = (0, Vec::new());
        loop {
            let page = self.runs(&query).await?;
            let Some(last) = page.last() else { return Ok(found) };
            query.after = Some(last.summary.cursor());
            // Sub-workflows are deleted with their parents.
            let is_prunable = |run: &KnownRun| run.status().has_ended() && run.summary.parent.is_none();
            for run in page.into_iter().filter(is_prunable) {
                matching += 1;
                let is_old = run.summary.ended_at.is_some_and(|ended| ended < prune.ended_before);
                if is_old && matching > prune.keep {
                    found.push(run);
                }
            }
        }
    }

    /// Leases the journal that contains `run`.
    async fn lease_of(&self, run: &KnownRun, journal: &JournalId) -> Result<Lease, ExecutorError> {
        self.lease(journal, Contact::None).await.map_err(|error| match error.held_by(run.id()) {
            // Only ended runs are deleted.
            ExecutorError::Held { run, holder } => ExecutorError::NotArchived { run, holder },
            other => other,
        })
    }
}

impl KnownRun {
    /// Checks that the run can be deleted.
    ///
    /// # Errors
    /// Returns an error if the run has not ended or is in the journal of a running process.
    pub fn check_deletable(&self) -> Result<(), ExecutorError> {
        if !self.status().has_ended() {
            return Err(ExecutorError::NotEnded { run: self.id(), status: self.status() });
        }
        match &self.holder {
            Some(holder) => Err(ExecutorError::NotArchived { run: self.id(), holder: holder.0.clone() }),
            None => Ok(()),
        }
    }
}
