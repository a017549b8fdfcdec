//! The journal of a process.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmspell_workflows_state::{
    Journal, JournalError, Receipt, Record, WalJournal,
    disk::{Taken, take_or_tell},
    store::RunSummary,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Holder, Home};
use crate::ExecutorError;

const HOLDER: &str = "holder.json";

/// A journal that this process has until this is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) folder: PathBuf,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) reads: Arc<dyn Reads>,
    /// Runs in it that have ended.
    pub(crate) ended: Vec<Uuid>,
}

/// Reads a run of a journal without taking it over.
pub(crate) trait Reads: Send + Sync + fmt::Debug {
    /// The records of `run` as they stand now; none where the journal has forgotten it.
    fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError>;
}

impl Reads for WalJournal {
    fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        Self::records(self, run)
    }
}

impl Claim {
    fn new<J: Journal + Reads + 'static>(folder: &Path, journal: Arc<J>) -> Self {
        Self { folder: folder.to_owned(), reads: journal.clone(), journal, ended: Vec::new() }
    }

    /// Writes all records of a run that no journal has yet.
    pub(crate) async fn take_in(&self, run: Uuid, records: &[Record]) -> Result<(), JournalError> {
        let opened = self.journal.open(run).await?;
        let mut last: Option<Receipt> = None;
        for record in records {
            last = Some(self.journal.append(run, opened.epoch, record)?);
        }
        match last {
            Some(receipt) => self.journal.sync(receipt).await,
            None => Ok(()),
        }
    }
}

impl Home {
    /// A journal for new runs: one whose process has died and left no run that could go on, or a new one.
    pub(crate) fn claim(&self, port: u16) -> Result<Claim, ExecutorError> {
        if let Some(single) = &self.single {
            self.check_kind()?;
            return self.claim_folder(single.folder(), port);
        }
        let mut number = 1;
        for (known, folder) in self.logs()? {
            number = known + 1;
            if self.is_held(&folder)? {
                continue;
            }
            if let Some(claim) = self.claim_ended(&folder, port)? {
                return Ok(claim);
            }
        }
        // Two processes may come to the same number; one of them goes on to the next.
        loop {
            match self.open_log(&self.log().join(format!("{number:06}")), port) {
                Err(ExecutorError::Journal(JournalError::Held { .. })) => number += 1,
                claimed => return claimed,
            }
        }
    }

    /// The journal in `folder`, unless a run in it could go on or another process has it.
    fn claim_ended(&self, folder: &Path, port: u16) -> Result<Option<Claim>, ExecutorError> {
        let runs = self.peek(folder)?;
        let ended = runs.iter().filter_map(|(run, records)| RunSummary::of(*run, records, None));
        if ended.clone().any(|run| !run.status.has_ended()) {
            return Ok(None);
        }
        let ended = ended.map(|run| run.id).collect();
        match self.open_log(folder, port) {
            Err(ExecutorError::Journal(JournalError::Held { .. })) => Ok(None),
            claimed => claimed.map(|claim| Some(Claim { ended, ..claim })),
        }
    }
}

impl Home {
    /// The journal in `folder`, for this process, which answers at `port`.
    pub(crate) fn claim_folder(&self, folder: &Path, port: u16) -> Result<Claim, ExecutorError> {
        let runs = self.peek(folder)?;
        let summaries = runs.iter().filter_map(|(run, records)| RunSummary::of(*run, records, None));
        let ended = summaries.filter(|run| run.status.has_ended()).map(|run| run.id).collect();
        self.open_log(folder, port).map(|claim| Claim { ended, ..claim })
    }

    fn open_log(&self, folder: &Path, port: u16) -> Result<Claim, ExecutorError> {
        let claim = match (&self.memory, &self.single) {
            (Some(memory), _) => return Ok(Claim::new(folder, memory.open(folder, port)?)),
            (None, Some(single)) => Claim::new(folder, single.claim()?),
            (None, None) => Claim::new(folder, Arc::new(open_log(folder)?)),
        };
        tell(folder, port)?;
        Ok(claim)
    }
}

pub(super) fn open_log(folder: &Path) -> Result<WalJournal, JournalError> {
    let take = || match WalJournal::open_dir(folder) {
        Err(JournalError::Held { .. }) => Ok(None),
        opened => opened.map(Some),
    };
    match take_or_tell(take, || told(folder))? {
        Taken::Ours(log) => Ok(log),
        Taken::By(holder) => Err(JournalError::Held { path: folder.display().to_string(), holder: named(holder).0 }),
    }
}

/// Says who has the journal in `folder`, and where it answers.
fn tell(folder: &Path, port: u16) -> Result<(), ExecutorError> {
    let path = folder.join(HOLDER);
    let command = std::env::args().next().unwrap_or_default();
    let holder = json!({"pid": std::process::id(), "command": command, "port": port}).to_string();
    fs::write(&path, holder).map_err(|error| ExecutorError::file(&path, &error))
}

/// Who has the journal in `folder`, which `is_held` says of it.
pub(super) fn holder(
    folder: &Path,
    is_held: impl Fn() -> Result<bool, ExecutorError>,
) -> Result<Option<Holder>, ExecutorError> {
    let free = || Ok::<_, ExecutorError>((!is_held()?).then_some(()));
    Ok(match take_or_tell(free, || told(folder))? {
        Taken::Ours(()) => None,
        Taken::By(holder) => Some(named(holder)),
    })
}

fn told(folder: &Path) -> Option<(u32, String)> {
    let says = says(folder)?;
    let pid = u32::try_from(says["pid"].as_u64()?).ok()?;
    Some((pid, format!("process {pid} ({})", says["command"].as_str().unwrap_or_default())))
}

fn named(holder: Option<String>) -> Holder {
    Holder(holder.unwrap_or_else(|| "a process that does not say who it is".to_owned()))
}

/// Where whoever has the journal in `folder` can be reached.
pub(super) fn reach(folder: &Path) -> Option<u16> {
    says(folder)?["port"].as_u64()?.try_into().ok()
}

fn says(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(folder.join(HOLDER)).ok()?).ok()
}
