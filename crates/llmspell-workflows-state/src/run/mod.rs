//! A run and its journal: what is known of it, and what is noted while it goes on.

mod history;
mod interceptor;
mod replay;
mod rewind;
mod summary;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError,
    engine::{CancelReason, Cancelled, Decision, Outcome, Output, Resume},
    model::Durability,
    targets,
};
use tracing::Instrument;
use uuid::Uuid;

pub use history::{History, PastStep};
pub use interceptor::Journaling;
use replay::Replay;
pub use rewind::{RewindError, Rewinding};

use crate::{
    journal::{Epoch, Journal, JournalError, Opened, Receipt},
    record::{End, Kept, KeptChange, Migrated, Record, Rewound, Started},
};

/// The journal of one run, in the hands of whoever drives it: the interceptor [`Journaling`] finds it on the run, where
/// [`llmspell_workflows_basic::RunOptions::extensions`] has put it.
#[derive(Debug)]
pub struct RunJournal {
    journal: Arc<dyn Journal>,
    run: Uuid,
    epoch: Epoch,
    replay: Mutex<Replay>,
    fault: OnceLock<JournalError>,
}

impl RunJournal {
    /// Takes over `run` and reads what is known of it.
    ///
    /// # Errors
    /// The journal cannot be read, or what it holds of the run makes no sense.
    pub async fn open(journal: Arc<dyn Journal>, run: Uuid) -> Result<Self, JournalError> {
        let span = tracing::info_span!(target: targets::JOURNAL, "resume", %run);
        Self::read(journal, run).instrument(span).await
    }

    async fn read(journal: Arc<dyn Journal>, run: Uuid) -> Result<Self, JournalError> {
        let Opened { epoch, records } = journal.open(run).await?;
        if !records.is_empty() {
            tracing::info!(target: targets::JOURNAL, records = records.len(), epoch = epoch.0, "resumed");
        }
        let replay = Replay::read(records).map_err(|message| JournalError::Damaged { run, message })?;
        Ok(Self { journal, run, epoch, replay: Mutex::new(replay), fault: OnceLock::new() })
    }

    /// As [`Self::sync`], as far as the run asks for it.
    async fn keep(&self, receipt: Receipt, durability: Durability) -> Result<(), JournalError> {
        match durability {
            Durability::Sync => self.sync(receipt).await,
            Durability::Async => {
                self.write()?;
                // Whoever syncs next syncs this too; without anyone, it happens a moment later.
                let journal = self.journal.clone();
                tokio::spawn(async move {
                    // A failed sync is fatal to the journal, so the next append tells of it.
                    let _ = journal.sync(receipt).await;
                });
                Ok(())
            }
            Durability::None => Ok(()),
        }
    }

    /// The run's id.
    #[must_use]
    pub fn run(&self) -> Uuid {
        self.run
    }

    /// What the run was started with; `None`: it has not been.
    #[must_use]
    pub fn started(&self) -> Option<Started> {
        self.replay().started.clone()
    }

