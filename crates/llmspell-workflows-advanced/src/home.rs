//! A folder where runs live.
//!
//! ```text
//! HOME/definitions/HASH.json   what runs are pinned to
//! HOME/log/NUMBER/             the journal of one process, which holds its lock
//! HOME/log/NUMBER/holder.json  who that is
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmspell_workflows_basic::{StepError, model::Definition};
use llmspell_workflows_state::{
    End, History, Journal, JournalError, Record, Started, WalJournal,
    disk::{Disk, SystemDisk},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ExecutorError;

const HOLDER: &str = "holder.json";

/// A folder with the journals of all processes that use it, and the definitions of their runs.
#[derive(Debug, Clone)]
pub struct Home {
    path: PathBuf,
}

/// The journal of this process, until it is dropped.
#[derive(Debug, Clone)]
pub struct Claim {
    pub(crate) home: Home,
    pub(crate) journal: Arc<dyn Journal>,
}

/// Who has a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder(pub String);

/// A run as its journal shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRun {
    /// Its id.
    pub run: Uuid,
    /// What it was started with.
    pub started: Started,
    /// How it ended, and when; `None`: it has not.
    pub end: Option<(End, jiff::Timestamp)>,
    /// The process that has it; `None`: that process has died, and the run waits for someone to go on with it.
    pub holder: Option<Holder>,
    folder: PathBuf,
}

impl KnownRun {
    /// `completed`, `failed`, `skipped`, `cancelled`; `running` where a process has it, else `interrupted`.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match (&self.end, &self.holder) {
            (Some((End::Completed { .. }, _)), _) => "completed",
            (Some((End::Failed(_), _)), _) => "failed",
            (Some((End::Cancelled(_), _)), _) => "cancelled",
            (Some((End::Skipped(_), _)), _) => "skipped",
            (None, Some(_)) => "running",
            (None, None) => "interrupted",
        }
    }
}

impl KnownRun {
    /// Why it failed, if it did.
    #[must_use]
    pub fn error(&self) -> Option<&StepError> {
        match &self.end {
            Some((End::Failed(failure), _)) => Some(&failure.error),
            _ => None,
        }
    }
}

impl Home {
    /// The home in the folder `path`, which is made when it is first claimed.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A journal for this process: one whose process has died, with all its runs, or a new one.
    ///
    /// # Errors
    /// A journal cannot be read or made.
    pub fn claim(&self) -> Result<Claim, ExecutorError> {
        let mut number = 1;
        for (known, folder) in self.logs()? {
            match self.claim_folder(&folder) {
                Err(ExecutorError::Journal(JournalError::Held { .. })) => number = known + 1,
                claimed => return claimed,
            }
        }
        // Two processes may come to the same number; one of them goes on to the next.
        loop {
            match self.claim_folder(&self.log().join(format!("{number:06}"))) {
                Err(ExecutorError::Journal(JournalError::Held { .. })) => number += 1,
                claimed => return claimed,
            }
        }
    }

    /// The journal that `run` is in, for this process.
    ///
    /// # Errors
    /// The process that has it is alive, or the journal cannot be read.
    pub fn claim_of(&self, run: &KnownRun) -> Result<Claim, ExecutorError> {
        self.claim_folder(&run.folder).map_err(|error| match error {
            ExecutorError::Journal(JournalError::Held { holder, .. }) => ExecutorError::Held { run: run.run, holder },
            error => error,
        })
    }

    /// All runs, the newest first, without disturbing whoever has them.
    ///
    /// # Errors
    /// A journal cannot be read.
    pub fn runs(&self) -> Result<Vec<KnownRun>, ExecutorError> {
        let mut runs = Vec::new();
        for (_, folder) in self.logs()? {
            let holder = WalJournal::is_held(&folder)?.then(|| Holder(holder(&folder)));
            for (run, records) in WalJournal::peek(&folder)? {
                let started = records.iter().find_map(|record| match record {
                    Record::Started(started) => Some((**started).clone()),
                    _ => None,
                });
                let end = records.iter().find_map(|record| match record {
                    Record::Closed { end, at } => Some((end.clone(), *at)),
                    _ => None,
                });
                // One without a start was never acknowledged to anybody.
                if let Some(started) = started {
                    runs.push(KnownRun { run, started, end, holder: holder.clone(), folder: folder.clone() });
                }
            }
        }
        runs.sort_by_key(|run| std::cmp::Reverse((run.started.at, run.run)));
        Ok(runs)
    }

