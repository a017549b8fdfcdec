//! The runs that this process owns.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use llmspell_workflows_basic::{Run, engine::Asker};
use llmspell_workflows_state::{Request, RunJournal};
use tokio::sync::{Mutex as AsyncMutex, Notify, Semaphore};
use uuid::Uuid;

use super::{
    Inner,
    archiving::EndedRuns,
    inbox::InboxProgress,
    lock,
    parked::{self, ParkedRuns},
};
use crate::{ExecutorError, home::JournalId};

/// The runs that an executor owns, in memory or parked, and the ended runs that have not been archived yet.
#[derive(Debug)]
pub(super) struct Registry {
    runs: Mutex<Runs>,
    /// Notifies the task that wakes parked runs when the parked runs change.
    pub(super) parked_changed: Arc<Notify>,
    /// Limits the number of parked runs that are brought back into memory at once.
    pub(super) waking: Semaphore,
    released: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Runs {
    live: HashMap<Uuid, Arc<LiveRun>>,
    pub(super) parked: ParkedRuns,
    /// Whether the executor was shut down and no longer starts, resumes or parks runs.
    pub(super) is_closed: bool,
    /// The ended runs of each journal that have not been archived yet.
    pub(super) ended: BTreeMap<JournalId, EndedRuns>,
}

/// A run that this process owns.
pub(super) struct LiveRun {
    pub(super) id: Uuid,
    /// The journal that contains the run.
    pub(super) journal: JournalId,
    /// The run itself, while it is in memory.
    pub(super) run: Mutex<Option<Arc<Run>>>,
    /// The progress in reading the run's messages; locked during a read so that no message is
    /// handled twice.
    pub(super) inbox: AsyncMutex<InboxProgress>,
    /// Whether a pause was requested, or the process is shutting down.
    is_paused: AtomicBool,
    /// Whether the process is shutting down.
    is_closing: AtomicBool,
    /// Whether a request to cancel the run has revoked a pause.
    is_pause_revoked: AtomicBool,
    /// Why the run was shut down, if it could not continue.
    fault: Mutex<Option<ExecutorError>>,
    /// The enclosing run, if this run is a sub-workflow.
    around: Option<Weak<LiveRun>>,
    /// Whether a message to a sub-workflow has arrived but may not have been delivered.
    has_news: AtomicBool,
}

/// Ownership of a run in this process. Dropping it stops the run's active steps and releases the run.
pub(super) struct OwnedRun {
    pub(super) live: Arc<LiveRun>,
    inner: Weak<Inner>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            runs: Mutex::default(),
            parked_changed: Arc::default(),
            waking: parked::waking(),
            released: Notify::new(),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.parked_changed.notify_one();
    }
}

impl Registry {
    pub(super) fn runs(&self) -> MutexGuard<'_, Runs> {
        lock(&self.runs)
    }

    pub(super) fn in_memory(&self) -> usize {
        self.runs().live.values().filter(|live| lock(&live.run).is_some()).count()
    }

    pub(super) fn driven(&self) -> usize {
        self.runs().live.len()
    }

    pub(super) fn parked(&self) -> usize {
        self.runs().parked.len()
    }

    pub(super) fn live(&self) -> Vec<Arc<LiveRun>> {
        self.runs().live.values().cloned().collect()
    }

    pub(super) fn find(&self, run: Uuid) -> Option<Arc<LiveRun>> {
        self.runs().live.get(&run).cloned()
    }

    /// Returns whether this executor drives the run or is about to drive it.
    pub(super) fn is_owned(&self, run: Uuid) -> bool {
        self.runs().live.contains_key(&run)
    }

    /// Returns whether the run is driven or parked by this executor.
    pub(super) fn is_owned_or_parked(&self, run: Uuid) -> bool {
        let runs = self.runs();
        runs.live.contains_key(&run) || runs.parked.contains(run)
    }

    /// Waits until this executor owns no runs.
    pub(super) async fn wait_until_idle(&self) {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            if self.runs().live.is_empty() {
                return;
            }
            released.await;
        }
    }

    /// Adds `runs` to the ended runs of `journal`.
    pub(super) fn note_ended(&self, journal: &JournalId, runs: &[Uuid]) {
        if !runs.is_empty() {
            self.runs().ended.entry(journal.clone()).or_default().runs.extend(runs);
        }
    }
}

impl Inner {
    /// Makes the caller the owner of `run`; a parked run is taken from its handle.
    ///
    /// # Errors
    /// Returns an error if the run is driven in this process or the executor was shut down.
    pub(super) fn own(self: &Arc<Self>, run: Uuid, journal: &JournalId) -> Result<OwnedRun, ExecutorError> {
        let runs = self.registry.runs();
        if runs.is_closed {
            return Err(ExecutorError::ShutDown);
        }
        self.own_in(runs, run, journal, None)
    }

    /// Makes a step the owner of its sub-workflow `run`, even during a shutdown, because the step
    /// decides when the run stops.
    ///
    /// # Errors
    /// Returns an error if the run is driven in this process.
    pub(super) fn own_child(self: &Arc<Self>, run: Uuid, around: &Arc<LiveRun>) -> Result<OwnedRun, ExecutorError> {
        self.own_in(self.registry.runs(), run, &around.journal, Some(Arc::downgrade(around)))
    }

