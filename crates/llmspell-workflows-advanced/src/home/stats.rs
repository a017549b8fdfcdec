//! Statistics and verification of a home.

use std::collections::{BTreeMap, BTreeSet};

use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::{
    History, JournalError, Record,
    store::{RUNS_PAGE_MAX, RunQuery, RunSummary, Stores, Verified},
};
use uuid::Uuid;

use super::{Holder, Home, JournalId, RunLocation, archive};
use crate::ExecutorError;

/// Statistics about the contents of a home.
#[derive(Debug, Clone, PartialEq)]
pub struct HomeStats {
    /// The number of runs by status.
    pub runs: BTreeMap<RunStatus, usize>,
    /// The journals.
    pub journals: Vec<JournalStats>,
    /// The number of definitions.
    pub definitions: usize,
    /// The name of the store adapter; `None` if nothing has been stored yet.
    pub store: Option<&'static str>,
    /// The disk usage.
    pub usage: HomeUsage,
}

/// Statistics about the contents of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalStats {
    /// The id of the journal.
    pub id: JournalId,
    /// The holder of the lease on the journal.
    pub holder: Option<Holder>,
    /// The number of unfinished runs in the journal.
    pub live: usize,
    /// The number of ended runs in the journal that have not been archived yet.
    pub ended: usize,
    /// The size of the journal in bytes.
    pub bytes: u64,
}

/// The disk usage of a home.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HomeUsage {
    /// The total size in bytes.
    pub bytes: u64,
    /// The size of the definitions in bytes.
    pub definition_bytes: u64,
    /// The disk usage of each journal.
    pub journals: Vec<JournalUsage>,
}

/// The disk usage of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalUsage {
    /// The id of the journal.
    pub id: JournalId,
    /// The size of the journal in bytes.
    pub bytes: u64,
}

/// The result of verifying a home.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HomeCheck {
    /// The number of runs in journals.
    pub live: usize,
    /// The number of runs in the archive.
    pub archived: usize,
    /// The number of intact definitions.
    pub definitions: usize,
    /// A message for each damaged part, with its location.
    pub damage: Vec<String>,
}

