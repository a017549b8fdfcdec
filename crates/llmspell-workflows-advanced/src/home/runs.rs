//! Finds and reads the runs of a home, in its journals and its archive.

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_state::{
    History, JournalError, Record,
    store::{RunQuery, RunSummary},
};
use uuid::Uuid;

use super::{Home, KnownRun, RunLocation, archive};
use crate::ExecutorError;

/// The maximum number of runs that an error message lists.
const CANDIDATES_MAX: usize = 12;

impl dyn Home {
    /// Returns the runs that match `query`, newest first, without disturbing their owners.
    ///
    /// # Errors
    /// Returns an error if a journal or the store cannot be read or the query is invalid.
    pub async fn runs(&self, query: &RunQuery) -> Result<Vec<KnownRun>, ExecutorError> {
        let live = self.live().await?;
        let mut summaries: Vec<RunSummary> = live.iter().map(|run| run.summary.clone()).collect();
        if let Some(stores) = self.existing_stores().await? {
            let archived = stores.runs.list(query).await?.runs.into_iter();
            // A run that is both in a journal and in the archive is being archived.
            summaries.extend(archived.filter(|run| !live.iter().any(|other| other.summary.id == run.id)));
        }
        let page = query.select(summaries)?.runs.into_iter();
        let known = |summary: RunSummary| {
            let found = live.iter().find(|run| run.summary.id == summary.id);
            found.cloned().unwrap_or(KnownRun { summary, holder: None, location: RunLocation::Archive })
        };
        Ok(page.map(known).collect())
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
        let mut runs = self.runs(&query).await?;
        match runs.len() {
            0 => Err(unknown()),
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
    /// Returns an error if a journal or the store cannot be read.
    pub async fn get(&self, run: Uuid) -> Result<Option<KnownRun>, ExecutorError> {
        for journal in self.journals().await? {
            // Look up the holder first: a run whose holder ends it and exits in between must not look interrupted.
            let holder = self.holder(&journal).await?;
            let Some(records) = self.records_in(&journal, run).await? else { continue };
            if let Some(summary) = RunSummary::of(run, &records, holder.as_ref().map(|holder| &*holder.0)) {
                return Ok(Some(KnownRun { summary, holder, location: RunLocation::Journal(journal) }));
            }
        }
        let Some(stores) = self.existing_stores().await? else { return Ok(None) };
        let summary = stores.runs.get(run).await?;
        Ok(summary.map(|summary| KnownRun { summary, holder: None, location: RunLocation::Archive }))
    }

    /// Returns the current records of `run`.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read or the run no longer exists.
    pub async fn records(&self, run: &KnownRun) -> Result<Vec<Record>, ExecutorError> {
        if let RunLocation::Journal(journal) = &run.location
            && let Some(records) = self.records_in(journal, run.id()).await?
        {
            return Ok(records);
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
    /// Returns an error if the definition is missing or cannot be read.
    pub async fn definition(&self, hash: &str) -> Result<Definition, ExecutorError> {
        let unreadable = |message: String| ExecutorError::Definition { hash: hash.to_owned(), message };
        let found = self.definitions().get(hash).await?;
        let found = found.ok_or_else(|| unreadable("missing from the home".to_owned()))?;
        serde_json::from_value(found).map_err(|error| unreadable(error.to_string()))
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

    /// Returns all runs that are in a journal.
    pub(super) async fn live(&self) -> Result<Vec<KnownRun>, ExecutorError> {
        let mut runs = Vec::new();
        for journal in self.journals().await? {
            let holder = self.holder(&journal).await?;
            let known =
                |summary| KnownRun { summary, holder: holder.clone(), location: RunLocation::Journal(journal.clone()) };
            runs.extend(self.summaries(&journal).await?.into_iter().map(known));
        }
        Ok(runs)
    }
}
