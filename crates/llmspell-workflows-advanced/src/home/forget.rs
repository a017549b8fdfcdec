//! Runs that are not wanted any more.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::{
    JournalError,
    store::{RUNS_PAGE_MAX, RunQuery},
};

use super::{Claim, Home, KnownRun, Place};
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

impl Home {
    /// Deletes runs that have ended, with all that is kept of them.
    ///
    /// # Errors
    /// One has not ended, or is in the journal of a process that is alive; then none is deleted. Or a journal or the
    /// store cannot be written.
    pub async fn delete(&self, runs: &[KnownRun]) -> Result<(), ExecutorError> {
        runs.iter().try_for_each(Self::check_deletable)?;
        let mut claims = BTreeMap::<PathBuf, Claim>::new();
        for run in runs {
            let Place::Log(folder) = &run.place else { continue };
            let claim = match claims.get(folder) {
                Some(claim) => claim,
                None => claims.entry(folder.clone()).or_insert(self.claim_for(run, folder)?),
            };
            let opened = claim.journal.open(run.id()).await?;
            claim.journal.forget(run.id(), opened.epoch)?;
        }
        claims.values().try_for_each(|claim| claim.journal.write())?;
        let Some(stores) = self.known_stores()? else { return Ok(()) };
        for run in runs {
            // The summary first: records that nobody finds do no harm, a run without records would.
            stores.runs.remove(run.id())?;
            stores.snapshots.remove_all(run.id())?;
            stores.inbox.remove(run.id())?;
            stores.archive.remove(run.id())?;
            stores.blobs.release(run.id())?;
        }
        Ok(())
    }

    /// That [`Self::delete`] may delete a run.
    ///
    /// # Errors
    /// It has not ended, or is in the journal of a process that is alive.
    pub fn check_deletable(run: &KnownRun) -> Result<(), ExecutorError> {
        if !run.status().has_ended() {
            return Err(ExecutorError::NotEnded { run: run.id(), status: run.status() });
        }
        match &run.holder {
            Some(holder) => Err(ExecutorError::Held { run: run.id(), holder: holder.0.clone() }),
            None => Ok(()),
        }
    }

    /// The runs that `prune` means, the newest first.
    ///
    /// # Errors
    /// A journal or the store cannot be read.
    pub fn prunable(&self, prune: &Prune) -> Result<Vec<KnownRun>, ExecutorError> {
        let ended = |status: &RunStatus| status.has_ended();
        let any = || RunStatus::ALL.into_iter().filter(ended).collect();
        let statuses = if prune.statuses.is_empty() { any() } else { prune.statuses.clone() };
        let mut query =
            RunQuery { statuses, workflow: prune.workflow.clone(), limit: RUNS_PAGE_MAX, ..RunQuery::default() };
        let (mut seen, mut found) = (0, Vec::new());
        loop {
            let page = self.runs(&query)?;
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

    /// The journal in `folder`, which `run` is in, for a moment.
    fn claim_for(&self, run: &KnownRun, folder: &std::path::Path) -> Result<Claim, ExecutorError> {
        self.claim_folder(folder, NOWHERE).map_err(|error| match error {
            ExecutorError::Journal(JournalError::Held { holder, .. }) => ExecutorError::Held { run: run.id(), holder },
            error => error,
        })
    }
}

/// The port of who cannot be reached, since it is gone in a moment.
pub(super) const NOWHERE: u16 = 0;
