//! Reads the journals of a folder, which other processes may be writing at the same time.

use std::path::{Path, PathBuf};

use llmspell_workflows_state::{
    JournalError, LogError, Record, WalJournal,
    disk::{Disk, SystemDisk},
    store::RunSummary,
};
use uuid::Uuid;

use super::{
    super::{Holder, JournalId, lease::ended_of},
    Folder, JournalKind, holder,
};
use crate::ExecutorError;

/// The maximum number of times to read a journal that is being written before it is considered damaged.
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
    pub(super) fn summaries(&self, journal: &JournalId) -> Result<Vec<RunSummary>, ExecutorError> {
        let holder = self.holder(journal)?;
        let owner = holder.as_ref().map(|holder| holder.0.as_str());
        // Skip runs without a start record: their start was never acknowledged.
        let summary = |(run, records): &(Uuid, Vec<Record>)| RunSummary::of(*run, records, owner);
        Ok(self.peek(journal)?.iter().filter_map(summary).collect())
    }

    /// Returns the runs in a journal that have ended, and whether it contains other runs.
    pub(super) fn ended(&self, journal: &JournalId) -> Result<(Vec<Uuid>, bool), ExecutorError> {
        if self.single.is_some() {
            let runs = self.summaries(journal)?;
            return Ok((ended_of(&runs), runs.iter().any(|run| !run.status.has_ended())));
        }
        let dir = self.dir(journal);
        let last = read_shared(&dir, || WalJournal::peek_last(&dir), || WalJournal::check_last(&dir))?;
        // Nothing is appended to a run that has ended unless it begins again.
        let (ended, live): (Vec<_>, Vec<_>) =
            last.into_iter().partition(|(_, record)| matches!(record, Record::Closed { .. }));
        Ok((ended.into_iter().map(|(run, _)| run).collect(), !live.is_empty()))
    }

    /// Returns the records of one run.
    pub(super) fn records(&self, journal: &JournalId, run: Uuid) -> Result<Option<Vec<Record>>, ExecutorError> {
        if let Some(single) = &self.single {
            return single.records(run);
        }
        let dir = self.dir(journal);
        read_shared(&dir, || WalJournal::peek_run(&dir, run), || WalJournal::check_run(&dir, run))
    }

    pub(super) fn peek(&self, journal: &JournalId) -> Result<Vec<(Uuid, Vec<Record>)>, ExecutorError> {
        if let Some(single) = &self.single {
            return single.peek();
        }
        let dir = self.dir(journal);
        read_shared(&dir, || WalJournal::peek(&dir), || WalJournal::check(&dir))
    }

    /// Reads a journal strictly: any damage to synced records is an error.
    pub(super) fn check(&self, journal: &JournalId) -> Result<Vec<(Uuid, Vec<Record>)>, ExecutorError> {
        if let Some(single) = &self.single {
            // The journal was verified when it was opened.
            return single.peek();
        }
        let dir = self.dir(journal);
        let mut read = WalJournal::check(&dir);
        for _ in 1..READS_MAX {
            // A frame looks damaged while it is being written.
            if read.is_ok() || !WalJournal::is_held(&dir)? {
                break;
            }
            read = WalJournal::check(&dir);
        }
        Ok(read?)
    }
}

/// Reads a log strictly with `check`, or with `peek` if the log looks damaged and has a holder, which may be writing.
///
/// A damaged log without a holder is an error, because a tolerant read could omit synced records.
fn read_shared<T>(
    dir: &Path,
    peek: impl Fn() -> Result<T, JournalError>,
    check: impl Fn() -> Result<T, JournalError>,
) -> Result<T, ExecutorError> {
    match check() {
        Err(JournalError::Log(LogError::Damaged { .. })) if WalJournal::is_held(dir)? => Ok(peek()?),
        // The holder may have exited after the first read, so check again.
        Err(JournalError::Log(LogError::Damaged { .. })) => Ok(check()?),
        read => Ok(read?),
    }
}
