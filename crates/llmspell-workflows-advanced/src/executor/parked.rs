//! Parked runs: one entry per run, and one task that wakes them.

use std::{
    collections::{BTreeSet, HashMap},
    future::pending,
    sync::{Arc, Weak},
};

use jiff::Timestamp;
use llmspell_workflows_basic::engine::Wait;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    DurableEnd, DurableRun, Executor, Inner,
    inbox::InboxProgress,
    owned::{OwnedRun, Runs},
};
use crate::{ExecutorError, home::JournalId};

/// The maximum number of parked runs being brought back into memory at once.
const WAKING_MAX: usize = 64;

/// The result of driving a run in the background, boxed to keep the entry of a parked run small.
pub(super) type DriveResult = Box<Result<DurableEnd, ExecutorError>>;

/// Sends the result of a background run to its handle.
pub(super) type Reply = oneshot::Sender<DriveResult>;

/// The parked runs of an executor.
#[derive(Debug, Default)]
pub(super) struct ParkedRuns {
    by_run: HashMap<Uuid, Entry>,
    by_time: BTreeSet<(WakeTime, Uuid)>,
    /// The journals of the runs; there are only a few.
    journals: Vec<JournalId>,
    /// Whether the task that wakes the runs is running.
    is_watched: bool,
}

/// A parked run.
#[derive(Debug)]
pub(super) struct ParkedRun {
    journal: JournalId,
    wake_at: Option<Timestamp>,
    inbox: InboxProgress,
    reply: Reply,
}

/// All data of a parked run that stays in memory. The entry is kept small, since there may be a
/// hundred thousand parked runs.
#[derive(Debug)]
struct Entry {
    /// The index of the run's journal in [`ParkedRuns::journals`].
    journal: u32,
    wake_at: Option<WakeTime>,
    inbox: InboxProgress,
    reply: Reply,
}

/// A time in microseconds since 1970, half the size of a `Timestamp`. It is rounded up so that no run wakes too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct WakeTime(i64);

impl From<Timestamp> for WakeTime {
    fn from(time: Timestamp) -> Self {
        let floor = time.as_microsecond();
        let is_whole = Timestamp::from_microsecond(floor).is_ok_and(|whole| whole == time);
        Self(if is_whole { floor } else { floor.saturating_add(1) })
    }
}

impl From<WakeTime> for Timestamp {
    fn from(time: WakeTime) -> Self {
        Self::from_microsecond(time.0).unwrap_or(Self::MAX)
    }
}

impl ParkedRuns {
    pub(super) fn len(&self) -> usize {
        self.by_run.len()
    }

    pub(super) fn contains(&self, run: Uuid) -> bool {
        self.by_run.contains_key(&run)
    }

    fn insert(&mut self, run: Uuid, parked: ParkedRun) {
        let ParkedRun { journal, wake_at, inbox, reply } = parked;
        let known = self.journals.iter().position(|known| *known == journal);
        let position = known.unwrap_or_else(|| {
            self.journals.push(journal);
            self.journals.len() - 1
        });
        let journal = u32::try_from(position).expect("a process leases far fewer than 2^32 journals");
        let wake_at = wake_at.map(WakeTime::from);
        self.by_time.extend(wake_at.map(|wake_at| (wake_at, run)));
        self.by_run.insert(run, Entry { journal, wake_at, inbox, reply });
    }

    fn parked(&self, entry: Entry) -> ParkedRun {
        let Entry { journal, wake_at, inbox, reply } = entry;
        let journal = self.journals[journal as usize].clone();
        ParkedRun { journal, wake_at: wake_at.map(Timestamp::from), inbox, reply }
    }

    fn take(&mut self, run: Uuid) -> Option<ParkedRun> {
        let entry = self.by_run.remove(&run)?;
        if let Some(wake_at) = entry.wake_at {
            self.by_time.remove(&(wake_at, run));
        }
        Some(self.parked(entry))
    }

    /// Removes a run for a new owner; its [`RunHandle`](super::RunHandle) reports it as released.
    pub(super) fn take_over(&mut self, run: Uuid) -> Option<InboxProgress> {
        Some(self.take(run)?.release())
    }

    /// Removes all runs.
    pub(super) fn take_all(&mut self) -> Vec<ParkedRun> {
        self.by_time.clear();
        let entries: Vec<Entry> = self.by_run.drain().map(|(_, entry)| entry).collect();
        entries.into_iter().map(|entry| self.parked(entry)).collect()
    }

