//! Finds and reads the runs of a home, in its journals and its archive.

use std::collections::{BTreeMap, HashMap};

use llmspell_workflows_basic::{RunStatus, model::Definition};
use llmspell_workflows_state::{
    Epoch, History, JournalError, JournaledRun, Record, RunState, Started,
    store::{RunQuery, RunSummary},
};
use uuid::Uuid;

use super::{DamagedRun, Home, KnownRun, LiveRunSummary, RunListing, RunLocation, archive};
use crate::ExecutorError;

/// The maximum number of runs listed in an error message.
const CANDIDATES_MAX: usize = 12;

impl dyn Home {
    /// Returns the runs that match `query`, newest first, without disturbing their owners. Damaged
    /// runs are omitted.
    ///
    /// # Errors
    /// Returns an error if the journals or the store cannot be read or the query is invalid.
    pub async fn runs(&self, query: &RunQuery) -> Result<Vec<KnownRun>, ExecutorError> {
        Ok(self.list(query).await?.runs)
    }

    /// Returns the runs that match `query`, newest first, and the damage found in the journals of
    /// the home.
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

    /// Returns the newest run that is not a sub-workflow. Runs with a start time in the future come
    /// last.
    async fn last(&self) -> Result<Option<KnownRun>, ExecutorError> {
        let mut query = RunQuery { limit: 100, ..RunQuery::default() };
        let mut ahead = None;
        loop {
            let runs = self.runs(&query).await?;
            let after = runs.last().map(|run| run.summary.cursor());
            for run in runs.into_iter().filter(|run| run.summary.parent.is_none()) {
                if !run.is_ahead() {
                    return Ok(Some(run));
                }
                ahead.get_or_insert(run);
            }
            if after.is_none() {
                return Ok(ahead);
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
        match self.look_up(run).await? {
            Some(known) => Ok(Some(known)),
            // The first lookup misses a run that is being moved if it reads the new journal before
            // the run arrives and the old journal after the run was removed.
            None => self.look_up(run).await,
        }
    }

    async fn look_up(&self, run: Uuid) -> Result<Option<KnownRun>, ExecutorError> {
        let (mut found, mut unreadable) = (FoundRuns::default(), None);
        for journal in self.journals().await? {
            // The holder is looked up first: a run must not look interrupted if its holder finishes
            // it and exits between the two lookups.
            let read = async { Ok((self.holder(&journal).await?, self.run_in(&journal, run).await?)) };
            match read.await {
                Ok((_, None)) => {}
                Ok((holder, Some(JournaledRun { epoch, records, .. }))) => {
                    let owner = holder.as_ref().map(|holder| &*holder.0);
                    let summary = records.map(|records| RunSummary::of(run, &records, owner));
                    let known = summary.map(|summary| Some(KnownRun::in_journal(summary?, holder, &journal)));
                    if let Some(known) = known.transpose() {
                        found.add(run, epoch, known);
                    }
                }
                Err(error) => unreadable = Some(error),
            }
        }
        if let Some((_, known)) = found.runs.pop() {
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

    /// Returns the records of `run`, even if the run has been moved since it was looked up.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read or the run no longer exists.
    pub async fn records(&self, run: &KnownRun) -> Result<Vec<Record>, ExecutorError> {
        let unknown = || ExecutorError::UnknownRun(run.id().to_string());
        if let Some(records) = self.records_at(run.id(), &run.location).await? {
            return Ok(records);
        }
        // The run has been moved since it was looked up.
        let now = self.get(run.id()).await?.ok_or_else(unknown)?;
        self.records_at(run.id(), &now.location).await?.ok_or_else(unknown)
    }

    /// Returns the records of `run` at `location`; `None` if the run is not there.
    async fn records_at(&self, run: Uuid, location: &RunLocation) -> Result<Option<Vec<Record>>, ExecutorError> {
        match location {
            RunLocation::Journal(journal) => match self.run_in(journal, run).await? {
                Some(read) => Ok(Some(read.records?)),
                None => Ok(None),
            },
            RunLocation::Archive => match self.existing_stores().await? {
                Some(stores) => archive::get(stores, run).await,
                None => Ok(None),
            },
        }
    }

    /// Returns the data that `run` was started with.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read or the run no longer exists.
    pub async fn started(&self, run: &KnownRun) -> Result<Started, ExecutorError> {
        started(run.id(), &self.records(run).await?)
    }

    /// Returns the permissions that `run` was started with.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read or the run no longer exists.
    pub async fn grants(&self, run: &KnownRun) -> Result<BTreeMap<String, Vec<String>>, ExecutorError> {
        let first = match &run.location {
            RunLocation::Journal(journal) => self.first_record(journal, run.id()).await?,
            RunLocation::Archive => None,
        };
        match first {
            Some(Record::Started(started)) => Ok(started.grants),
            // The run is archived, or has been moved since it was looked up.
            _ => Ok(self.started(run).await?.grants),
        }
    }

    /// Returns the history of `run` according to its current records.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read or the run no longer exists.
    pub async fn history(&self, run: &KnownRun) -> Result<History, ExecutorError> {
        self.history_and_state(run).await.map(|(history, _)| history)
    }

    /// Returns the history of `run` and the state of its steps according to its current records.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read or the run no longer exists.
    pub async fn history_and_state(&self, run: &KnownRun) -> Result<(History, RunState), ExecutorError> {
        let damaged = |message| JournalError::Damaged { run: run.id(), message };
        let history = History::with_state(&self.records(run).await?).map_err(damaged)?;
        history.ok_or_else(|| ExecutorError::UnknownRun(run.id().to_string()))
    }

    /// Returns the definition with this hash.
    ///
    /// # Errors
    /// Returns an error if the definition is missing, cannot be read, or does not match the hash.
    pub async fn definition(&self, hash: &str) -> Result<Definition, ExecutorError> {
        let unreadable = |message: String| ExecutorError::Definition { hash: hash.to_owned(), message };
        let found = self.definitions().get(hash).await?;
        let found = found.ok_or_else(|| unreadable("missing from the home".to_owned()))?;
        if Definition::hash_of(&found) != hash {
            return Err(unreadable("changed: its content has a different hash".to_owned()));
        }
        serde_json::from_str(&found).map_err(|error| unreadable(error.to_string()))
    }

    /// Stores `definition` for its runs, and returns its hash.
    ///
    /// # Errors
    /// Returns an error if the definition cannot be written.
    pub async fn keep(&self, definition: &Definition) -> Result<String, ExecutorError> {
        let text = definition.to_json();
        let hash = Definition::hash_of(&text);
        self.definitions().put(&hash, &text).await?;
        Ok(hash)
    }

    /// Returns all runs in journals, and the damage found there.
    pub(super) async fn live(&self) -> Result<RunListing, ExecutorError> {
        let (mut listing, mut found) = (RunListing::default(), FoundRuns::default());
        for journal in self.journals().await? {
            let summaries = match self.summaries(&journal).await {
                Ok(summaries) => summaries,
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
                found.add(summary.id, epoch, Ok(KnownRun::in_journal(summary, summaries.holder.clone(), &journal)));
            }
        }
        listing.runs.extend(found.runs.into_iter().filter_map(|(_, known)| known.ok()));
        Ok(listing)
    }

    /// Returns the runs of `workflow` whose process died, newest first, without sub-workflows or
    /// damaged runs.
    ///
    /// # Errors
    /// Returns an error if the journals cannot be listed.
    pub async fn interrupted(&self, workflow: &str) -> Result<Vec<KnownRun>, ExecutorError> {
        let is_offered = |run: &KnownRun| {
            let RunSummary { status, parent, workflow: name, .. } = &run.summary;
            *status == RunStatus::Interrupted && parent.is_none() && name == workflow
        };
        let mut runs: Vec<_> = self.live().await?.runs.into_iter().filter(is_offered).collect();
        runs.sort_by_key(|run| std::cmp::Reverse((run.summary.started_at, run.id())));
        Ok(runs)
    }
}

/// Runs found in journals. If several journals contain a run, the copy with the latest epoch
/// counts.
#[derive(Default)]
struct FoundRuns {
    runs: Vec<(Epoch, Result<KnownRun, JournalError>)>,
    places: HashMap<Uuid, usize>,
}

impl FoundRuns {
    /// Adds a run as found in one journal.
    fn add(&mut self, run: Uuid, epoch: Epoch, known: Result<KnownRun, JournalError>) {
        let at = *self.places.entry(run).or_insert(self.runs.len());
        let Some(other) = self.runs.get_mut(at) else {
            self.runs.push((epoch, known));
            return;
        };
        let mut earlier = (epoch, known);
        if epoch > other.0 {
            std::mem::swap(other, &mut earlier);
        }
        if let (Ok(later), Ok(earlier)) = (&mut other.1, earlier.1) {
            later.copies.extend(earlier.journal().cloned());
            later.copies.extend(earlier.copies);
        }
    }
}

/// Returns the data that `run`, which has these records, was started with.
pub(crate) fn started(run: Uuid, records: &[Record]) -> Result<Started, ExecutorError> {
    Started::of(records).ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))
}