    fn own_in(
        self: &Arc<Self>,
        mut runs: MutexGuard<'_, Runs>,
        run: Uuid,
        journal: &JournalId,
        around: Option<Weak<LiveRun>>,
    ) -> Result<OwnedRun, ExecutorError> {
        if runs.live.contains_key(&run) {
            return Err(ExecutorError::Driven { run });
        }
        let inbox = runs.parked.take_over(run).unwrap_or_default();
        Ok(self.admit(&mut runs, run, (journal, around), inbox))
    }

    /// Registers a run as owned.
    pub(super) fn admit(
        self: &Arc<Self>,
        runs: &mut Runs,
        run: Uuid,
        (journal, around): (&JournalId, Option<Weak<LiveRun>>),
        inbox: InboxProgress,
    ) -> OwnedRun {
        let live = Arc::new(LiveRun {
            id: run,
            journal: journal.clone(),
            run: Mutex::default(),
            inbox: AsyncMutex::new(inbox),
            is_paused: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            is_pause_revoked: AtomicBool::new(false),
            fault: Mutex::default(),
            around,
            has_news: AtomicBool::new(false),
        });
        runs.live.insert(run, live.clone());
        OwnedRun { live, inner: Arc::downgrade(self) }
    }
}

impl LiveRun {
    /// Pauses the run at the request of `by`: no further leaves start.
    pub(super) fn pause(&self, by: Asker) {
        self.hold(|journal, run| journal.record_request(Request::Pause, by, run.now()));
    }

    /// Prevents further leaves from starting because the process is shutting down.
    pub(super) fn hold_for_shutdown(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.hold(|journal, _| journal.begin_shutdown());
    }

    fn hold(&self, note: impl FnOnce(&RunJournal, &Run)) {
        self.is_paused.store(true, Ordering::SeqCst);
        if let Some(run) = &*lock(&self.run) {
            if let Some(journal) = run.extension::<RunJournal>() {
                note(&journal, run);
            }
            run.park();
        }
    }

    /// Revokes a requested pause so that the run can continue to its cancellation. A run that is
    /// already parked must be opened again.
    pub(super) fn revoke_pause(&self) {
        if self.is_closing.load(Ordering::SeqCst) || !self.is_paused.swap(false, Ordering::SeqCst) {
            return;
        }
        self.is_pause_revoked.store(true, Ordering::SeqCst);
        if let Some(journal) = lock(&self.run).as_ref().and_then(|run| run.extension::<RunJournal>()) {
            journal.revoke_pause();
        }
    }

    /// Returns whether a pause was revoked since the last call, in which case a stopped run must
    /// continue.
    pub(super) fn take_revoked_pause(&self) -> bool {
        self.is_pause_revoked.swap(false, Ordering::SeqCst) && !self.is_paused()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::SeqCst)
    }

    /// Stores the run now that it is in memory, and pauses it at once if a pause was requested in
    /// the meantime.
    pub(super) fn enter_memory(&self, run: &Arc<Run>) {
        *lock(&self.run) = Some(run.clone());
        if self.is_paused() {
            run.park();
        }
    }

    /// Records that a message to a sub-workflow of this run has arrived. If the runs are just being
    /// dropped from memory, the message may not reach the step that waits for it.
    pub(super) fn note_news(&self) {
        self.has_news.store(true, Ordering::SeqCst);
        self.note_news_around();
    }

    /// Records in the enclosing runs that a message to this run has arrived.
    pub(super) fn note_news_around(&self) {
        if let Some(around) = self.around.as_ref().and_then(Weak::upgrade) {
            around.note_news();
        }
    }

    pub(super) fn has_news(&self) -> bool {
        self.has_news.load(Ordering::SeqCst)
    }

    /// Records why the run cannot continue and is shut down; only the first reason is kept.
    pub(super) fn fail(&self, fault: ExecutorError) {
        lock(&self.fault).get_or_insert(fault);
    }

    pub(super) fn take_fault(&self) -> Option<ExecutorError> {
        lock(&self.fault).take()
    }

    pub(super) fn leave_memory(&self) {
        lock(&self.run).take();
    }
}

impl OwnedRun {
    /// Releases the run and applies `then` to the registry under one lock.
    pub(super) fn release_and<T>(self, then: impl FnOnce(&mut Runs) -> T) -> Option<T> {
        let inner = self.inner.upgrade()?;
        let mut runs = inner.registry.runs();
        runs.release(&self.live);
        let done = then(&mut runs);
        drop(runs);
        Some(done)
    }
}

impl Runs {
    fn release(&mut self, live: &Arc<LiveRun>) {
        if self.live.get(&live.id).is_some_and(|current| Arc::ptr_eq(current, live)) {
            self.live.remove(&live.id);
        }
    }
}

impl Drop for OwnedRun {
    fn drop(&mut self) {
        // A run that is dropped before its end must not continue. An ended run is not affected.
        if let Some(run) = lock(&self.live.run).take() {
            run.shut_down();
        }
        if let Some(inner) = self.inner.upgrade() {
            inner.registry.runs().release(&self.live);
            inner.registry.released.notify_waiters();
        }
    }
}

impl fmt::Debug for LiveRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "live run {}", self.id)
    }
}
