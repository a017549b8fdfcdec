//! Journals that allow only one process at a time.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_state::{Epoch, Journal, JournalContents, JournalError, JournalWrapper, JournaledRun};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::Folder;
use crate::ExecutorError;

/// The kind of journals in a home.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JournalKind {
    /// One write-ahead log per process; several processes can share the home.
    #[default]
    Log,
    /// A journal in fjall, which allows only one process at a time; requires the feature `fjall`.
    Fjall,
    /// A journal in sled, which allows only one process at a time; requires the feature `sled`.
    Sled,
}

impl JournalKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Log, Self::Fjall, Self::Sled];

    /// Returns the name of the kind, which is also the name of the journal's folder in the home.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Fjall => "fjall",
            Self::Sled => "sled",
        }
    }

    /// Returns whether this program was built with support for this kind.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Log => true,
            Self::Fjall => cfg!(feature = "fjall"),
            Self::Sled => cfg!(feature = "sled"),
        }
    }

    fn open(self, folder: &Path) -> Result<Arc<dyn Journal>, ExecutorError> {
        match self {
            #[cfg(feature = "fjall")]
            Self::Fjall => Ok(Arc::new(llmspell_workflows_state::FjallJournal::open_dir(folder)?)),
            #[cfg(feature = "sled")]
            Self::Sled => Ok(Arc::new(llmspell_workflows_state::SledJournal::open_dir(folder)?)),
            kind => {
                let _ = folder;
                Err(ExecutorError::JournalNotBuilt { kind })
            }
        }
    }
}

impl FromStr for JournalKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("unknown journal `{text}`; use log, fjall or sled"))
    }
}

impl fmt::Display for JournalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The only journal of a home. This process keeps it open from the first access until the home is dropped.
#[derive(Debug)]
pub(super) struct SingleJournal {
    kind: JournalKind,
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    opened: Option<Arc<dyn Journal>>,
    leased: Weak<LeasedJournal>,
}

/// The journal while an executor holds a lease. Once this value is dropped, another executor of
/// this process can lease the journal.
#[derive(Debug)]
struct LeasedJournal(Arc<dyn Journal>);

/// Blocks the thread until `future` completes; must be called on a thread that may block.
fn wait<T>(future: impl Future<Output = T>) -> T {
    Handle::current().block_on(future)
}

/// Reads a run. No copies of the run exist elsewhere, so its epoch does not matter.
fn read(journal: &dyn Journal, run: Uuid) -> JournaledRun {
    JournaledRun { run, epoch: Epoch::default(), records: wait(journal.records(run)) }
}

impl SingleJournal {
    pub(super) fn new(kind: JournalKind, folder: PathBuf) -> Self {
        Self { kind, folder, state: Mutex::default() }
    }

    pub(super) fn kind(&self) -> JournalKind {
        self.kind
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn exists(&self) -> bool {
        self.folder.exists()
    }

    pub(super) fn is_leased(&self) -> bool {
        self.state().leased.strong_count() > 0
    }

    /// Returns all runs.
    pub(super) fn contents(&self) -> Result<JournalContents, ExecutorError> {
        let journal = self.opened(&mut self.state())?;
        let mut all = journal.runs();
        all.sort_unstable();
        let runs = all.into_iter().map(|run| read(&*journal, run)).collect();
        Ok(JournalContents { runs, damage: Vec::new() })
    }

    /// Returns a run.
    pub(super) fn run(&self, run: Uuid) -> Result<Option<JournaledRun>, ExecutorError> {
        let journal = self.opened(&mut self.state())?;
        Ok(journal.runs().contains(&run).then(|| read(&*journal, run)))
    }

    /// Leases the journal unless another executor has leased it.
    pub(super) fn lease(&self) -> Result<Arc<dyn Journal>, ExecutorError> {
        let mut state = self.state();
        if state.leased.strong_count() > 0 {
            let path = self.folder.display().to_string();
            let holder = "another executor of this process".to_owned();
            return Err(JournalError::Held { path, holder }.into());
        }
        let leased = Arc::new(LeasedJournal(self.opened(&mut state)?));
        state.leased = Arc::downgrade(&leased);
        Ok(leased)
    }

    fn opened(&self, state: &mut State) -> Result<Arc<dyn Journal>, ExecutorError> {
        if let Some(journal) = &state.opened {
            return Ok(journal.clone());
        }
        let opened = self.kind.open(&self.folder).map_err(|error| match error {
            ExecutorError::Journal(JournalError::Held { path, holder }) => {
                ExecutorError::InUse { path: path.into(), kind: self.kind, holder }
            }
            error => error,
        })?;
        Ok(state.opened.insert(opened).clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Folder {
    /// Checks that no runs are in a journal of a different kind, where they would be overlooked.
    pub(super) fn check_kind(&self) -> Result<(), ExecutorError> {
        let is_other = |kind: &JournalKind| *kind != self.kind() && has_files(&self.path.join(kind.as_str()));
        match JournalKind::ALL.into_iter().find(is_other) {
            Some(found) => Err(ExecutorError::OtherJournal { path: self.path.clone(), found, asked: self.kind() }),
            None => Ok(()),
        }
    }
}

fn has_files(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

impl JournalWrapper for LeasedJournal {
    fn inner(&self) -> &dyn Journal {
        &*self.0
    }
}
