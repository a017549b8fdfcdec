//! A folder where runs live.
//!
//! ```text
//! HOME/definitions/HASH.json   what runs are pinned to
//! HOME/log/NUMBER/             the journal of one process, which holds its lock
//! HOME/log/NUMBER/holder.json  who that is, and where it can be reached
//! HOME/fjall/, HOME/sled/       or a journal for one process at a time
//! HOME/store.db                runs that have ended, and messages to runs
//! ```

mod archive;
mod bell;
mod claim;
mod definitions;
mod events;
mod forget;
mod known;
mod logs;
mod memory;
mod single;
mod stats;
mod transfer;
mod upkeep;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use llmspell_workflows_state::{
    History, JournalError, Record,
    store::{Message, RunQuery, RunSummary, StoreError, Stores},
};
use uuid::Uuid;

pub(crate) use bell::{Bell, Ringer};
pub(crate) use claim::Claim;
pub use events::WorkflowEvent;
pub(crate) use events::{Narrator, events};
pub use forget::Prune;
pub use known::{Holder, KnownRun};
pub use single::JournalKind;
pub use stats::{HomeCheck, HomeStats, JournalStats};
pub use transfer::EXPORT_VERSION;
pub use upkeep::{BackedUp, Compacted};

use crate::ExecutorError;
pub(crate) use known::Place;

/// A folder with the journals of all processes that use it, the definitions of their runs, and what has ended.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
    stores: Arc<OnceLock<Stores>>,
    open: fn(&Path) -> Result<Stores, StoreError>,
    /// What the stores are called in the folder.
    store: &'static str,
    /// The journals, where there is no folder.
    memory: Option<Arc<memory::Memory>>,
    /// The journal, where it is for one process at a time.
    single: Option<Arc<single::Single>>,
}

