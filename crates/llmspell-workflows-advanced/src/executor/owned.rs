//! Which runs this process owns, and who owns them.

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
    archiving::Ended,
    inbox::Seen,
    lock,
    parked::{self, Parked},
};
use crate::{ExecutorError, home::JournalId};

/// The runs that an executor owns, in memory or parked, and those that have ended and are not archived yet.
#[derive(Debug)]
pub(super) struct Registry {
    runs: Mutex<Runs>,
    /// Notified when something changes that the task which wakes parked runs has to know.
    pub(super) parked_changed: Arc<Notify>,
    /// Bounds how many parked runs are brought back into memory at once.
    pub(super) waking: Semaphore,
    released: Notify,
}

#[derive(Debug, Default)]
pub(super) struct Runs {
    live: HashMap<Uuid, Arc<Live>>,
    pub(super) parked: Parked,
    /// By journal, the runs in it that have ended.
    pub(super) ended: BTreeMap<JournalId, Ended>,
}

/// A run that somebody in this process owns.
pub(super) struct Live {
    pub(super) id: Uuid,
    /// The journal that it is in.
    pub(super) journal: JournalId,
    /// The run itself, while it is in memory.
    pub(super) run: Mutex<Option<Arc<Run>>>,
    /// What of its messages was read; locked while they are read, so that none is obeyed twice.
    pub(super) seen: AsyncMutex<Seen>,
    /// Someone asked it to pause.
    is_paused: AtomicBool,
}

/// Ownership of a run in this process: dropped, the run is free, and what still runs of it is stopped.
pub(super) struct Owned {
    pub(super) live: Arc<Live>,
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

    pub(super) fn parked(&self) -> usize {
        self.runs().parked.len()
    }

    pub(super) fn live(&self) -> Vec<Arc<Live>> {
        self.runs().live.values().cloned().collect()
    }

    pub(super) fn find(&self, run: Uuid) -> Option<Arc<Live>> {
        self.runs().live.get(&run).cloned()
    }

    /// Whether somebody here drives the run, or is about to.
    pub(super) fn is_owned(&self, run: Uuid) -> bool {
        self.runs().live.contains_key(&run)
    }

    /// Whether somebody here drives the run or waits for it.
    pub(super) fn is_taken(&self, run: Uuid) -> bool {
        let runs = self.runs();
        runs.live.contains_key(&run) || runs.parked.contains(run)
    }

    /// Ends once nobody owns a run in memory.
    pub(super) async fn no_one_drives(&self) {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            if self.runs().live.is_empty() {
                return;
            }
            released.await;
        }
    }

    /// Notes that runs in a journal have ended.
    pub(super) fn have_ended(&self, journal: &JournalId, runs: &[Uuid]) {
        if !runs.is_empty() {
            self.runs().ended.entry(journal.clone()).or_default().runs.extend(runs);
        }
    }
}

impl Inner {
    /// Makes the caller the owner of `run`, which nobody drives; a parked run is taken from the task that waits for it.
    ///
    /// # Errors
    /// Somebody in this process drives it.
    pub(super) fn own(self: &Arc<Self>, run: Uuid, journal: &JournalId) -> Result<Owned, ExecutorError> {
        let mut runs = self.registry.runs();
        if runs.live.contains_key(&run) {
            return Err(ExecutorError::Driven { run });
        }
        let seen = runs.parked.take_over(run).unwrap_or_default();
        Ok(self.admit(&mut runs, run, journal, seen))
    }

    /// Counts a run among those that are owned.
    pub(super) fn admit(self: &Arc<Self>, runs: &mut Runs, run: Uuid, journal: &JournalId, seen: Seen) -> Owned {
        let live = Arc::new(Live {
            id: run,
            journal: journal.clone(),
            run: Mutex::default(),
            seen: AsyncMutex::new(seen),
            is_paused: AtomicBool::new(false),
        });
        runs.live.insert(run, live.clone());
        Owned { live, inner: Arc::downgrade(self) }
    }
}

impl Live {
    /// Lets no further leaf begin, as someone asks for.
    pub(super) fn pause(&self, by: Asker) {
        self.hold(|journal, run| journal.asked(Request::Pause, by, run.now()));
    }

    /// Lets no further leaf begin, since the process shuts down.
    pub(super) fn leave(&self) {
        self.hold(|journal, _| journal.shuts_down());
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

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::SeqCst)
    }

    /// Puts the run into memory; it is held at once if it was asked to pause meanwhile.
    pub(super) fn enters_memory(&self, run: &Arc<Run>) {
        *lock(&self.run) = Some(run.clone());
        if self.is_paused() {
            run.park();
        }
    }

    pub(super) fn leaves_memory(&self) {
        lock(&self.run).take();
    }
}

impl Owned {
    /// Frees the run in the same moment in which `then` changes the registry.
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
    fn release(&mut self, live: &Arc<Live>) {
        if self.live.get(&live.id).is_some_and(|current| Arc::ptr_eq(current, live)) {
            self.live.remove(&live.id);
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Of a run that was dropped in the middle nothing more may happen; one that has ended does not mind.
        if let Some(run) = lock(&self.live.run).take() {
            run.shut_down();
        }
        if let Some(inner) = self.inner.upgrade() {
            inner.registry.runs().release(&self.live);
            inner.registry.released.notify_waiters();
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "live run {}", self.id)
    }
}
