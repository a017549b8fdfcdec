//! Journals of a home that has no folder.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use llmspell_workflows_state::{Around, Journal, JournalError, MemoryJournal, Record};
use uuid::Uuid;

use super::{Holder, claim::Reads};

/// The journals of all executors that share a home in memory, under names as if they were folders.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Vec<MemoryLog>>);

#[derive(Debug, Default)]
struct MemoryLog {
    journal: Arc<MemoryJournal>,
    held: Weak<HeldJournal>,
    /// Where whoever has it hears of messages.
    port: u16,
}

/// A journal in memory in the hands of an executor; dropped, another executor can take over its runs.
#[derive(Debug)]
pub(super) struct HeldJournal(Arc<MemoryJournal>);

impl Memory {
    pub(super) fn logs(&self) -> Vec<(u32, PathBuf)> {
        (1..).zip(&*self.all()).map(|(number, _)| (number, name(number))).collect()
    }

    pub(super) fn is_held(&self, folder: &Path) -> bool {
        self.with(folder, |log| log.held.strong_count() > 0).unwrap_or(false)
    }

    pub(super) fn holder() -> Holder {
        Holder("another executor of this process".to_owned())
    }

    pub(super) fn reach(&self, folder: &Path) -> Option<u16> {
        self.with(folder, |log| log.port)
    }

    pub(super) fn peek(&self, folder: &Path) -> Vec<(Uuid, Vec<Record>)> {
        let runs = |log: &mut MemoryLog| {
            let journal = &log.journal;
            let runs = journal.runs().into_iter().map(|run| (run, journal.records(run)));
            // One may be forgotten just then, and is kept elsewhere.
            runs.filter(|(_, records)| !records.is_empty()).collect()
        };
        self.with(folder, runs).unwrap_or_default()
    }

    /// The journal `folder`, made where there is none, for one who hears of messages at `port`.
    pub(super) fn open(&self, folder: &Path, port: u16) -> Result<Arc<HeldJournal>, JournalError> {
        let opened = self.with(folder, |log| {
            if log.held.strong_count() > 0 {
                return Err(JournalError::Held { path: folder.display().to_string(), holder: Self::holder().0 });
            }
            let held = Arc::new(HeldJournal(log.journal.clone()));
            (log.held, log.port) = (Arc::downgrade(&held), port);
            Ok(held)
        });
        match opened {
            Some(opened) => opened,
            None => {
                self.all().push(MemoryLog::default());
                self.open(folder, port)
            }
        }
    }

    fn with<T>(&self, folder: &Path, act: impl FnOnce(&mut MemoryLog) -> T) -> Option<T> {
        let mut all = self.all();
        (1..).zip(&mut *all).find(|(number, _)| name(*number) == folder).map(|(_, log)| act(log))
    }

    fn all(&self) -> MutexGuard<'_, Vec<MemoryLog>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(number: u32) -> PathBuf {
    PathBuf::from(format!("memory/log/{number:06}"))
}

impl Reads for HeldJournal {
    fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        Ok(self.0.records(run))
    }
}

impl Around for HeldJournal {
    fn inner(&self) -> &dyn Journal {
        &*self.0
    }
}
