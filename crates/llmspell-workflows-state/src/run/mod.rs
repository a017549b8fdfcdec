//! The journal of one run: reads its records, and writes new ones while the run executes.

mod flush;
mod history;
mod interceptor;
mod listener;
mod open;
mod query;
mod resume;
mod rewind;
mod state;
mod step;
mod summary;

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError,
    engine::{Asker, CancelReason, Cancelled, Decision, DecisionKey, Outcome, Resume},
    model::Durability,
    secrets::{Masker, NotRestored},
};
use uuid::Uuid;

use flush::Flusher;
pub use history::{History, PastStep, PastWarning};
pub use interceptor::{AttemptJournaling, Journaling};
pub use listener::Listener;
use listener::Tail;
pub use rewind::{Cause, Corrected, Correction, RewindError, Rewinding, RunsAgain};
pub use state::{IllegalRecord, Phase, RunEnd, RunState};
pub use step::StepState;

use crate::{
    journal::{Epoch, Journal, JournalError, Receipt},
    record::{End, Migrated, Record, Redefined, Request, Resumption, Rewound, Started},
};

/// The journal of one run, used by the process that drives the run.
///
/// The [`Journaling`] interceptor finds this journal among the run's extensions; set it through
/// [`llmspell_workflows_basic::RunOptions::extensions`].
#[derive(Debug)]
pub struct RunJournal {
    journal: Arc<dyn Journal>,
    run: Uuid,
    epoch: Epoch,
    /// The run's state when its journal was opened, plus the records about the whole run appended
    /// since then.
    known: Mutex<RunState>,
    /// Why this process resumes the run; `None` if it started the run.
    resumption: Mutex<Option<Resumption>>,
    is_pause_requested: AtomicBool,
    is_shutting_down: AtomicBool,
    tail: Mutex<Tail>,
    flusher: Arc<Flusher>,
    fault: OnceLock<JournalError>,
    /// Masks the secrets in everything appended before the run begins.
    masker: Masker,
    /// Masks the secrets in everything appended afterwards, except the words of the run's
    /// definition.
    run_masker: OnceLock<Masker>,
    /// Why a mask in the records could not be replaced with its secret.
    not_restored: Option<NotRestored>,
}

/// The past of a step, as recorded by former processes.
#[derive(Debug, Default)]
struct StepPast {
    /// The outcome, if the step ended.
    outcome: Option<Outcome>,
    /// Why the step is stuck; it must not be executed until it is resolved.
    stuck: Option<StepError>,
    /// The number of crashes that interrupted the step.
    crashes: u32,
    /// Whether an attempt has failed and the next one has not begun.
    is_between_attempts: bool,
}

