//! What a home holds, and whether it is as it was written.

use std::collections::{BTreeMap, BTreeSet};

use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::{
    History, JournalError, Record,
    store::{RUNS_PAGE_MAX, RunQuery, Verified},
};
use uuid::Uuid;

use super::{Holder, Home, JournalId, RunPlace, archive};
use crate::ExecutorError;

/// What a home holds.
#[derive(Debug, Clone, PartialEq)]
pub struct HomeStats {
    /// How many runs there are, by status.
    pub runs: BTreeMap<RunStatus, usize>,
    /// Its journals.
    pub journals: Vec<JournalStats>,
    /// How many definitions there are.
    pub definitions: usize,
    /// The adapter of its stores; none if nothing has been kept there yet.
    pub store: Option<&'static str>,
    /// How much room everything takes.
    pub usage: HomeUsage,
}

/// What a journal holds.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalStats {
    /// Which journal.
    pub id: JournalId,
    /// Who holds it.
    pub holder: Option<Holder>,
    /// How many runs are in it that have not ended.
    pub live: usize,
    /// How many runs in it have ended and are not in the archive yet.
    pub ended: usize,
    /// How many bytes it takes.
    pub bytes: u64,
}

/// How much room a home takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HomeUsage {
    /// In bytes, everything.
    pub bytes: u64,
    /// In bytes, its definitions.
    pub definition_bytes: u64,
    /// Each journal.
    pub journals: Vec<JournalUsage>,
}

/// How much room a journal takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalUsage {
    /// Which journal.
    pub id: JournalId,
    /// In bytes.
    pub bytes: u64,
}

/// The result of reading a home through.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HomeCheck {
    /// How many runs are in journals.
    pub live: usize,
    /// How many runs are in the archive.
    pub archived: usize,
    /// How many definitions were read.
    pub definitions: usize,
    /// What is not as it was written, each with its place.
    pub damage: Vec<String>,
}

impl dyn Home {
    /// What it holds.
    ///
    /// # Errors
    /// A journal or the store cannot be read.
    pub async fn stats(&self) -> Result<HomeStats, ExecutorError> {
        let mut runs = BTreeMap::new();
        let mut query = RunQuery { limit: RUNS_PAGE_MAX, ..RunQuery::default() };
        loop {
            let page = self.runs(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = Some(last.summary.cursor());
            page.iter().for_each(|run| *runs.entry(run.status()).or_insert(0) += 1);
        }
        let (live, usage) = (self.live().await?, self.usage().await?);
        let mut journals = Vec::new();
        for JournalUsage { id, bytes } in &usage.journals {
            let inside = || live.iter().filter(|run| run.place == RunPlace::Journal(id.clone()));
            let ended = inside().filter(|run| run.status().has_ended()).count();
            let (holder, live) = (self.holder(id).await?, inside().count() - ended);
            journals.push(JournalStats { id: id.clone(), holder, live, ended, bytes: *bytes });
        }
        let definitions = self.definitions().hashes().await?.len();
        let store = self.existing_stores().await?.map(|stores| stores.adapter.name());
        Ok(HomeStats { runs, journals, definitions, store, usage })
    }

    /// Reads every journal, every record, every definition and every large value.
    ///
    /// # Errors
    /// It cannot be read at all; damaged parts are in the result.
    pub async fn verify(&self) -> Result<HomeCheck, ExecutorError> {
        let mut check = HomeCheck::default();
        let hashes: BTreeSet<String> = self.definitions().hashes().await?.into_iter().collect();
        for hash in &hashes {
            match self.definition(hash).await {
                Ok(definition) if definition.hash() == **hash => check.definitions += 1,
                Ok(_) => check.damage.push(format!("the definition {hash} has another hash")),
                Err(error) => check.damage.push(error.to_string()),
            }
        }
        for journal in self.journals().await? {
            match self.check(&journal).await {
                Ok(runs) => {
                    check.live += runs.len();
                    runs.iter().for_each(|(run, records)| check.records(*run, records, &hashes));
                }
                Err(error @ ExecutorError::InUse { .. }) => return Err(error),
                Err(error) => check.damage.push(error.to_string()),
            }
        }
        if let Some(stores) = self.existing_stores().await? {
            let verified = stores.adapter.verify().await?;
            for run in &verified.archived {
                match archive::get(stores, *run).await {
                    Ok(records) => check.records(*run, &records.unwrap_or_default(), &hashes),
                    Err(error @ ExecutorError::Journal(_)) => check.damage.push(error.to_string()),
                    Err(error) => return Err(error),
                }
            }
            check.take_in(&verified);
        }
        Ok(check)
    }
}

impl HomeCheck {
    fn records(&mut self, run: Uuid, records: &[Record], definitions: &BTreeSet<String>) {
        if let Err(message) = History::read(records) {
            self.damage.push(JournalError::Damaged { run, message }.to_string());
        }
        let missing = super::transfer::hashes(records).into_iter().filter(|hash| !definitions.contains(hash));
        self.damage.extend(missing.map(|hash| format!("the definition {hash} of the run {run} is missing")));
    }

    fn take_in(&mut self, verified: &Verified) {
        self.archived = verified.archived.len();
        let lost = verified.summaries.difference(&verified.archived);
        self.damage.extend(lost.map(|run| format!("the records of the run {run} are missing from the archive")));
        self.damage.extend(verified.damage.iter().map(ToString::to_string));
    }
}
