//! What a home holds, and whether it is as it was written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use llmspell_workflows_basic::RunStatus;
use llmspell_workflows_state::{
    History, JournalError, Record, WalJournal,
    store::{RUNS_PAGE_MAX, RunQuery, Verified},
};
use uuid::Uuid;

use super::{Holder, Home, JournalKind, archive};
use crate::ExecutorError;

/// How often a journal that somebody writes is read again where it seems damaged.
const LOOKS: usize = 5;

/// What a home holds.
#[derive(Debug, Clone, PartialEq)]
pub struct HomeStats {
    /// How many runs there are, by status.
    pub runs: BTreeMap<RunStatus, usize>,
    /// Its journals.
    pub journals: Vec<JournalStats>,
    /// How many bytes its definitions take.
    pub definition_bytes: u64,
    /// How many definitions there are.
    pub definitions: usize,
    /// The adapter of its stores; none where nothing has been kept there yet.
    pub store: Option<&'static str>,
    /// How many bytes all of its files take.
    pub bytes: u64,
}

/// What a journal holds.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalStats {
    /// Where it is.
    pub folder: PathBuf,
    /// Who has it.
    pub holder: Option<Holder>,
    /// How many runs are in it that can go on.
    pub live: usize,
    /// How many have ended, and are not in the archive yet.
    pub ended: usize,
    /// How many bytes its files take.
    pub bytes: u64,
}

/// What was found where a home was read through.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HomeCheck {
    /// How many runs are in journals.
    pub live: usize,
    /// How many runs are in the archive.
    pub archived: usize,
    /// How many definitions were read.
    pub definitions: usize,
    /// What is not as it was written, each with its place.
    pub damage: Vec<String>,
}

impl Home {
    /// What it holds.
    ///
    /// # Errors
    /// A journal or the store cannot be read.
    pub fn stats(&self) -> Result<HomeStats, ExecutorError> {
        let mut runs = BTreeMap::new();
        let mut query = RunQuery { limit: RUNS_PAGE_MAX, ..RunQuery::default() };
        loop {
            let page = self.runs(&query)?;
            let Some(last) = page.last() else { break };
            query.after = Some(last.summary.cursor());
            page.iter().for_each(|run| *runs.entry(run.status()).or_insert(0) += 1);
        }
        let live = self.live()?;
        let journal = |(_, folder): (u32, PathBuf)| -> Result<JournalStats, ExecutorError> {
            let inside = || live.iter().filter(|run| run.is_in(&folder));
            let holder = self.holder(&folder)?;
            let ended = inside().filter(|run| run.status().has_ended()).count();
            let bytes = bytes_in(&folder).map_err(|error| ExecutorError::file(&folder, &error))?;
            Ok(JournalStats { holder, live: inside().count() - ended, ended, bytes, folder })
        };
        let definitions = self.path.join("definitions");
        let size = |path: &Path| bytes_in(path).map_err(|error| ExecutorError::file(path, &error));
        Ok(HomeStats {
            runs,
            journals: self.logs()?.into_iter().map(journal).collect::<Result<_, _>>()?,
            definition_bytes: size(&definitions)?,
            definitions: self.definition_hashes()?.len(),
            store: self.known_stores()?.map(|stores| stores.adapter.name()),
            bytes: size(&self.path)?,
        })
    }

    /// Reads every journal, every record, every definition and every large value.
    ///
    /// # Errors
    /// It cannot be read at all; what of it is damaged is part of the answer.
    pub fn verify(&self) -> Result<HomeCheck, ExecutorError> {
        let mut check = HomeCheck::default();
        let hashes = self.definition_hashes()?;
        for hash in &hashes {
            match self.definition(hash) {
                Ok(definition) if definition.hash() == **hash => check.definitions += 1,
                Ok(_) => check.damage.push(format!("the definition {hash} has another hash")),
                Err(error) => check.damage.push(format!("the definition {hash}: {error}")),
            }
        }
        for (_, folder) in self.logs()? {
            match self.read_all(&folder) {
                Ok(runs) => {
                    check.live += runs.len();
                    runs.iter().for_each(|(run, records)| check.records(*run, records, &hashes));
                }
                Err(error @ ExecutorError::InUse { .. }) => return Err(error),
                Err(error) => check.damage.push(error.to_string()),
            }
        }
        if let Some(stores) = self.known_stores()? {
            let verified = stores.adapter.verify()?;
            for run in &verified.archived {
                match archive::get(stores, *run) {
                    Ok(records) => check.records(*run, &records.unwrap_or_default(), &hashes),
                    Err(error @ ExecutorError::Journal(_)) => check.damage.push(error.to_string()),
                    Err(error) => return Err(error),
                }
            }
            check.take_in(&verified);
        }
        Ok(check)
    }

    /// What the journal in `folder` holds, where nothing may be missing that was synced.
    fn read_all(&self, folder: &Path) -> Result<Vec<(Uuid, Vec<Record>)>, ExecutorError> {
        if self.journal() != JournalKind::Log {
            // Opening it has looked for what is missing.
            return self.peek(folder);
        }
        let mut read = WalJournal::check(folder);
        for _ in 1..LOOKS {
            // What is half written seems damaged for a moment.
            if read.is_ok() || !WalJournal::is_held(folder)? {
                break;
            }
            read = WalJournal::check(folder);
        }
        Ok(read?)
    }

    /// The hashes of all definitions.
    pub(super) fn definition_hashes(&self) -> Result<BTreeSet<String>, ExecutorError> {
        let folder = self.path.join("definitions");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.map_err(|error| ExecutorError::file(&folder, &error))?,
        };
        let mut hashes = BTreeSet::new();
        for entry in entries {
            let entry = entry.map_err(|error| ExecutorError::file(&folder, &error))?;
            let name = entry.file_name();
            // What begins with a dot is being written.
            let hash = name.to_str().and_then(|name| name.strip_suffix(".json")).filter(|name| !name.starts_with('.'));
            hashes.extend(hash.map(str::to_owned));
        }
        Ok(hashes)
    }
}

impl HomeCheck {
    fn records(&mut self, run: Uuid, records: &[Record], definitions: &BTreeSet<String>) {
        if let Err(message) = History::read(records) {
            self.damage.push(JournalError::Damaged { run, message }.to_string());
        }
        let missing = super::transfer::hashes(records).into_iter().filter(|hash| !definitions.contains(hash));
        self.damage.extend(missing.map(|hash| format!("the definition {hash} of the run {run} is missing")));
    }

    fn take_in(&mut self, verified: &Verified) {
        self.archived = verified.archived.len();
        let lost = verified.summaries.difference(&verified.archived);
        self.damage.extend(lost.map(|run| format!("the records of the run {run} are missing from the archive")));
        self.damage.extend(verified.damage.iter().map(ToString::to_string));
    }
}

/// How many bytes the files under `path` take; what goes meanwhile takes none.
fn bytes_in(path: &Path) -> io::Result<u64> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if gone(&error) => return Ok(0),
        metadata => metadata?,
    };
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let entries = match fs::read_dir(path) {
        Err(error) if gone(&error) => return Ok(0),
        entries => entries?,
    };
    entries.map(|entry| bytes_in(&entry?.path())).sum()
}
