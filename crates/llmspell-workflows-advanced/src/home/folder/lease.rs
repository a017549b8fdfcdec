//! Leases journals, and claims runs.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use llmspell_workflows_basic::sync::lock;
use llmspell_workflows_state::{
    Journal, JournalError, WalJournal,
    disk::{Disk, DiskLock, LockAttempt, SystemDisk, acquire_or_identify},
};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    super::{Claim, Contact, JournalId, Lease},
    Folder, holder,
};
use crate::ExecutorError;

/// The time to wait for a claim, or for a journal that another process needs only briefly.
const BRIEF_WAIT: Duration = Duration::from_secs(10);

/// The interval between checks during this wait.
const BRIEF_STEP: Duration = Duration::from_millis(2);

impl Folder {
    /// Leases `journal` for a process that is notified of messages at `contact`.
    pub(super) fn lease(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError> {
        let deadline = Instant::now() + BRIEF_WAIT;
        loop {
            match self.open(journal, contact) {
                // The holder is moving a run out of the journal or inspecting it, so the journal
                // will soon be free again.
                Err(ExecutorError::Journal(JournalError::Held { .. }))
                    if holder::is_brief(&self.dir(journal)) && Instant::now() < deadline =>
                {
                    thread::sleep(BRIEF_STEP);
                }
                leased => return leased,
            }
        }
    }

    /// Leases an unleased journal without runs to resume, or a new journal.
    pub(super) fn lease_for_new_runs(&self, contact: Contact) -> Result<Lease, ExecutorError> {
        if let Some(single) = &self.single {
            self.check_kind()?;
            return self.lease(&JournalId::new(single.kind().as_str()), contact);
        }
        let mut number = 1;
        for (known, journal) in self.logs()? {
            number = known + 1;
            // A recently listed journal need not be read again.
            if lock(&self.occupied).contains(&journal) || self.is_held(&journal)? {
                continue;
            }
            if let Some(lease) = self.lease_if_ended(&journal, contact)? {
                return Ok(lease);
            }
        }
        // If two processes pick the same number, one of them tries the next number.
        loop {
            match self.open(&JournalId::new(&format!("{number:06}")), contact) {
                Err(ExecutorError::Journal(JournalError::Held { .. })) => number += 1,
                leased => return leased,
            }
        }
    }

    /// Leases `journal` unless it contains a run to resume, is damaged, or another process holds it.
    fn lease_if_ended(&self, journal: &JournalId, contact: Contact) -> Result<Option<Lease>, ExecutorError> {
        // An unreadable journal is left alone; the error is reported once one of its runs is needed.
        if self.summaries(journal).map_or(true, |summaries| summaries.has_live()) {
            return Ok(None);
        }
        match self.open(journal, contact) {
            Err(ExecutorError::Journal(JournalError::Held { .. })) => Ok(None),
            leased => leased.map(Some),
        }
    }

    fn open(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError> {
        let dir = self.dir(journal);
        let opened: Arc<dyn Journal> = match &self.single {
            Some(single) => single.lease()?,
            None => Arc::new(open_log(&dir)?),
        };
        holder::announce(&dir, contact)?;
        // This runs on a thread that may block.
        let ended = Handle::current().block_on(async {
            opened.compact(false).await?;
            opened.ended().await
        })?;
        Ok(Lease { id: journal.clone(), journal: opened, ended })
    }

    /// Claims `run` so that the caller can move it.
    pub(super) fn claim(&self, run: Uuid) -> Result<Claim, ExecutorError> {
        let path = self.path.join("claims").join(run.to_string());
        let error = |error: std::io::Error| ExecutorError::file(&path, &error);
        let deadline = Instant::now() + BRIEF_WAIT;
        loop {
            if let Some(lock) = SystemDisk.lock(&path).map_err(error)? {
                return Ok(Claim::new(ClaimFile { path: path.clone(), _lock: lock }));
            }
            if Instant::now() > deadline {
                return Err(ExecutorError::Held { run, holder: "another process that is moving it".to_owned() });
            }
            thread::sleep(BRIEF_STEP);
        }
    }
}

/// The locked file of a claim. The file is removed before it is unlocked.
struct ClaimFile {
    path: std::path::PathBuf,
    _lock: Box<dyn DiskLock>,
}

impl Drop for ClaimFile {
    fn drop(&mut self) {
        // A leftover file does not prevent another claim.
        let _ = SystemDisk.remove(&self.path);
    }
}

/// Opens the log in `folder` unless a running process holds it.
pub(super) fn open_log(folder: &Path) -> Result<WalJournal, JournalError> {
    let take = || match WalJournal::open_dir(folder) {
        Err(JournalError::Held { .. }) => Ok(None),
        opened => opened.map(Some),
    };
    match acquire_or_identify(take, || holder::read_holder(folder))? {
        LockAttempt::Acquired(log) => Ok(log),
        LockAttempt::HeldBy(holder) => {
            let holder = holder::holder_or_unknown(holder).0;
            Err(JournalError::Held { path: folder.display().to_string(), holder })
        }
    }
}
