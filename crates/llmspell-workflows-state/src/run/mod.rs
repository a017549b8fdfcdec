//! A run and its journal: what is known of it, and what is noted while it goes on.

mod flush;
mod history;
mod interceptor;
mod listener;
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
    targets,
};
use tracing::Instrument;
use uuid::Uuid;

use flush::Flusher;
pub use history::{History, PastStep};
pub use interceptor::Journaling;
pub use listener::Listener;
use listener::Tail;
pub use rewind::{RewindError, Rewinding};
pub use state::{Closed, IllegalRecord, Phase, RunState};
pub use step::StepState;

use crate::{
    journal::{Epoch, Journal, JournalError, Receipt},
    record::{End, Migrated, Record, Redefined, Request, Resumption, Rewound, Started},
};

/// The journal of one run, in the hands of whoever drives it: the interceptor [`Journaling`] finds it on the run, where
/// [`llmspell_workflows_basic::RunOptions::extensions`] has put it.
#[derive(Debug)]
pub struct RunJournal {
    journal: Arc<dyn Journal>,
    run: Uuid,
    epoch: Epoch,
    /// What was known of the run when it was opened, and what was noted of the run as a whole since.
    known: Mutex<RunState>,
    /// Why this process goes on with the run; none: it has started it.
    resumption: Mutex<Option<Resumption>>,
    is_asked_to_pause: AtomicBool,
    shuts_down: AtomicBool,
    tail: Mutex<Tail>,
    flusher: Arc<Flusher>,
    fault: OnceLock<JournalError>,
}

impl RunJournal {
    /// Takes over `run` and reads what is known of it.
    ///
    /// # Errors
    /// The journal cannot be read, or what it holds of the run makes no sense.
    pub async fn open(journal: Arc<dyn Journal>, run: Uuid) -> Result<Self, JournalError> {
        Self::open_reading(journal, run, |_| ()).await
    }

