//! Finds and reads the runs of a home, in its journals and its archive.

use std::collections::HashMap;

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_state::{
    Epoch, History, JournalError, Record,
    store::{RunQuery, RunSummary},
};
use uuid::Uuid;

use super::{DamagedRun, Home, KnownRun, LiveRunSummary, RunListing, RunLocation, archive};
use crate::ExecutorError;

/// The maximum number of runs that an error message lists.
const CANDIDATES_MAX: usize = 12;

impl dyn Home {
    /// Returns the runs that match `query`, newest first, without disturbing their owners. Damaged runs are left out.
    ///
    /// # Errors
    /// Returns an error if the journals or the store cannot be read or the query is invalid.
    pub async fn runs(&self, query: &RunQuery) -> Result<Vec<KnownRun>, ExecutorError> {
        Ok(self.list(query).await?.runs)
    }

    /// Returns the runs that match `query`, newest first, and what is damaged in the journals of the home.
    ///
    /// # Errors
    /// Returns an error if the journals or the store cannot be read or the query is invalid.
    pub async fn list(&self, query: &RunQuery) -> Result<RunListing, ExecutorError> {
        let RunListing { runs: live, damaged, damage } = self.live().await?;
        let mut summaries: Vec<RunSummary> = live.iter().map(|run| run.summary.clone()).collect();
        if let Some(stores) = self.existing_stores().await? {
            let archived = stores.runs.list(query).await?.runs.into_iter();
            // A run that is both in a journal and in the archive is being archived.
            summaries.extend(archived.filter(|run| !live.iter().any(|other| other.summary.id == run.id)));
        }
        let page = query.select(summaries)?.runs.into_iter();
        let known = |summary: RunSummary| {
            let found = live.iter().find(|run| run.summary.id == summary.id);
            found.cloned().unwrap_or_else(|| KnownRun::archived(summary))
        };
        Ok(RunListing { runs: page.map(known).collect(), damaged, damage })
    }