impl Home {
    /// The home in the folder `path`, which is made when a run is started; several processes can use it at once.
    #[cfg(feature = "sqlite")]
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            stores: Arc::default(),
            open: |path| Stores::sqlite(path),
            store: "store.db",
            memory: None,
            single: None,
        }
    }

    /// The home in the folder `path`, which is made when a run is started; its stores are for one process at a time.
    #[cfg(feature = "sled")]
    #[must_use]
    pub fn embedded(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            stores: Arc::default(),
            open: |path| Stores::sled(path),
            store: "store",
            memory: None,
            single: None,
        }
    }

    /// A home that lasts as long as it and its clones are there, and touches no disk.
    ///
    /// Several executors can use it at once, and go on with the runs of those that were dropped.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            path: PathBuf::new(),
            stores: Arc::new(OnceLock::from(Stores::memory())),
            open: |_| Ok(Stores::memory()),
            store: "",
            memory: Some(Arc::default()),
            single: None,
        }
    }

    /// Where it is; empty: in memory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is kept beside the journals; opened when it is first asked for.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn stores(&self) -> Result<&Stores, ExecutorError> {
        if let Some(stores) = self.stores.get() {
            return Ok(stores);
        }
        fs::create_dir_all(&self.path).map_err(|error| ExecutorError::file(&self.path, &error))?;
        let opened = (self.open)(&self.path.join(self.store))?;
        Ok(self.stores.get_or_init(|| opened))
    }

    /// The same; `None` where nothing has been kept there yet.
    pub(crate) fn known_stores(&self) -> Result<Option<&Stores>, ExecutorError> {
        if self.stores.get().is_none() && !self.path.join(self.store).exists() {
            return Ok(None);
        }
        self.stores().map(Some)
    }

    /// The runs that the query asks for, the newest first, without disturbing whoever has them.
    ///
    /// # Errors
    /// A journal or the store cannot be read, or the query makes no sense.
    pub fn runs(&self, query: &RunQuery) -> Result<Vec<KnownRun>, ExecutorError> {
        let live = self.live()?;
        let mut summaries: Vec<RunSummary> = live.iter().map(|run| run.summary.clone()).collect();
        if let Some(stores) = self.known_stores()? {
            let kept = stores.runs.list(query)?.runs.into_iter();
            // One that is in both was archived a moment ago.
            summaries.extend(kept.filter(|kept| !live.iter().any(|run| run.summary.id == kept.id)));
        }
        let page = query.select(summaries)?.runs.into_iter();
        Ok(page.map(|summary| self.known(summary, &live)).collect())
    }

    fn known(&self, summary: RunSummary, live: &[KnownRun]) -> KnownRun {
        let found = live.iter().find(|run| run.summary.id == summary.id);
        found.cloned().unwrap_or(KnownRun { summary, holder: None, place: Place::Archive })
    }

    /// The run that `given` means: its id, the beginning of it, or `@last`.
    ///
    /// # Errors
    /// None or more than one is meant, or a journal or the store cannot be read.
    pub fn find(&self, given: &str) -> Result<KnownRun, ExecutorError> {
        let unknown = || ExecutorError::UnknownRun(given.to_owned());
        let is_last = given == "@last";
        if !is_last && (given.is_empty() || !given.chars().all(|c| c.is_ascii_hexdigit() || c == '-')) {
            return Err(unknown());
        }
        if is_last {
            return self.last()?.ok_or_else(unknown);
        }
        let query = RunQuery { id_prefix: Some(given.to_owned()), limit: 12, ..RunQuery::default() };
        let mut runs = self.runs(&query)?;
        match runs.len() {
            0 => Err(unknown()),
            1 => Ok(runs.swap_remove(0)),
            _ => {
                let candidates = runs.iter().map(|run| run.id().to_string()).collect();
                Err(ExecutorError::AmbiguousRun { given: given.to_owned(), candidates })
            }
        }
    }

    /// The newest run that is no step of another.
    fn last(&self) -> Result<Option<KnownRun>, ExecutorError> {
        let mut query = RunQuery { limit: 100, ..RunQuery::default() };
        loop {
            let runs = self.runs(&query)?;
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

    /// The run with exactly this id, if there is one.
    pub(crate) fn get(&self, run: Uuid) -> Result<Option<KnownRun>, ExecutorError> {
        match self.find(&run.to_string()) {
            Ok(known) => Ok(Some(known)),
            Err(ExecutorError::UnknownRun(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The records of `run`, as they stand now.
    ///
    /// # Errors
    /// They cannot be read, or the run is gone.
    pub fn records(&self, run: &KnownRun) -> Result<Vec<Record>, ExecutorError> {
        if let Place::Log(folder) = &run.place
            && let Some((_, records)) = self.peek(folder)?.into_iter().find(|(id, _)| *id == run.id())
        {
            return Ok(records);
        }
        let kept = match self.known_stores()? {
            Some(stores) => archive::get(stores, run.id())?,
            None => None,
        };
        kept.ok_or_else(|| ExecutorError::UnknownRun(run.id().to_string()))
    }

    /// What the journal tells of `run`, as it stands now.
    ///
    /// # Errors
    /// It cannot be read, or the run is gone.
    pub fn history(&self, run: &KnownRun) -> Result<History, ExecutorError> {
        let damaged = |message| JournalError::Damaged { run: run.id(), message };
        let history = History::read(&self.records(run)?).map_err(damaged)?;
        history.ok_or_else(|| ExecutorError::UnknownRun(run.id().to_string()))
    }

    /// Tells a run something. It is kept; returns whether a process that has the run was told as well.
    ///
    /// # Errors
    /// The run has ended, or the store cannot be written.
    pub fn post(&self, run: &KnownRun, message: &Message) -> Result<Delivery, ExecutorError> {
        if run.status().has_ended() {
            return Err(ExecutorError::Ended { run: run.id() });
        }
        self.stores()?.inbox.post(run.id(), &Uuid::now_v7().to_string(), message)?;
        // Looked at only now: whoever has taken the run over meanwhile reads the message by itself.
        let Place::Log(folder) = &run.place else { return Ok(Delivery::Kept) };
        let Some(holder) = self.holder(folder)? else { return Ok(Delivery::Kept) };
        let told = self.reach(folder).is_some_and(|port| bell::ring(port, run.id()));
        Ok(if told { Delivery::Told } else { Delivery::Unanswered(holder) })
    }

    /// All runs that are in a journal.
    fn live(&self) -> Result<Vec<KnownRun>, ExecutorError> {
        let mut runs = Vec::new();
        for (_, folder) in self.logs()? {
            let holder = self.holder(&folder)?;
            for (run, records) in self.peek(&folder)? {
                let owner = holder.as_ref().map(|holder| holder.0.as_str());
                // One without a start was never acknowledged to anybody.
                if let Some(summary) = RunSummary::of(run, &records, owner) {
                    runs.push(KnownRun { summary, holder: holder.clone(), place: Place::Log(folder.clone()) });
                }
            }
        }
        Ok(runs)
    }
}

/// What became of a message to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The process that has the run knows.
    Told,
    /// No process has the run; it is told when it goes on.
    Kept,
    /// This process has the run and does not answer; it is told when it does.
    Unanswered(Holder),
}
