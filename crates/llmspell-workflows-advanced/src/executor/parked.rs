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

/// The maximum number of parked runs that are brought back into memory at once.
const WAKING_MAX: usize = 64;

/// The result of driving a run in the background; boxed to keep the entry of a parked run small.
pub(super) type DriveResult = Box<Result<DurableEnd, ExecutorError>>;

/// Receives the result of a run that is driven in the background.
pub(super) type Reply = oneshot::Sender<DriveResult>;

/// The parked runs of an executor.
#[derive(Debug, Default)]
pub(super) struct ParkedRuns {
    by_run: HashMap<Uuid, ParkedRun>,
    by_time: BTreeSet<(Timestamp, Uuid)>,
    /// Whether the task that wakes them is running.
    is_watched: bool,
}

/// All that is in memory of a parked run.
#[derive(Debug)]
pub(super) struct ParkedRun {
    journal: JournalId,
    wake_at: Option<Timestamp>,
    pub(super) inbox: InboxProgress,
    reply: Reply,
}

impl ParkedRuns {
    pub(super) fn len(&self) -> usize {
        self.by_run.len()
    }

    pub(super) fn contains(&self, run: Uuid) -> bool {
        self.by_run.contains_key(&run)
    }

    fn insert(&mut self, run: Uuid, parked: ParkedRun) {
        self.by_time.extend(parked.wake_at.map(|wake_at| (wake_at, run)));
        self.by_run.insert(run, parked);
    }

    fn take(&mut self, run: Uuid) -> Option<ParkedRun> {
        let parked = self.by_run.remove(&run)?;
        if let Some(wake_at) = parked.wake_at {
            self.by_time.remove(&(wake_at, run));
        }
        Some(parked)
    }

    /// Removes a run for a new owner; its [`RunHandle`](super::RunHandle) reports it as released.
    pub(super) fn take_over(&mut self, run: Uuid) -> Option<InboxProgress> {
        Some(self.take(run)?.release())
    }

    /// Removes all runs.
    pub(super) fn take_all(&mut self) -> Vec<ParkedRun> {
        self.by_time.clear();
        self.by_run.drain().map(|(_, run)| run).collect()
    }

    fn due(&self, now: Timestamp) -> Vec<Uuid> {
        self.by_time.iter().take_while(|(wake_at, _)| *wake_at <= now).map(|(_, run)| *run).collect()
    }
}

impl ParkedRun {
    /// Leaves the run to others; its [`RunHandle`](super::RunHandle) reports it as released.
    pub(super) fn release(self) -> InboxProgress {
        // The receiver may be gone.
        let _ = self.reply.send(Box::new(Ok(DurableEnd::Released)));
        self.inbox
    }
}

impl Inner {
    /// Drives `run` until it ends. While it waits it is parked; a later call of this function continues it.
    pub(super) async fn drive_in_background(self: Arc<Self>, run: DurableRun, reply: Reply) {
        let executor = Executor { inner: self };
        // Boxed, and freed before the run is parked, so that a parked run takes little memory.
        let end = match Box::pin(executor.drive_to_rest(run)).await {
            Ok((DurableEnd::Waiting(wait), owned)) => return executor.inner.park(owned, &wait, reply).await,
            Ok((end, owned)) => {
                drop(owned);
                Ok(end)
            }
            Err(error) => Err(error),
        };
        // The receiver may be gone.
        let _ = reply.send(Box::new(end));
    }

    async fn park(self: Arc<Self>, owned: OwnedRun, wait: &Wait, reply: Reply) {
        let (run, journal) = (owned.live.id, owned.live.journal.clone());
        let inbox = *owned.live.inbox.lock().await;
        // A signal that arrived while the run was leaving memory has not been delivered.
        let has_news = wait.inbox_after.is_some_and(|after| inbox.last_signal > after);
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

    /// Brings a parked run back into memory and drives it; does nothing if it is not parked.
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
        (self.admit(runs, run, &journal, inbox), reply)
    }

    async fn bring_back(self: Arc<Self>, owned: OwnedRun, reply: Reply) {
        let executor = Executor { inner: self.clone() };
        let opened = {
            let _turn = self.registry.waking.acquire().await;
            Box::pin(executor.reopen(owned)).await
        };
        match opened {
            Ok(run) => Box::pin(self.drive_in_background(run, reply)).await,
            // The receiver may be gone.
            Err(error) => drop(reply.send(Box::new(Err(error)))),
        }
    }
}

/// Wakes parked runs when they are due, until none is left or the executor is dropped.
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
            runs.parked.by_time.first().map(|(wake_at, _)| *wake_at)
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

/// Returns the semaphore that bounds how many runs are brought back at once.
pub(super) fn waking() -> tokio::sync::Semaphore {
    tokio::sync::Semaphore::new(WAKING_MAX)
}
