//! The journals of a home, wherever they are.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use llmspell_workflows_state::{JournalError, LogError, Record, WalJournal};
use uuid::Uuid;

use super::{Holder, Home, claim, memory::Memory};
use crate::ExecutorError;

impl Home {
    /// Where journals are made.
    pub(super) fn log(&self) -> PathBuf {
        if self.memory.is_some() { PathBuf::from("memory/log") } else { self.path.join("log") }
    }

    /// All journals, by their numbers.
    pub(super) fn logs(&self) -> Result<Vec<(u32, PathBuf)>, ExecutorError> {
        if let Some(memory) = &self.memory {
            return Ok(memory.logs());
        }
        self.check_kind()?;
        if let Some(single) = &self.single {
            return Ok(single.exists().then(|| (1, single.folder().to_owned())).into_iter().collect());
        }
        let log = self.log();
        let entries = match fs::read_dir(&log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| ExecutorError::file(&log, &error))?,
        };
        let mut logs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| ExecutorError::file(&log, &error))?;
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            logs.extend(number.map(|number| (number, entry.path())));
        }
        logs.sort_unstable();
        Ok(logs)
    }

    /// Whether somebody has the journal in `folder`.
    pub(super) fn is_held(&self, folder: &Path) -> Result<bool, ExecutorError> {
        match (&self.memory, &self.single) {
            (Some(memory), _) => Ok(memory.is_held(folder)),
            (None, Some(single)) => Ok(single.is_claimed()),
            (None, None) => Ok(WalJournal::is_held(folder)?),
        }
    }

    /// Who has the journal in `folder`.
    pub(super) fn holder(&self, folder: &Path) -> Result<Option<Holder>, ExecutorError> {
        if self.memory.is_some() {
            return Ok(self.is_held(folder)?.then(Memory::holder));
        }
        claim::holder(folder, || self.is_held(folder))
    }

    /// Where whoever has the journal in `folder` can be reached.
    pub(super) fn reach(&self, folder: &Path) -> Option<u16> {
        match &self.memory {
            Some(memory) => memory.reach(folder),
            None => claim::reach(folder),
        }
    }

    /// What the journal in `folder` holds now, run by run.
    pub(super) fn peek(&self, folder: &Path) -> Result<Vec<(Uuid, Vec<Record>)>, ExecutorError> {
        match (&self.memory, &self.single) {
            (Some(memory), _) => Ok(memory.peek(folder)),
            (None, Some(single)) => single.peek(),
            (None, None) => peek(folder),
        }
    }
}

/// What is half written seems damaged for a moment. Where nobody writes it is, and less than what was synced would be a
/// wrong answer.
fn peek(folder: &Path) -> Result<Vec<(Uuid, Vec<Record>)>, ExecutorError> {
    match WalJournal::check(folder) {
        Err(JournalError::Log(LogError::Damaged { .. })) if WalJournal::is_held(folder)? => {
            Ok(WalJournal::peek(folder)?)
        }
        // Whoever had it may have gone meanwhile.
        Err(JournalError::Log(LogError::Damaged { .. })) => Ok(WalJournal::check(folder)?),
        read => Ok(read?),
    }
}