    fn due(&self, now: Timestamp) -> Vec<Uuid> {
        self.by_time.iter().take_while(|(wake_at, _)| Timestamp::from(*wake_at) <= now).map(|(_, run)| *run).collect()
    }
}

impl ParkedRun {
    /// Gives up the run; its [`RunHandle`](super::RunHandle) reports it as released.
    pub(super) fn release(self) -> InboxProgress {
        // The receiver may have been dropped.
        let _ = self.reply.send(Box::new(Ok(DurableEnd::Released)));
        self.inbox
    }
}

impl Inner {
    /// Drives `run` until it ends or waits. A waiting run is parked; a later call of this function continues it.
    pub(super) async fn drive_in_background(self: Arc<Self>, run: DurableRun, reply: Reply) {
        let executor = Executor { inner: self };
        // The future is boxed, and freed before the run is parked, to keep a parked run small.
        let end = match Box::pin(executor.drive_to_rest(run)).await {
            Ok((DurableEnd::Waiting(wait), owned)) => return executor.inner.park(owned, &wait, reply).await,
            Ok((end, owned)) => {
                drop(owned);
                Ok(end)
            }
            Err(error) => Err(error),
        };
        // The receiver may have been dropped.
        let _ = reply.send(Box::new(end));
    }

    async fn park(self: Arc<Self>, owned: OwnedRun, wait: &Wait, reply: Reply) {
        let (run, journal) = (owned.live.id, owned.live.journal.clone());
        let inbox = *owned.live.inbox.lock().await;
        // A signal that arrived while the run was being dropped from memory has not been delivered yet.
        let has_unread = wait.inbox_after.is_some_and(|after| inbox.last_signal > after);
        let has_news = has_unread || owned.live.has_news();
        let parked = ParkedRun { journal, wake_at: wait.wake_at, inbox, reply };
        let starts = owned.release_and(|runs| {
            if runs.is_closed {
                parked.release();
                return false;
            }
            runs.parked.insert(run, parked);
            !std::mem::replace(&mut runs.parked.is_watched, true)
        });
        if starts == Some(true) {
            tokio::spawn(watch(Arc::downgrade(&self)));
        }
        self.registry.parked_changed.notify_one();
        if has_news {
            self.wake(run);
        }
    }

    /// Brings a parked run back into memory and drives it; does nothing if the run is not parked.
    pub(super) fn wake(self: &Arc<Self>, run: Uuid) {
        let woken = {
            let mut runs = self.registry.runs();
            runs.parked.take(run).map(|parked| self.reclaim(&mut runs, run, parked))
        };
        if let Some((owned, reply)) = woken {
            tokio::spawn(self.clone().bring_back(owned, reply));
        }
    }

    fn reclaim(self: &Arc<Self>, runs: &mut Runs, run: Uuid, parked: ParkedRun) -> (OwnedRun, Reply) {
        let ParkedRun { journal, inbox, reply, .. } = parked;
        (self.admit(runs, run, (&journal, None), inbox), reply)
    }

    async fn bring_back(self: Arc<Self>, owned: OwnedRun, reply: Reply) {
        let executor = Executor { inner: self.clone() };
        let opened = {
            let _turn = self.registry.waking.acquire().await;
            Box::pin(executor.reopen(owned)).await
        };
        match opened {
            Ok(run) => Box::pin(self.drive_in_background(run, reply)).await,
            // The receiver may have been dropped.
            Err(error) => drop(reply.send(Box::new(Err(error)))),
        }
    }
}

/// Wakes parked runs when they are due, until no run is parked or the executor is dropped.
async fn watch(inner: Weak<Inner>) {
    let Some((engine, changed)) =
        inner.upgrade().map(|inner| (inner.plain.clone(), inner.registry.parked_changed.clone()))
    else {
        return;
    };
    loop {
        let next = {
            let Some(inner) = inner.upgrade() else { return };
            let due = inner.registry.runs().parked.due(engine.clock().now());
            due.into_iter().for_each(|run| inner.wake(run));
            let mut runs = inner.registry.runs();
            if runs.parked.len() == 0 {
                runs.parked.is_watched = false;
                return;
            }
            runs.parked.by_time.first().map(|(wake_at, _)| Timestamp::from(*wake_at))
        };
        let time = async {
            match next {
                Some(wake_at) => engine.clock().sleep_until(wake_at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = changed.notified() => {}
            () = time => {}
        }
    }
}

/// Returns the semaphore that limits how many runs are brought back into memory at once.
pub(super) fn waking() -> tokio::sync::Semaphore {
    tokio::sync::Semaphore::new(WAKING_MAX)
}
