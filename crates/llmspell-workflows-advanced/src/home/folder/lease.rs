//! Leases journals.

use std::{path::Path, sync::Arc};

use llmspell_workflows_state::{
    JournalError, WalJournal,
    disk::{LockAttempt, acquire_or_identify},
};

use super::{
    super::{Contact, JournalId, Lease},
    Folder, holder,
};
use crate::ExecutorError;

impl Folder {
    /// Leases `journal` for a process that is notified of messages at `contact`.
    pub(super) fn lease(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError> {
        let (ended, _) = self.ended(journal)?;
        Ok(Lease { ended, ..self.open(journal, contact)? })
    }

    /// Leases an unleased journal that has no runs to resume, or a new journal.
    pub(super) fn lease_for_new_runs(&self, contact: Contact) -> Result<Lease, ExecutorError> {
        if let Some(single) = &self.single {
            self.check_kind()?;
            return self.lease(&JournalId::new(single.kind().as_str()), contact);
        }
        let mut number = 1;
        for (known, journal) in self.logs()? {
            number = known + 1;
            if self.is_held(&journal)? {
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

    /// Leases `journal` unless it contains a run to resume or another process holds it.
    fn lease_if_ended(&self, journal: &JournalId, contact: Contact) -> Result<Option<Lease>, ExecutorError> {
        let (ended, has_live) = self.ended(journal)?;
        if has_live {
            return Ok(None);
        }
        match self.open(journal, contact) {
            Err(ExecutorError::Journal(JournalError::Held { .. })) => Ok(None),
            leased => leased.map(|lease| Some(Lease { ended, ..lease })),
        }
    }

    fn open(&self, journal: &JournalId, contact: Contact) -> Result<Lease, ExecutorError> {
        let dir = self.dir(journal);
        let lease = match &self.single {
            Some(single) => Lease { id: journal.clone(), journal: single.lease()?, ended: Vec::new() },
            None => Lease { id: journal.clone(), journal: Arc::new(open_log(&dir)?), ended: Vec::new() },
        };
        holder::announce(&dir, contact)?;
        Ok(lease)
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
        LockAttempt::HeldBy(name) => {
            Err(JournalError::Held { path: folder.display().to_string(), holder: holder::holder_or_unknown(name).0 })
        }
    }
}
