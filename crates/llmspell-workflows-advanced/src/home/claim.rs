//! The journal of a process.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmspell_workflows_state::{JournalError, WalJournal, store::RunSummary};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Holder, Home};
use crate::ExecutorError;

const HOLDER: &str = "holder.json";

/// A journal that this process has until this is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) folder: PathBuf,
    pub(crate) journal: Arc<WalJournal>,
    /// Runs in it that have ended.
    pub(crate) ended: Vec<Uuid>,
}

impl Home {
    /// A journal for new runs: one whose process has died and left no run that could go on, or a new one.
    pub(crate) fn claim(&self, port: u16) -> Result<Claim, ExecutorError> {
        let mut number = 1;
        for (known, folder) in self.logs()? {
            number = known + 1;
            if WalJournal::is_held(&folder)? {
                continue;
            }
            if let Some(claim) = self.claim_ended(&folder, port)? {
                return Ok(claim);
            }
        }
        // Two processes may come to the same number; one of them goes on to the next.
        loop {
            match claim_folder(&self.log().join(format!("{number:06}")), port) {
                Err(ExecutorError::Journal(JournalError::Held { .. })) => number += 1,
                claimed => return claimed,
            }
        }
    }

    /// The journal in `folder`, unless a run in it could go on or another process has it.
    fn claim_ended(&self, folder: &Path, port: u16) -> Result<Option<Claim>, ExecutorError> {
        let runs = WalJournal::peek(folder)?;
        let ended = runs.iter().filter_map(|(run, records)| RunSummary::of(*run, records, None));
        if ended.clone().any(|run| !run.status.has_ended()) {
            return Ok(None);
        }
        let ended = ended.map(|run| run.id).collect();
        match claim_folder(folder, port) {
            Err(ExecutorError::Journal(JournalError::Held { .. })) => Ok(None),
            claimed => claimed.map(|claim| Some(Claim { ended, ..claim })),
        }
    }
}

impl Home {
    /// The journal in `folder`, for this process, which answers at `port`.
    pub(crate) fn claim_folder(&self, folder: &Path, port: u16) -> Result<Claim, ExecutorError> {
        let runs = WalJournal::peek(folder)?;
        let summaries = runs.iter().filter_map(|(run, records)| RunSummary::of(*run, records, None));
        let ended = summaries.filter(|run| run.status.has_ended()).map(|run| run.id).collect();
        claim_folder(folder, port).map(|claim| Claim { ended, ..claim })
    }
}

/// The journal in `folder`, for this process, which answers at `port`.
fn claim_folder(folder: &Path, port: u16) -> Result<Claim, ExecutorError> {
    let journal = WalJournal::open_dir(folder).map_err(|error| match error {
        JournalError::Held { path, .. } => JournalError::Held { path, holder: holder(folder).0 },
        error => error,
    })?;
    let path = folder.join(HOLDER);
    let command = std::env::args().next().unwrap_or_default();
    let holder = json!({"pid": std::process::id(), "command": command, "port": port}).to_string();
    fs::write(&path, holder).map_err(|error| ExecutorError::file(&path, &error))?;
    Ok(Claim { folder: folder.to_owned(), journal: Arc::new(journal), ended: Vec::new() })
}

/// Who says that it has the journal in `folder`.
pub(super) fn holder(folder: &Path) -> Holder {
    Holder(match says(folder) {
        Some(holder) => format!("process {} ({})", holder["pid"], holder["command"].as_str().unwrap_or_default()),
        None => "which does not say who it is".to_owned(),
    })
}

/// Where whoever has the journal in `folder` can be reached.
pub(super) fn reach(folder: &Path) -> Option<u16> {
    says(folder)?["port"].as_u64()?.try_into().ok()
}

fn says(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(folder.join(HOLDER)).ok()?).ok()
}