    /// Whether the run has ended, and that is recorded.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.replay().closed.is_some()
    }

    /// How the run goes on from what is known of it; `None`: it has not been started.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        self.replay().resume(self.run)
    }

    /// Notes that the run goes on from an earlier point; nothing of that may happen before this has ended.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn rewind(&self, rewound: Rewound) -> Result<(), JournalError> {
        let receipt = self.append(&Record::Rewound(Box::new(rewound.clone())))?;
        self.sync(receipt).await?;
        self.replay().rewind(rewound);
        Ok(())
    }

    /// Notes what the run is started with; nothing of it may begin before this has ended.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn start(&self, started: Started) -> Result<(), JournalError> {
        let receipt = self.append(&Record::Started(Box::new(started.clone())))?;
        self.sync(receipt).await?;
        self.replay().started = Some(started);
        Ok(())
    }

    /// The steps of which somebody has to say what they did, and why.
    #[must_use]
    pub fn stuck(&self) -> Vec<(String, StepError)> {
        self.replay().stuck.iter().map(|(path, error)| (path.clone(), error.clone())).collect()
    }

    /// Notes that somebody has to say what became of a step; once is enough.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn note_stuck(&self, path: String, error: StepError) -> Result<(), JournalError> {
        if self.replay().stuck.contains_key(&path) {
            return Ok(());
        }
        let receipt = self.append(&Record::Stuck { path: path.clone(), error: Box::new(error.clone()) })?;
        self.sync(receipt).await?;
        self.replay().stuck.insert(path, error);
        Ok(())
    }

    /// The journal that the run is in, for other runs.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Journal> {
        self.journal.clone()
    }

    /// Notes how the step at `path` ended, as somebody says who knows.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn resolve(&self, path: String, outcome: &Outcome, time_us: u64) -> Result<(), JournalError> {
        let Some(end) = self.end(outcome, false) else { return Ok(()) };
        let receipt = self.append(&Record::Ended { path, end, time_us })?;
        self.sync(receipt).await
    }

    /// How the run ended, if it has.
    ///
    /// # Errors
    /// What is recorded makes no sense.
    pub fn ended_with(&self) -> Result<Option<(Outcome, Timestamp)>, JournalError> {
        let replay = self.replay();
        let Some((end, at)) = &replay.closed else { return Ok(None) };
        let outcome = replay.outcome(end).map_err(|message| self.damaged(message))?;
        Ok(Some((outcome, *at)))
    }

    /// Notes that the run is one of another definition from now on, with its state as that has it.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn redefine(
        &self,
        at: Timestamp,
        definition: String,
        version: String,
        migrated: Option<Migrated>,
    ) -> Result<(), JournalError> {
        let boxed = migrated.clone().map(Box::new);
        let record =
            Record::Redefined { at, definition: definition.clone(), version: version.clone(), migrated: boxed };
        let receipt = self.append(&record)?;
        self.sync(receipt).await?;
        self.replay().redefine(&definition, &version, migrated);
        Ok(())
    }

    /// Notes how the run ended, as it may be told from then on, and whether it has undone what it did.
    ///
    /// # Errors
    /// The journal cannot be written, or could not be earlier.
    pub async fn close(&self, outcome: &Outcome, at: Timestamp, compensated: bool) -> Result<(), JournalError> {
        let Some(end) = self.end(outcome, true) else { return Ok(()) };
        let receipt = self.append(&Record::Closed { end, at, compensated })?;
        self.sync(receipt).await
    }

    /// Why the journal could not be written or read, if so: the run was shut down over it, and nothing that came after
    /// has been acknowledged.
    #[must_use]
    pub fn fault(&self) -> Option<&JournalError> {
        self.fault.get()
    }

    fn replay(&self) -> MutexGuard<'_, Replay> {
        self.replay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, message: String) -> JournalError {
        JournalError::Damaged { run: self.run, message }
    }

    fn append(&self, record: &Record) -> Result<Receipt, JournalError> {
        if let Some(fault) = self.fault.get() {
            return Err(fault.clone());
        }
        self.journal.append(self.run, self.epoch, record).inspect_err(|error| self.note(error))
    }

    fn write(&self) -> Result<(), JournalError> {
        self.journal.write().inspect_err(|error| self.note(error))
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.journal.sync(receipt).await.inspect_err(|error| self.note(error))
    }

    fn note(&self, error: &JournalError) {
        // The first is the cause of all others.
        let _ = self.fault.set(error.clone());
    }

    /// How a step ended, as it is kept; `None` where it has not ended for good. What `gathers` gives what others gave.
    fn end(&self, outcome: &Outcome, gathers: bool) -> Option<End> {
        Some(match outcome {
            Outcome::Completed(Output { value, state_changes }) if gathers => {
                let replay = self.replay();
                let changes = replay.known.keep_changes(state_changes);
                End::Completed { output: replay.known.keep(value), changes }
            }
            Outcome::Completed(Output { value, state_changes }) => {
                let changes = state_changes.iter().map(KeptChange::whole).collect();
                End::Completed { output: Kept::Value(value.clone()), changes }
            }
            Outcome::Skipped(reason) => End::Skipped(reason.clone()),
            Outcome::Failed(failure) => End::Failed(failure.clone()),
            Outcome::Cancelled(cancelled) if cancelled.reason == CancelReason::Shutdown => return None,
            Outcome::Cancelled(cancelled) => End::Cancelled(cancelled.clone()),
            Outcome::Parked(_) => return None,
        })
    }

    /// How the step at `path` ended, if that is known.
    fn ended(&self, path: &str) -> Result<Option<Outcome>, JournalError> {
        let replay = self.replay();
        let Some(end) = replay.end(path) else { return Ok(None) };
        let outcome = replay.outcome(end).map_err(|message| self.damaged(message)).inspect_err(|e| self.note(e))?;
        Ok(Some(outcome))
    }

    /// Whether it is on record how the step at `path` ended.
    #[must_use]
    pub fn knows_end(&self, path: &str) -> bool {
        self.replay().end(path).is_some()
    }

    /// Whether the choice of this kind and number of the step at `path` is on record.
    #[must_use]
    pub fn knows_choice(&self, path: &str, index: u64, kind: &'static str) -> bool {
        self.decided(path, index, kind).is_some()
    }

    fn decided(&self, path: &str, index: u64, kind: &'static str) -> Option<Decision> {
        self.replay().decided(path, index, kind)
    }

    /// How often a crash cut the leaf at `path`.
    fn cuts(&self, path: &str) -> u32 {
        self.replay().cuts(path)
    }

    /// What the run sees of a fault: it stops as for a shutdown, so that nothing of it is recorded.
    fn stopped() -> Outcome {
        Outcome::Cancelled(Cancelled::new(CancelReason::Shutdown))
    }

    fn error(error: &JournalError) -> StepError {
        StepError::new(llmspell_workflows_basic::ErrorClass::Resource, "journal_failed", error.to_string())
            .retryable(false)
    }
}