impl RunJournal {
    /// Notifies `listener` of each record appended from now on.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).listener = Some(listener);
    }

    /// Makes the record as durable as the run's durability setting requires.
    async fn make_durable(&self, receipt: Receipt, durability: Durability) -> Result<(), JournalError> {
        match durability {
            Durability::Sync => self.sync(receipt).await,
            Durability::Async => {
                self.write(receipt).await?;
                self.flusher.request(&self.journal, receipt);
                Ok(())
            }
            Durability::None => Ok(()),
        }
    }

    /// Returns the run's id.
    #[must_use]
    pub fn run(&self) -> Uuid {
        self.run
    }

    /// Returns the data that the run was started with, or `None` if it has not been started.
    #[must_use]
    pub fn started(&self) -> Option<Started> {
        self.known().started().cloned()
    }

    /// Returns whether the end of the run is recorded.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.known().closed().is_some()
    }

    /// Returns whether the run ended and its steps were undone.
    #[must_use]
    pub fn is_compensated(&self) -> bool {
        self.known().closed().is_some_and(|closed| closed.compensated)
    }

    /// Returns the paths of the leaves that were executing when the run's former process ended.
    #[must_use]
    pub fn interrupted(&self) -> Vec<String> {
        let known = self.known();
        known
            .steps()
            .filter(|(_, step)| step.is_executing && step.end.is_none())
            .map(|(path, _)| path.to_owned())
            .collect()
    }

    /// Returns whether a record older than this process names `child` as a child of the run.
    #[must_use]
    pub fn may_have_child(&self, child: Uuid) -> bool {
        self.known().has_child(child)
    }

    /// Returns the data for resuming the run, or `None` if the run has not been started.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        self.known().resume(self.run)
    }

    /// Records that the run resumes from an earlier point.
    ///
    /// No step may execute again before this returns.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be written.
    pub async fn rewind(&self, rewound: Rewound) -> Result<(), JournalError> {
        self.append_run_record(Record::Rewound(Box::new(rewound)), Some(false)).await
    }

    /// Records the data that the run is started with.
    ///
    /// No step of the run may execute before this returns.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be written.
    pub async fn start(&self, started: Started) -> Result<(), JournalError> {
        self.append_run_record(Record::Started(Box::new(started)), None).await
    }

    /// Sets why this process resumes the run; the reason is recorded once the run begins.
    pub fn set_resumption(&self, why: Resumption) {
        *self.resumption.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Records a request that concerns the run as a whole.
    pub fn record_request(&self, request: Request, by: Asker, at: Timestamp) {
        if request == Request::Pause && self.is_pause_requested.swap(true, Ordering::SeqCst) {
            return;
        }
        self.append_unsynced(&Record::Asked { request, by, time_us: self.time_us(at) });
    }

    /// Forgets a pause request, because the run is cancelled.
    pub fn revoke_pause(&self) {
        self.is_pause_requested.store(false, Ordering::SeqCst);
    }

    /// Marks the process as shutting down; if the run is then suspended, the shutdown is recorded
    /// as the reason.
    pub fn begin_shutdown(&self) {
        self.is_shutting_down.store(true, Ordering::SeqCst);
    }

    /// Applies and appends a record about the run as a whole, then syncs; an illegal record is not appended.
    async fn append_run_record(&self, record: Record, closes: Option<bool>) -> Result<(), JournalError> {
        self.known().apply(&record).map_err(|error| self.damaged(error.to_string()))?;
        let receipt = self.append_to(&record, closes)?;
        self.sync(receipt).await
    }

    /// Appends a record that only completes the timeline. Nobody waits for it; the next sync
    /// makes it durable.
    fn append_unsynced(&self, record: &Record) {
        // The fault is stored, and the next append reports it.
        let _ = self.append(record);
    }

    /// Returns the time from the start of the run to `at` in microseconds, the unit of records.
    #[must_use]
    pub fn time_us(&self, at: Timestamp) -> u64 {
        self.known().time_us(at)
    }

    /// Returns the stuck steps, each with its error.
    #[must_use]
    pub fn stuck(&self) -> Vec<(String, StepError)> {
        self.known().stuck_steps().map(|(path, error)| (path.to_owned(), error.clone())).collect()
    }

    /// Records that a step is stuck, unless this is already recorded.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be written.
    pub async fn note_stuck(&self, path: String, error: StepError, at: Timestamp) -> Result<(), JournalError> {
        let time_us = self.time_us(at);
        let record = Record::Stuck { path: path.clone(), error: Box::new(error.clone()), time_us };
        {
            let mut known = self.known();
            if known.step(&path).is_some_and(|step| step.stuck().is_some()) {
                return Ok(());
            }
            known.set_stuck(path, error);
        }
        let receipt = self.append(&record)?;
        self.sync(receipt).await
    }

    /// Returns the journal that contains the run; other runs can be opened in it.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Journal> {
        self.journal.clone()
    }

    /// Records the manually given outcome of the step at `path`.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be written.
    pub async fn resolve(&self, path: String, outcome: &Outcome, at: Timestamp) -> Result<(), JournalError> {
        let Some(end) = self.end(Some(&path), outcome, false) else { return Ok(()) };
        self.append_run_record(Record::Ended { path, end, time_us: self.time_us(at) }, None).await
    }

    /// Returns how and when the run ended, or `None` if it has not ended.
    ///
    /// # Errors
    /// Returns an error if the records are inconsistent.
    pub fn outcome(&self) -> Result<Option<(Outcome, Timestamp)>, JournalError> {
        let known = self.known();
        let (Some(started), Some(closed)) = (known.started(), known.closed()) else { return Ok(None) };
        let outcome = known.outcome("", &closed.end).map_err(|message| self.damaged(message))?;
        let at = started.at.checked_add(std::time::Duration::from_micros(closed.time_us));
        Ok(Some((outcome, at.unwrap_or(Timestamp::MAX))))
    }

    /// Records that the run continues under a different definition, with its migrated state.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be written.
    pub async fn redefine(
        &self,
        at: Timestamp,
        definition: String,
        version: String,
        migrated: Option<Migrated>,
    ) -> Result<(), JournalError> {
        let redefined = Redefined { time_us: self.time_us(at), definition, version, migrated };
        self.append_run_record(Record::Redefined(Box::new(redefined)), None).await
    }

    /// Records the outcome of the run and whether the run was compensated.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be written or an earlier write failed.
    pub async fn close(&self, outcome: &Outcome, at: Timestamp, compensated: bool) -> Result<(), JournalError> {
        let Some(end) = self.end(None, outcome, true) else { return Ok(()) };
        let record = Record::Closed { end, time_us: self.time_us(at), compensated };
        let receipt = self.append_to(&record, Some(true))?;
        self.sync(receipt).await
    }

    /// Returns the error if the journal could not be read or written.
    ///
    /// This error shut the run down, and nothing was acknowledged after it.
    #[must_use]
    pub fn fault(&self) -> Option<&JournalError> {
        self.fault.get()
    }

    fn known(&self) -> MutexGuard<'_, RunState> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, message: String) -> JournalError {
        JournalError::Damaged { run: self.run, message }
    }

    fn append(&self, record: &Record) -> Result<Receipt, JournalError> {
        self.append_to(record, None)
    }

    /// Appends a record; `closes` says whether the record closes (`Some(true)`) or reopens (`Some(false)`) the run.
    fn append_to(&self, record: &Record, closes: Option<bool>) -> Result<Receipt, JournalError> {
        if let Some(fault) = self.fault.get() {
            return Err(fault.clone());
        }
        // The lock is held during the append so that `number` is the record's index in the run.
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.is_closed && closes != Some(false) {
            return Err(JournalError::Fenced { run: self.run });
        }
        let record = &*record.masked(self.masker());
        let receipt = self.journal.append(self.run, self.epoch, record).inspect_err(|error| self.store_fault(error))?;
        let number = tail.count;
        tail.count += 1;
        tail.is_closed = closes.unwrap_or(tail.is_closed);
        if let Some(listener) = &tail.listener {
            listener.appended(number, record);
        }
        Ok(receipt)
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.journal.write(receipt).await.inspect_err(|error| self.store_fault(error))
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.journal.sync(receipt).await.inspect_err(|error| self.store_fault(error))
    }

    fn store_fault(&self, error: &JournalError) {
        // The first error is the cause of all others.
        let _ = self.fault.set(error.clone());
    }

    /// Returns the end to record for `outcome`, or `None` if the step has not ended for good.
    ///
    /// `gathers` says whether the output consists of other steps' outputs.
    fn end(&self, path: Option<&str>, outcome: &Outcome, gathers: bool) -> Option<End> {
        Some(match outcome {
            Outcome::Completed(output) => self.known().known.store(path, output, gathers),
            Outcome::Skipped(reason) => End::Skipped(reason.clone()),
            Outcome::Failed(failure) => End::Failed(failure.clone()),
            Outcome::Cancelled(cancelled) if cancelled.reason == CancelReason::Shutdown => return None,
            Outcome::Cancelled(cancelled) => End::Cancelled((**cancelled).clone()),
            Outcome::Parked(_) | Outcome::Stuck(_) => return None,
        })
    }

    /// Returns whether the end of the step at `path` is recorded.
    #[must_use]
    pub fn knows_end(&self, path: &str) -> bool {
        self.known().end(path).is_some()
    }

    /// Returns whether the choice `key` of the step at `path` is recorded.
    #[must_use]
    pub fn knows_choice(&self, path: &str, key: &DecisionKey) -> bool {
        self.decided(path, key).is_some()
    }

    fn decided(&self, path: &str, key: &DecisionKey) -> Option<Decision> {
        self.known().decision(path, key).cloned()
    }

    /// Returns the past of the step at `path`, as recorded by former processes.
    fn past(&self, path: &str) -> Result<StepPast, JournalError> {
        let known = self.known();
        let Some(step) = known.step(path) else { return Ok(StepPast::default()) };
        let outcome = step.end().map(|end| known.outcome(path, end)).transpose();
        Ok(StepPast {
            outcome: outcome.map_err(|message| self.damaged(message)).inspect_err(|e| self.store_fault(e))?,
            stuck: step.stuck().cloned(),
            crashes: step.crashes(),
            is_between_attempts: step.is_between_attempts(),
        })
    }

    /// Returns the outcome after a fault: an unrecorded shutdown.
    fn stopped() -> Outcome {
        Outcome::cancelled(Cancelled::new(CancelReason::Shutdown))
    }

    fn step_error(error: &JournalError) -> StepError {
        StepError::new(llmspell_workflows_basic::ErrorClass::Resource, "journal_failed", error.to_string())
            .retryable(false)
    }
}