    /// Returns the run that `given` identifies: a run id, a prefix of a run id, or `@last`.
    ///
    /// # Errors
    /// Returns an error if no run or more than one run matches `given`, or if a journal or the store cannot be read.
    pub async fn find(&self, given: &str) -> Result<KnownRun, ExecutorError> {
        let unknown = || ExecutorError::UnknownRun(given.to_owned());
        if given == "@last" {
            return self.last().await?.ok_or_else(unknown);
        }
        if let Ok(run) = given.parse::<Uuid>() {
            return self.get(run).await?.ok_or_else(unknown);
        }
        if given.is_empty() || !given.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            return Err(unknown());
        }
        let query = RunQuery { id_prefix: Some(given.to_owned()), limit: CANDIDATES_MAX, ..RunQuery::default() };
        let RunListing { mut runs, damaged, .. } = self.list(&query).await?;
        let matches = |run: &DamagedRun| {
            let prefix = given.replace('-', "").to_ascii_lowercase();
            run.run.simple().to_string().starts_with(&prefix)
        };
        match runs.len() {
            0 => Err(damaged.into_iter().find(matches).map_or_else(unknown, |run| run.error.into())),
            1 => Ok(runs.swap_remove(0)),
            _ => {
                let candidates = runs.iter().map(|run| run.id().to_string()).collect();
                Err(ExecutorError::AmbiguousRun { given: given.to_owned(), candidates })
            }
        }
    }

    /// Returns the newest run that is not a sub-workflow.
    async fn last(&self) -> Result<Option<KnownRun>, ExecutorError> {
        let mut query = RunQuery { limit: 100, ..RunQuery::default() };
        loop {
            let runs = self.runs(&query).await?;
            let after = runs.last().map(|run| run.summary.cursor());
            if let Some(found) = runs.into_iter().find(|run| run.summary.parent.is_none()) {
                return Ok(Some(found));
            }
            if after.is_none() {
                return Ok(None);
            }
            query.after = after;
        }
    }

    /// Returns the run with exactly this id, without reading other runs.
    ///
    /// # Errors
    /// Returns an error if the run is damaged, or if the store cannot be read. A journal that cannot be read is an error
    /// only if the run is not found elsewhere.
    pub async fn get(&self, run: Uuid) -> Result<Option<KnownRun>, ExecutorError> {
        let (mut found, mut unreadable) = (None::<(Epoch, Result<KnownRun, JournalError>)>, None);
        for journal in self.journals().await? {
            // Look up the holder first: a run whose holder ends it and exits in between must not look interrupted.
            let read = match self.holder(&journal).await {
                Ok(holder) => self.run_in(&journal, run).await.map(|read| (holder, read)),
                Err(error) => Err(error),
            };
            let (holder, epoch, records) = match read {
                Ok((holder, Some(read))) => (holder, read.epoch, read.records),
                Ok((_, None)) => continue,
                Err(error) => {
                    unreadable = Some(error);
                    continue;
                }
            };
            let here = match records {
                Err(error) => Err(error),
                Ok(records) => match RunSummary::of(run, &records, holder.as_ref().map(|holder| &*holder.0)) {
                    Some(summary) => Ok(KnownRun {
                        summary,
                        holder,
                        location: RunLocation::Journal(journal.clone()),
                        copies: Vec::new(),
                    }),
                    None => continue,
                },
            };
            found = Some(latest(found, (epoch, here)));
        }
        if let Some((_, known)) = found {
            return Ok(Some(known?));
        }
        let summary = match self.existing_stores().await? {
            Some(stores) => stores.runs.get(run).await?,
            None => None,
        };
        match (summary, unreadable) {
            (Some(summary), _) => Ok(Some(KnownRun::archived(summary))),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// Returns the current records of `run`.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read or the run no longer exists.
    pub async fn records(&self, run: &KnownRun) -> Result<Vec<Record>, ExecutorError> {
        if let RunLocation::Journal(journal) = &run.location
            && let Some(read) = self.run_in(journal, run.id()).await?
        {
            return Ok(read.records?);
        }
        // The run may have been moved since it was looked up.
        if let Some(KnownRun { location: RunLocation::Journal(journal), .. }) = self.get(run.id()).await?
            && let Some(read) = self.run_in(&journal, run.id()).await?
        {
            return Ok(read.records?);
        }
        let archived = match self.existing_stores().await? {
            Some(stores) => archive::get(stores, run.id()).await?,
            None => None,
        };
        archived.ok_or_else(|| ExecutorError::UnknownRun(run.id().to_string()))
    }

    /// Returns the history of `run` according to its current records.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read or the run no longer exists.
    pub async fn history(&self, run: &KnownRun) -> Result<History, ExecutorError> {
        let damaged = |message| JournalError::Damaged { run: run.id(), message };
        let history = History::read(&self.records(run).await?).map_err(damaged)?;
        history.ok_or_else(|| ExecutorError::UnknownRun(run.id().to_string()))
    }

    /// Returns the definition with this hash.
    ///
    /// # Errors
    /// Returns an error if the definition is missing, cannot be read, or is not what the hash says.
    pub async fn definition(&self, hash: &str) -> Result<Definition, ExecutorError> {
        let unreadable = |message: String| ExecutorError::Definition { hash: hash.to_owned(), message };
        let found = self.definitions().get(hash).await?;
        let found = found.ok_or_else(|| unreadable("missing from the home".to_owned()))?;
        let definition: Definition = serde_json::from_value(found).map_err(|error| unreadable(error.to_string()))?;
        if definition.hash() != hash {
            return Err(unreadable("changed: its content has a different hash".to_owned()));
        }
        Ok(definition)
    }

    /// Stores `definition` for its runs, and returns its hash.
    ///
    /// # Errors
    /// Returns an error if the definition cannot be written.
    pub async fn keep(&self, definition: &Definition) -> Result<String, ExecutorError> {
        let hash = definition.hash();
        self.keep_as(&hash, definition).await?;
        Ok(hash)
    }

    /// Stores `definition` under its known `hash`.
    pub(crate) async fn keep_as(&self, hash: &str, definition: &Definition) -> Result<(), ExecutorError> {
        let unwritable =
            |error: serde_json::Error| ExecutorError::Definition { hash: hash.to_owned(), message: error.to_string() };
        let value = serde_json::to_value(definition).map_err(unwritable)?;
        Ok(self.definitions().put(hash, &value).await?)
    }

    /// Returns all runs that are in a journal, and what is damaged.
    pub(super) async fn live(&self) -> Result<RunListing, ExecutorError> {
        let (mut listing, mut places) = (RunListing::default(), HashMap::<Uuid, (Epoch, usize)>::new());
        for journal in self.journals().await? {
            let read = match self.holder(&journal).await {
                Ok(holder) => self.summaries(&journal).await.map(|summaries| (holder, summaries)),
                Err(error) => Err(error),
            };
            let (holder, summaries) = match read {
                Ok(read) => read,
                Err(
                    error @ (ExecutorError::InUse { .. }
                    | ExecutorError::OtherJournal { .. }
                    | ExecutorError::JournalNotBuilt { .. }),
                ) => return Err(error),
                Err(error) => {
                    listing.damage.push(error);
                    continue;
                }
            };
            listing.damage.extend(summaries.damage.into_iter().map(ExecutorError::from));
            listing.damaged.extend(summaries.damaged);
            for LiveRunSummary { summary, epoch } in summaries.runs {
                let location = RunLocation::Journal(journal.clone());
                let run = KnownRun { summary, holder: holder.clone(), location, copies: Vec::new() };
                match places.get_mut(&run.id()) {
                    None => {
                        places.insert(run.id(), (epoch, listing.runs.len()));
                        listing.runs.push(run);
                    }
                    Some((known, at)) => {
                        let former = std::mem::replace(&mut listing.runs[*at], run.clone());
                        let (newer, Ok(kept)) = latest(Some((*known, Ok(former))), (epoch, Ok(run))) else { continue };
                        (*known, listing.runs[*at]) = (newer, kept);
                    }
                }
            }
        }
        Ok(listing)
    }
}

/// Returns the later of two copies of a run, which knows where the other one is.
fn latest(
    known: Option<(Epoch, Result<KnownRun, JournalError>)>,
    other: (Epoch, Result<KnownRun, JournalError>),
) -> (Epoch, Result<KnownRun, JournalError>) {
    let Some(known) = known else { return other };
    let (mut later, earlier) = if other.0 > known.0 { (other, known) } else { (known, other) };
    if let (Ok(later), Ok(earlier)) = (&mut later.1, earlier.1) {
        later.copies.extend(earlier.journal().cloned());
        later.copies.extend(earlier.copies);
    }
    later
}
