//! Reads the journals of a folder, which other processes may be writing at the same time.

use std::path::{Path, PathBuf};

use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_state::{
    JournalContents, JournalError, JournaledRun, Record, WalJournal,
    disk::{Disk, SystemDisk},
};
use uuid::Uuid;

use super::{
    super::{Holder, JournalId, JournalSummaries},
    Folder, JournalKind, holder,
};
use crate::ExecutorError;

/// The maximum number of times a journal being written is read before it is considered damaged.
const READS_MAX: usize = 5;

impl Folder {
    pub(super) fn kind(&self) -> JournalKind {
        self.single.as_ref().map_or(JournalKind::Log, |single| single.kind())
    }

    /// Returns the folder of a journal.
    pub(super) fn dir(&self, journal: &JournalId) -> PathBuf {
        match &self.single {
            Some(single) => single.folder().to_owned(),
            None => self.path.join(JournalKind::Log.as_str()).join(journal.as_str()),
        }
    }

    /// Returns all journals.
    pub(super) fn journals(&self) -> Result<Vec<JournalId>, ExecutorError> {
        self.check_kind()?;
        if let Some(single) = &self.single {
            let id = JournalId::new(single.kind().as_str());
            return Ok(single.exists().then_some(id).into_iter().collect());
        }
        Ok(self.logs()?.into_iter().map(|(_, journal)| journal).collect())
    }

    /// Returns the logs with their numbers.
    pub(super) fn logs(&self) -> Result<Vec<(u32, JournalId)>, ExecutorError> {
        self.check_kind()?;
        let folder = self.path.join(JournalKind::Log.as_str());
        let names = SystemDisk.list(&folder).map_err(|error| ExecutorError::file(&folder, &error))?;
        let mut logs: Vec<_> =
            names.iter().filter_map(|name| Some((name.parse().ok()?, JournalId::new(name)))).collect();
        logs.sort_unstable();
        Ok(logs)
    }

    /// Returns whether a journal is leased.
    pub(super) fn is_held(&self, journal: &JournalId) -> Result<bool, ExecutorError> {
        match &self.single {
            Some(single) => Ok(single.is_leased()),
            None => Ok(WalJournal::is_held(self.dir(journal))?),
        }
    }

    pub(super) fn holder(&self, journal: &JournalId) -> Result<Option<Holder>, ExecutorError> {
        holder::holder(&self.dir(journal), || self.is_held(journal))
    }

    /// Returns a summary of each run in a journal.
    pub(super) fn summaries(&self, journal: &JournalId) -> Result<JournalSummaries, ExecutorError> {
        // The holder is looked up first: a run must not look interrupted if its holder finishes it
        // and exits between the two lookups.
        let holder = self.holder(journal)?;
        let contents = self.outlines(journal)?;
        let summaries = JournalSummaries::of(contents, holder);
        let mut occupied = lock(&self.occupied);
        match summaries.has_live() {
            true => occupied.insert(journal.clone()),
            false => occupied.remove(journal),
        };
        drop(occupied);
        Ok(summaries)
    }

    /// Returns the outlines of all runs in a journal.
    pub(super) fn outlines(&self, journal: &JournalId) -> Result<JournalContents, ExecutorError> {
        match &self.single {
            Some(single) => single.contents(),
            None => read_shared(&self.dir(journal), is_sound, |dir| WalJournal::outlines(dir)),
        }
    }

    /// Returns a run from a journal.
    pub(super) fn run_in(&self, journal: &JournalId, run: Uuid) -> Result<Option<JournaledRun>, ExecutorError> {
        match &self.single {
            Some(single) => single.run(run),
            None => read_shared(&self.dir(journal), is_run_sound, |dir| WalJournal::read_run(dir, run)),
        }
    }

    /// Returns the first record of a run in a journal.
    pub(super) fn first_record(&self, journal: &JournalId, run: Uuid) -> Result<Option<Record>, ExecutorError> {
        let read = match &self.single {
            Some(single) => single.run(run)?,
            None => read_shared(&self.dir(journal), is_run_sound, |dir| WalJournal::read_start(dir, run))?,
        };
        super::super::first_of(read)
    }

    /// Reads all records of a journal.
    pub(super) fn contents(&self, journal: &JournalId) -> Result<JournalContents, ExecutorError> {
        match &self.single {
            Some(single) => single.contents(),
            None => read_shared(&self.dir(journal), is_sound, |dir| WalJournal::read_all(dir)),
        }
    }
}

/// Returns whether a log shows no sign of damage.
fn is_sound(contents: &JournalContents) -> bool {
    contents.damage.is_empty() && contents.runs.iter().all(|run| run.records.is_ok())
}

/// Returns whether a run, if it is in the log, shows no sign of damage.
fn is_run_sound(read: &Option<JournaledRun>) -> bool {
    read.as_ref().is_none_or(|read| read.records.is_ok())
}

/// Reads a log with `read`, and repeats this if the log looks damaged while its holder may be
/// writing to it.
fn read_shared<T>(
    dir: &Path,
    is_sound: impl Fn(&T) -> bool,
    read: impl Fn(&Path) -> Result<T, JournalError>,
) -> Result<T, ExecutorError> {
    let mut result = read(dir)?;
    for _ in 1..READS_MAX {
        if is_sound(&result) || !WalJournal::is_held(dir)? {
            break;
        }
        result = read(dir)?;
    }
    Ok(result)
}
