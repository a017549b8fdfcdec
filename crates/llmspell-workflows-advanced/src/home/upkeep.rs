//! A home is kept small, and copied.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_state::{Journal, JournalError, Record, WalJournal, store::RunSummary};
use uuid::Uuid;

use super::{Claim, Home, JournalKind, archive, claim::open_log, forget::NOWHERE};
use crate::ExecutorError;

/// What was done to keep a home small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// How many runs that have ended were moved from journals to the store.
    pub archived: usize,
    /// How many journals held nothing any more and were removed.
    pub journals_removed: usize,
    /// How many journals were left as they are, since a process that is alive has them.
    pub journals_held: usize,
}

/// What is in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackedUp {
    /// How many runs that were in a journal.
    pub live: usize,
    /// How many definitions.
    pub definitions: usize,
}

impl Home {
    /// Moves what has ended out of the journals that no process has, removes those that are empty then, and gives room
    /// in the store back to the system.
    ///
    /// # Errors
    /// A journal or the store cannot be read or written.
    pub async fn compact(&self) -> Result<Compacted, ExecutorError> {
        let mut done = Compacted::default();
        for (_, folder) in self.logs()? {
            let (claim, log) = match self.claim_to_empty(&folder) {
                Err(ExecutorError::Journal(JournalError::Held { .. })) => {
                    done.journals_held += 1;
                    continue;
                }
                claimed => claimed?,
            };
            self.archive(&claim, &claim.ended).await?;
            claim.journal.write()?;
            done.archived += claim.ended.len();
            drop(claim);
            // A journal on another engine stays, even if it is empty.
            if let Some(log) = log.and_then(Arc::into_inner)
                && log.runs().is_empty()
            {
                log.remove()?;
                done.journals_removed += 1;
            }
        }
        if let Some(stores) = self.known_stores()? {
            stores.adapter.compact()?;
        }
        Ok(done)
    }

    /// The journal in `folder`, and as what it can be removed.
    fn claim_to_empty(&self, folder: &Path) -> Result<(Claim, Option<Arc<WalJournal>>), ExecutorError> {
        if self.journal() != JournalKind::Log {
            return Ok((self.claim_folder(folder, NOWHERE)?, None));
        }
        let runs = self.peek(folder)?;
        let summaries = runs.iter().filter_map(|(run, records)| RunSummary::of(*run, records, None));
        let ended = summaries.filter(|run| run.status.has_ended()).map(|run| run.id).collect();
        let log = Arc::new(open_log(folder)?);
        Ok((Claim { folder: folder.to_owned(), reads: log.clone(), journal: log.clone(), ended }, Some(log)))
    }

    /// Copies all that is kept to the new folder `to`, while others go on. The copy is a home itself: each of its runs
    /// is as it was at some moment while this worked, and can be resumed there.
    ///
    /// # Errors
    /// There is something at `to`, or something cannot be read or written; then nothing is left there.
    pub async fn back_up(&self, to: &Path) -> Result<BackedUp, ExecutorError> {
        if to.exists() {
            return Err(ExecutorError::file(to, &io::ErrorKind::AlreadyExists.into()));
        }
        // Under another name first, so that half of it is never taken for a backup.
        let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let draft = to.with_file_name(format!(".{name}.{}", Uuid::now_v7()));
        let told = |error: io::Error| ExecutorError::file(to, &error);
        fs::create_dir_all(&draft).map_err(told)?;
        let copied = self.copy_to(&draft).await;
        let placed = copied.and_then(|copied| {
            fs::rename(&draft, to).map_err(told)?;
            let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(told)?;
            Ok(copied)
        });
        if placed.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_dir_all(&draft);
        }
        placed
    }

    /// The journals first: what leaves them meanwhile is in the store by then. The definitions last: all that runs name
    /// are there by then.
    async fn copy_to(&self, to: &Path) -> Result<BackedUp, ExecutorError> {
        let mut live = BTreeMap::<Uuid, Vec<Record>>::new();
        for (_, folder) in self.logs()? {
            live.extend(self.peek(&folder)?);
        }
        let copy = self.elsewhere(to);
        if let Some(stores) = self.known_stores()? {
            stores.adapter.back_up(&copy.store_path())?;
            let kept = copy.stores()?;
            let mut left = Vec::new();
            for (run, records) in &live {
                // One that has ended, or was deleted in the archive, since its journal was read.
                let archived = archive::get(kept, *run)?;
                left.extend(archived.filter(|all| all.len() > records.len() && all.starts_with(records)).map(|_| *run));
            }
            left.iter().for_each(|run| drop(live.remove(run)));
        }
        live.retain(|run, records| RunSummary::of(*run, records, None).is_some());
        if !live.is_empty() {
            let claim = copy.claim(NOWHERE)?;
            for (run, records) in &live {
                claim.take_in(*run, records).await?;
            }
        }
        let hashes = self.definition_hashes()?;
        for hash in &hashes {
            let definition: Definition = self.definition(hash)?;
            copy.keep(&definition)?;
        }
        Ok(BackedUp { live: live.len(), definitions: hashes.len() })
    }

    /// A home like this one in another folder.
    fn elsewhere(&self, path: &Path) -> Self {
        let other = Self { path: path.to_owned(), stores: Arc::default(), single: None, ..self.clone() };
        other.with_journal(self.journal())
    }

    fn store_path(&self) -> PathBuf {
        self.path.join(self.store)
    }
}