    /// The run that `given` means: its id, the beginning of it, or `@last`.
    ///
    /// # Errors
    /// None or more than one is meant, or a journal cannot be read.
    pub fn find(&self, given: &str) -> Result<KnownRun, ExecutorError> {
        let unknown = || ExecutorError::UnknownRun(given.to_owned());
        let mut runs = self.runs()?;
        if given == "@last" {
            return if runs.is_empty() { Err(unknown()) } else { Ok(runs.swap_remove(0)) };
        }
        runs.retain(|run| !given.is_empty() && run.run.to_string().starts_with(given));
        match runs.len() {
            0 => Err(unknown()),
            1 => Ok(runs.swap_remove(0)),
            _ => {
                let candidates = runs.iter().map(|run| run.run.to_string()).collect();
                Err(ExecutorError::AmbiguousRun { given: given.to_owned(), candidates })
            }
        }
    }

    /// What the journal tells of `run`, as it stands now.
    ///
    /// # Errors
    /// The journal cannot be read, or has let go of the run meanwhile.
    pub fn history(&self, run: &KnownRun) -> Result<History, ExecutorError> {
        let unknown = || ExecutorError::UnknownRun(run.run.to_string());
        let (_, records) =
            WalJournal::peek(&run.folder)?.into_iter().find(|(id, _)| *id == run.run).ok_or_else(unknown)?;
        let history = History::read(&records).map_err(|message| JournalError::Damaged { run: run.run, message })?;
        history.ok_or_else(unknown)
    }

    /// The definition of this hash.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn definition(&self, hash: &str) -> Result<Definition, ExecutorError> {
        let path = self.definition_path(hash);
        let text = fs::read(&path).map_err(|error| ExecutorError::file(&path, &error))?;
        serde_json::from_slice(&text)
            .map_err(|error| ExecutorError::file(&path, &io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    /// Keeps `definition` for the runs that are pinned to it; returns its hash.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, definition: &Definition) -> Result<String, ExecutorError> {
        let hash = definition.hash().to_string();
        let path = self.definition_path(&hash);
        if path.exists() {
            return Ok(hash);
        }
        let kept = || {
            let folder = path.parent().expect("it is in the home");
            SystemDisk.create_dir(folder)?;
            // Under a name of its own first, so that half of it is never found under its hash.
            let draft = folder.join(format!(".{hash}.{}", Uuid::now_v7()));
            let file = fs::File::create_new(&draft)?;
            serde_json::to_writer(&file, definition)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            fs::File::open(folder)?.sync_all()
        };
        kept().map_err(|error| ExecutorError::file(&path, &error))?;
        Ok(hash)
    }

    fn definition_path(&self, hash: &str) -> PathBuf {
        self.path.join("definitions").join(format!("{hash}.json"))
    }

    fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    fn logs(&self) -> Result<Vec<(u32, PathBuf)>, ExecutorError> {
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

    fn claim_folder(&self, folder: &Path) -> Result<Claim, ExecutorError> {
        let journal = WalJournal::open_dir(folder).map_err(|error| match error {
            JournalError::Held { path, .. } => JournalError::Held { path, holder: holder(folder) },
            error => error,
        })?;
        let path = folder.join(HOLDER);
        let command = std::env::args().next().unwrap_or_default();
        let holder = json!({"pid": std::process::id(), "command": command}).to_string();
        fs::write(&path, holder).map_err(|error| ExecutorError::file(&path, &error))?;
        Ok(Claim { home: self.clone(), journal: Arc::new(journal) })
    }
}

/// Who says that it has the journal in `folder`.
fn holder(folder: &Path) -> String {
    let text = fs::read(folder.join(HOLDER)).unwrap_or_default();
    match serde_json::from_slice::<Value>(&text) {
        Ok(holder) => format!("process {} ({})", holder["pid"], holder["command"].as_str().unwrap_or_default()),
        Err(_) => "which does not say who it is".to_owned(),
    }
}