    /// The same, and shows each record to `read`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_reading(
        journal: Arc<dyn Journal>,
        run: Uuid,
        read: impl FnMut(&Record) + Send,
    ) -> Result<Self, JournalError> {
        let span = tracing::info_span!(target: targets::JOURNAL, "resume", %run);
        Self::take_over(journal, run, read).instrument(span).await
    }

    async fn take_over(
        journal: Arc<dyn Journal>,
        run: Uuid,
        read: impl FnMut(&Record) + Send,
    ) -> Result<Self, JournalError> {
        let opened = journal.open(run).await?;
        if !opened.records.is_empty() {
            let (records, epoch) = (opened.records.len(), opened.epoch.0);
            tracing::info!(target: targets::JOURNAL, records, epoch, "resumed");
        }
        opened.records.iter().for_each(read);
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
            is_asked_to_pause: AtomicBool::new(false),
            shuts_down: AtomicBool::new(false),
            flusher: Arc::default(),
            fault: OnceLock::new(),
        })
    }

    /// Lets `listener` hear of what is appended from now on.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).listener = Some(listener);
    }

    /// As [`Self::sync`], as far as the run asks for it.
    async fn keep(&self, receipt: Receipt, durability: Durability) -> Result<(), JournalError> {
        match durability {
            Durability::Sync => self.sync(receipt).await,
            Durability::Async => {
                self.write(receipt).await?;
                self.flusher.ask(&self.journal, receipt);
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
        self.known().started().cloned()
    }

    /// Whether the run has ended, and that is recorded.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.known().closed().is_some()
    }

    /// How the run goes on from what is known of it; `None`: it has not been started.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        self.known().resume(self.run)
    }

    /// Notes that the run goes on from an earlier point; nothing of that may happen before this has ended.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn rewind(&self, rewound: Rewound) -> Result<(), JournalError> {
        self.note_run(Record::Rewound(Box::new(rewound)), Some(false)).await
    }

    /// Notes what the run is started with; nothing of it may begin before this has ended.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn start(&self, started: Started) -> Result<(), JournalError> {
        self.note_run(Record::Started(Box::new(started)), None).await
    }

    /// Says why this process goes on with the run, which is recorded once it does.
    pub fn resumes(&self, why: Resumption) {
        *self.resumption.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Notes that somebody asked for something that concerns the run as a whole.
    pub fn asked(&self, request: Request, by: Asker, at: Timestamp) {
        if request == Request::Pause && self.is_asked_to_pause.swap(true, Ordering::SeqCst) {
            return;
        }
        self.note_in_passing(&Record::Asked { request, by, time_us: self.time_us(at) });
    }

    /// Says that the process shuts down, which is recorded as the reason if the run is suspended next.
    pub fn shuts_down(&self) {
        self.shuts_down.store(true, Ordering::SeqCst);
    }

    /// Appends what concerns the run as a whole, synced, and takes it in; what cannot follow is not appended.
    async fn note_run(&self, record: Record, closes: Option<bool>) -> Result<(), JournalError> {
        self.known().apply(&record).map_err(|error| self.damaged(error.to_string()))?;
        let receipt = self.append_to(&record, closes)?;
        self.sync(receipt).await
    }

    /// Appends what makes the timeline complete and nothing depends on: it is kept with what is synced next.
    fn note_in_passing(&self, record: &Record) {
        // A fault is noted, and whoever appends next hears of it.
        let _ = self.append(record);
    }

    /// How long after the start of the run `at` is, as records count.
    #[must_use]
    pub fn time_us(&self, at: Timestamp) -> u64 {
        self.known().time_us(at)
    }

    /// The steps of which somebody has to say what they did, and why.
    #[must_use]
    pub fn stuck(&self) -> Vec<(String, StepError)> {
        self.known().stuck_steps().map(|(path, error)| (path.to_owned(), error.clone())).collect()
    }

    /// Notes that somebody has to say what became of a step; once is enough.
    ///
    /// # Errors
    /// The journal cannot be written.
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

    /// The journal that the run is in, for other runs.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Journal> {
        self.journal.clone()
    }

    /// Notes how the step at `path` ended, as somebody says who knows.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub async fn resolve(&self, path: String, outcome: &Outcome, at: Timestamp) -> Result<(), JournalError> {
        let Some(end) = self.end(Some(&path), outcome, false) else { return Ok(()) };
        self.note_run(Record::Ended { path, end, time_us: self.time_us(at) }, None).await
    }

    /// How the run ended, if it has.
    ///
    /// # Errors
    /// What is recorded makes no sense.
    pub fn ended_with(&self) -> Result<Option<(Outcome, Timestamp)>, JournalError> {
        let known = self.known();
        let (Some(started), Some(closed)) = (known.started(), known.closed()) else { return Ok(None) };
        let outcome = known.outcome("", &closed.end).map_err(|message| self.damaged(message))?;
        let at = started.at.checked_add(std::time::Duration::from_micros(closed.time_us));
        Ok(Some((outcome, at.unwrap_or(Timestamp::MAX))))
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
        let redefined = Redefined { time_us: self.time_us(at), definition, version, migrated };
        self.note_run(Record::Redefined(Box::new(redefined)), None).await
    }

    /// Notes how the run ended, as it may be told from then on, and whether it has undone what it did.
    ///
    /// # Errors
    /// The journal cannot be written, or could not be earlier.
    pub async fn close(&self, outcome: &Outcome, at: Timestamp, compensated: bool) -> Result<(), JournalError> {
        let Some(end) = self.end(None, outcome, true) else { return Ok(()) };
        let record = Record::Closed { end, time_us: self.time_us(at), compensated };
        let receipt = self.append_to(&record, Some(true))?;
        self.sync(receipt).await
    }

    /// Why the journal could not be written or read, if so: the run was shut down over it, and nothing that came after
    /// has been acknowledged.
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

    /// Appends a record, which closes the run, or opens it again, if it says so.
    fn append_to(&self, record: &Record, closes: Option<bool>) -> Result<Receipt, JournalError> {
        if let Some(fault) = self.fault.get() {
            return Err(fault.clone());
        }
        // Held while it is appended, so that the number is the record's place in its run.
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.is_closed && closes != Some(false) {
            return Err(JournalError::Fenced { run: self.run });
        }
        let receipt = self.journal.append(self.run, self.epoch, record).inspect_err(|error| self.note(error))?;
        let number = tail.count;
        tail.count += 1;
        tail.is_closed = closes.unwrap_or(tail.is_closed);
        if let Some(listener) = &tail.listener {
            listener.appended(number, record);
        }
        Ok(receipt)
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.journal.write(receipt).await.inspect_err(|error| self.note(error))
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.journal.sync(receipt).await.inspect_err(|error| self.note(error))
    }

    fn note(&self, error: &JournalError) {
        // The first is the cause of all others.
        let _ = self.fault.set(error.clone());
    }

    /// How a step ended, as it is kept; `None` where it has not ended for good. What `gathers` gives what others gave.
    fn end(&self, path: Option<&str>, outcome: &Outcome, gathers: bool) -> Option<End> {
        Some(match outcome {
            Outcome::Completed(output) => self.known().known.keep(path, output, gathers),
            Outcome::Skipped(reason) => End::Skipped(reason.clone()),
            Outcome::Failed(failure) => End::Failed(failure.clone()),
            Outcome::Cancelled(cancelled) if cancelled.reason == CancelReason::Shutdown => return None,
            Outcome::Cancelled(cancelled) => End::Cancelled(cancelled.clone()),
            Outcome::Parked(_) | Outcome::Stuck(_) => return None,
        })
    }

    /// How the step at `path` ended, if that is known.
    fn ended(&self, path: &str) -> Result<Option<Outcome>, JournalError> {
        let known = self.known();
        let Some(end) = known.end(path) else { return Ok(None) };
        let outcome =
            known.outcome(path, end).map_err(|message| self.damaged(message)).inspect_err(|e| self.note(e))?;
        Ok(Some(outcome))
    }

    /// Whether it is on record how the step at `path` ended.
    #[must_use]
    pub fn knows_end(&self, path: &str) -> bool {
        self.known().end(path).is_some()
    }

    /// Whether the choice `key` of the step at `path` is on record.
    #[must_use]
    pub fn knows_choice(&self, path: &str, key: &DecisionKey) -> bool {
        self.decided(path, key).is_some()
    }

    fn decided(&self, path: &str, key: &DecisionKey) -> Option<Decision> {
        self.known().decision(path, key).cloned()
    }

    /// How often a crash cut the leaf at `path`.
    fn cuts(&self, path: &str) -> u32 {
        self.known().step(path).map_or(0, |step| step.begun)
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
