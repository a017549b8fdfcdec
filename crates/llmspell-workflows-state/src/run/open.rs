//! Opens the journal of a run, with the secrets that its records refer to.

use std::sync::{Arc, Mutex, OnceLock, atomic::AtomicBool};

use llmspell_workflows_basic::{
    secrets::{Masker, NotRestored},
    targets,
};
use tracing::Instrument;
use uuid::Uuid;

use super::{RunJournal, RunState, listener::Tail};
use crate::{
    journal::{Journal, JournalError},
    record::{Record, Resumption},
};

impl RunJournal {
    /// Takes over `run` and reads its records.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read, or the records of the run are inconsistent.
    pub async fn open(journal: Arc<dyn Journal>, run: Uuid) -> Result<Self, JournalError> {
        Self::open_with(journal, run, &Masker::default(), |_| ()).await
    }

    /// Opens the journal like [`Self::open`], replaces the masks in the records with the secrets of
    /// `masker`, and passes each masked record to `read`.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Self::open`].
    pub async fn open_with(
        journal: Arc<dyn Journal>,
        run: Uuid,
        masker: &Masker,
        read: impl FnMut(&Record) + Send,
    ) -> Result<Self, JournalError> {
        let span = tracing::info_span!(target: targets::JOURNAL, "resume", %run);
        Self::take_over(journal, run, masker, read).instrument(span).await
    }

    async fn take_over(
        journal: Arc<dyn Journal>,
        run: Uuid,
        masker: &Masker,
        read: impl FnMut(&Record) + Send,
    ) -> Result<Self, JournalError> {
        let mut opened = journal.open(run).await?;
        if !opened.records.is_empty() {
            let (records, epoch) = (opened.records.len(), opened.epoch.0);
            tracing::info!(target: targets::JOURNAL, records, epoch, "resumed");
        }
        opened.records.iter().for_each(read);
        let restored = opened.records.iter_mut().map(|record| record.restore_secrets(masker));
        let not_restored = restored.fold(None, |first, restored| first.or(restored.err()));
        let known = RunState::read(&opened.records);
        let known = known.map_err(|error| JournalError::Damaged { run, message: error.to_string() })?;
        let resumption = known.started().map(|_| Resumption::default());
        Ok(Self {
            journal,
            run,
            epoch: opened.epoch,
            tail: Mutex::new(Tail { count: known.count(), is_closed: known.closed().is_some(), listener: None }),
            known: Mutex::new(known),
            resumption: Mutex::new(resumption),
            is_pause_requested: AtomicBool::new(false),
            is_shutting_down: AtomicBool::new(false),
            flusher: Arc::default(),
            fault: OnceLock::new(),
            masker: masker.clone(),
            run_masker: OnceLock::new(),
            not_restored,
        })
    }

    /// Masks the secrets of `masker`, the masker of the run's definition, in everything appended
    /// from now on.
    pub(super) fn mask_with(&self, masker: &Masker) {
        // A run that begins again in this process has the same definition.
        let _ = self.run_masker.set(masker.clone());
    }

    /// Returns the masker for everything that is appended.
    pub(super) fn masker(&self) -> &Masker {
        self.run_masker.get().unwrap_or(&self.masker)
    }

    /// Returns why a mask in the records could not be replaced with its secret. A run with such a
    /// mask in its records cannot be driven.
    #[must_use]
    pub fn not_restored(&self) -> Option<&NotRestored> {
        self.not_restored.as_ref()
    }

    /// Checks that no mask remains in the records that the run reads.
    pub(super) fn check_secrets(&self) -> Result<(), JournalError> {
        let Some(reason) = &self.not_restored else { return Ok(()) };
        let error = self.damaged(format!("a masked secret cannot be restored: {reason}"));
        self.store_fault(&error);
        Err(error)
    }
}