impl dyn Home {
    /// Returns statistics about the contents of the home.
    ///
    /// # Errors
    /// Returns an error if a journal or the store cannot be read.
    pub async fn stats(&self) -> Result<HomeStats, ExecutorError> {
        let mut runs = BTreeMap::new();
        let mut query = RunQuery { limit: RUNS_PAGE_MAX, ..RunQuery::default() };
        loop {
            let page = self.runs(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = Some(last.summary.cursor());
            page.iter().for_each(|run| *runs.entry(run.status()).or_insert(0) += 1);
        }
        let (live, usage) = (self.live().await?.runs, self.usage().await?);
        let mut journals = Vec::new();
        for JournalUsage { id, bytes } in &usage.journals {
            let inside = || live.iter().filter(|run| run.location == RunLocation::Journal(id.clone()));
            let ended = inside().filter(|run| run.status().has_ended()).count();
            let (holder, live) = (self.holder(id).await?, inside().count() - ended);
            journals.push(JournalStats { id: id.clone(), holder, live, ended, bytes: *bytes });
        }
        let definitions = self.definitions().hashes().await?.len();
        let store = self.existing_stores().await?.map(|stores| stores.adapter.name());
        Ok(HomeStats { runs, journals, definitions, store, usage })
    }

    /// Verifies the home by reading every journal, record, definition and large value.
    ///
    /// # Errors
    /// Returns an error if the home cannot be read at all. Damaged parts are reported in the result
    /// and are not errors.
    pub async fn verify(&self) -> Result<HomeCheck, ExecutorError> {
        let mut check = HomeCheck::default();
        let hashes: BTreeSet<String> = self.definitions().hashes().await?.into_iter().collect();
        for hash in &hashes {
            match self.definition(hash).await {
                Ok(_) => check.definitions += 1,
                Err(error) => check.damage.push(error.to_string()),
            }
        }
        let mut live = BTreeSet::new();
        for journal in self.journals().await? {
            match self.check(&journal).await {
                Ok(contents) => {
                    live.extend(contents.runs.iter().map(|run| run.run));
                    check.damage.extend(contents.damage.iter().map(ToString::to_string));
                    for run in contents.runs {
                        match run.records {
                            Ok(records) if RunSummary::of(run.run, &records, None).is_some() => {
                                check.live += 1;
                                check.records(run.run, &records, &hashes);
                            }
                            // The start of the run was never acknowledged.
                            Ok(_) => {}
                            Err(error) => check.damage.push(error.to_string()),
                        }
                    }
                }
                Err(error @ ExecutorError::InUse { .. }) => return Err(error),
                Err(error) => check.damage.push(error.to_string()),
            }
        }
        let stores = match self.existing_stores().await {
            Err(ExecutorError::Store(error)) if error.is_damage() => {
                check.damage.push(error.to_string());
                None
            }
            stores => stores?,
        };
        if let Some(stores) = stores {
            let verified = match stores.adapter.verify().await {
                Err(error) if error.is_damage() => {
                    check.damage.push(error.to_string());
                    check.listed_runs(stores, &hashes).await?;
                    return Ok(check);
                }
                verified => verified?,
            };
            for run in &verified.archived {
                check.archived_run(stores, *run, &hashes).await?;
            }
            for run in check.add_store_check(&verified, &live) {
                // The run may have started or moved since the journals were read.
                let is_in_journal = matches!(self.get(run).await, Ok(Some(run)) if run.journal().is_some());
                if !is_in_journal && archive::get(stores, run).await?.is_none() {
                    check.damage.push(format!("the records of the run {run} are missing from the archive"));
                }
            }
        }
        Ok(check)
    }
}

impl HomeCheck {
    /// Checks the listed runs of stores that cannot be read as a whole.
    async fn listed_runs(&mut self, stores: &Stores, definitions: &BTreeSet<String>) -> Result<(), ExecutorError> {
        let mut query = RunQuery { limit: RUNS_PAGE_MAX, ..RunQuery::default() };
        loop {
            let page = match stores.runs.list(&query).await {
                // The damage has been reported, and the rest of the list cannot be read.
                Err(error) if error.is_damage() => return Ok(()),
                page => page?,
            };
            for run in &page.runs {
                self.archived += usize::from(self.archived_run(stores, run.id, definitions).await?);
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(());
            }
        }
    }

    /// Checks a run in the archive; returns whether its records are there and can be read.
    async fn archived_run(
        &mut self,
        stores: &Stores,
        run: Uuid,
        definitions: &BTreeSet<String>,
    ) -> Result<bool, ExecutorError> {
        match archive::get(stores, run).await {
            Ok(None) => return Ok(false),
            Ok(Some(records)) if records.is_empty() => {
                self.damage.push(format!("the run {run} has no records in the archive"));
            }
            Ok(Some(records)) => {
                self.records(run, &records, definitions);
                return Ok(true);
            }
            Err(error @ ExecutorError::Journal(_)) => self.damage.push(error.to_string()),
            Err(ExecutorError::Store(error)) if error.is_damage() => {
                self.damage.push(format!("the records of the run {run} cannot be read: {error}"));
            }
            Err(error) => return Err(error),
        }
        Ok(false)
    }

    fn records(&mut self, run: Uuid, records: &[Record], definitions: &BTreeSet<String>) {
        if let Err(message) = History::read(records) {
            self.damage.push(JournalError::Damaged { run, message }.to_string());
        }
        let missing = super::transfer::hashes(records).into_iter().filter(|hash| !definitions.contains(hash));
        self.damage.extend(missing.map(|hash| format!("the definition {hash} of the run {run} is missing")));
    }

    /// Adds the result of a check of the stores; `live` contains the runs in journals. Returns the
    /// listed runs whose records are missing.
    fn add_store_check(&mut self, verified: &Verified, live: &BTreeSet<Uuid>) -> Vec<Uuid> {
        self.archived = verified.archived.len();
        self.damage.extend(verified.damage.iter().map(ToString::to_string));
        // A process that dies while archiving a run leaves a summary without records; the run is
        // still in its journal.
        let lost = verified.summaries.difference(&verified.archived).filter(|run| !live.contains(run));
        lost.copied().collect()
    }
}
