//! Group commit: callers share writes and syncs.
//!
//! Data appended while the disk is busy shares the next write or sync. One thread syncs for all
//! waiters. A caller that only needs a short write performs the write itself, since this costs less
//! than two context switches. Longer writes run on a separate thread so that they do not wait for a
//! sync.
//!
//! A sync takes more processor time than a step. While many tasks are ready to run, the bottleneck
//! is the processor, not the disk. A sync then waits for more callers, for up to a few times the
//! duration of the last sync.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use llmspell_workflows_basic::{sync::lock, targets};
use tokio::{runtime::Handle, sync::oneshot};

/// The log or store that a committer writes and syncs. After a failure, all later writes and syncs must fail too.
pub(crate) trait Commit: Send + Sync + 'static {
    type Error: Clone + Send;

    /// Hands all appended data to the operating system and blocks until this is done. Returns how
    /// much has been appended so far.
    fn write(&self) -> Result<u64, Self::Error>;

    /// Performs [`Self::write`] if it takes only a few system calls; otherwise returns `None`
    /// without writing.
    fn write_now(&self) -> Option<Result<u64, Self::Error>> {
        None
    }

    /// Makes all appended data durable against power loss. Returns how much has been appended so
    /// far.
    fn sync(&self) -> Result<u64, Self::Error>;

    /// Called after each sync, once all waiters have been answered.
    fn after_sync(&self) {}

    /// Returns the error for callers still waiting when the committer ends.
    fn closed() -> Self::Error;
}

/// A sync waits for more callers only while its first caller's runtime has at least this many
/// tasks ready to run.
const READY_TASKS_MIN: usize = 128;

/// The maximum number of times a sync waits for more callers. Each wait lasts as long as the last
/// sync.
const GATHERINGS_MAX: usize = 4;

/// The maximum duration of a single wait for more callers.
const GATHERING_MAX: Duration = Duration::from_micros(250);

/// A write waits for other ready tasks to append if at least this many callers shared the last sync.
const SHARING_MIN: usize = 8;

/// The threads and the queues of waiters.
pub(crate) struct Committer<C: Commit> {
    shared: Arc<Shared<C>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<C: Commit> {
    below: Arc<C>,
    queues: Mutex<Queues<C::Error>>,
    write_wanted: Condvar,
    sync_wanted: Condvar,
    written: AtomicU64,
    synced: AtomicU64,
    /// The number of callers that shared the last sync.
    sharing: AtomicUsize,
}

struct Queues<E> {
    write: Vec<Waiter<E>>,
    sync: Vec<Waiter<E>>,
    /// The runtime of the first caller waiting for the next sync.
    runtime: Option<Handle>,
    /// The duration of the last sync.
    last_sync: Duration,
    is_closing: bool,
}

type Waiter<E> = oneshot::Sender<Result<(), E>>;

/// The operation that a caller waits for.
#[derive(Clone, Copy)]
enum Wanted {
    Write,
    Sync,
}

impl<C: Commit> Committer<C> {
    /// Starts the threads.
    pub(crate) fn start(below: Arc<C>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            below,
            queues: Mutex::new(Queues {
                write: Vec::new(),
                sync: Vec::new(),
                runtime: None,
                last_sync: Duration::ZERO,
                is_closing: false,
            }),
            write_wanted: Condvar::new(),
            sync_wanted: Condvar::new(),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            sharing: AtomicUsize::new(0),
        });
        // If the second thread cannot be spawned, dropping the committer ends the first one.
        let mut committer = Self { shared, threads: Vec::new() };
        for (name, wanted) in [("spellflow-write", Wanted::Write), ("spellflow-sync", Wanted::Sync)] {
            let shared = committer.shared.clone();
            let thread = Builder::new().name(name.to_owned()).spawn(move || {
                while let Some(waiters) = shared.take(wanted) {
                    shared.serve(wanted, waiters);
                }
            })?;
            committer.threads.push(thread);
        }
        Ok(committer)
    }

    /// Waits until the first `position` bytes or records survive this process.
    pub(crate) async fn written(&self, position: u64) -> Result<(), C::Error> {
        if self.shared.is_written(position) {
            return Ok(());
        }
        if self.shared.sharing.load(Ordering::Relaxed) >= SHARING_MIN {
            tokio::task::yield_now().await;
            if self.shared.is_written(position) {
                return Ok(());
            }
        }
        if let Some(result) = self.shared.below.write_now() {
            return result.map(|written| self.shared.note_written(written));
        }
        self.shared.wait(Wanted::Write).await
    }

    /// Waits until the first `position` bytes or records are durable against power loss.
    pub(crate) async fn synced(&self, position: u64) -> Result<(), C::Error> {
        if position <= self.shared.synced.load(Ordering::Acquire) {
            return Ok(());
        }
        self.shared.wait(Wanted::Sync).await
    }
}

impl<C: Commit> Shared<C> {
    fn queues(&self) -> MutexGuard<'_, Queues<C::Error>> {
        lock(&self.queues)
    }

    fn condition(&self, wanted: Wanted) -> &Condvar {
        match wanted {
            Wanted::Write => &self.write_wanted,
            Wanted::Sync => &self.sync_wanted,
        }
    }

    async fn wait(&self, wanted: Wanted) -> Result<(), C::Error> {
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut queues = self.queues();
            if queues.is_closing {
                return Err(C::closed());
            }
            let queue = queues.of(wanted);
            queue.push(answer);
            let is_first = queue.len() == 1;
            if is_first && matches!(wanted, Wanted::Sync) {
                queues.runtime = Handle::try_current().ok();
            }
            is_first
        };
        if is_first {
            self.condition(wanted).notify_one();
        }
        answered.await.unwrap_or_else(|_| Err(C::closed()))
    }

    /// Blocks until there are waiters and returns them; returns `None` when the committer ends.
    fn take(&self, wanted: Wanted) -> Option<Vec<Waiter<C::Error>>> {
        let is_idle = |queues: &mut Queues<C::Error>| queues.of(wanted).is_empty() && !queues.is_closing;
        let mut queues =
            self.condition(wanted).wait_while(self.queues(), is_idle).unwrap_or_else(PoisonError::into_inner);
        if matches!(wanted, Wanted::Sync) {
            queues = self.gather(queues);
        }
        let waiters = std::mem::take(queues.of(wanted));
        (!waiters.is_empty()).then_some(waiters)
    }

    /// Waits for more sync callers while many tasks in their runtime are ready to run.
    fn gather<'a>(&'a self, mut queues: MutexGuard<'a, Queues<C::Error>>) -> MutexGuard<'a, Queues<C::Error>> {
        for _ in 0..GATHERINGS_MAX {
            let ready = queues.runtime.as_ref().map_or(0, |runtime| runtime.metrics().global_queue_depth());
            if ready < READY_TASKS_MIN || queues.is_closing {
                break;
            }
            let pause = queues.last_sync.min(GATHERING_MAX);
            let waited = self.sync_wanted.wait_timeout(queues, pause);
            (queues, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        queues
    }

    fn is_written(&self, position: u64) -> bool {
        position <= self.written.load(Ordering::Acquire)
    }

    fn note_written(&self, position: u64) {
        self.written.fetch_max(position, Ordering::Release);
    }

    /// Writes or syncs, and answers `waiters`, whose data was appended before this call.
    fn serve(&self, wanted: Wanted, waiters: Vec<Waiter<C::Error>>) {
        let span = match wanted {
            Wanted::Write => tracing::trace_span!(target: targets::JOURNAL, "write", waiting = waiters.len()),
            Wanted::Sync => tracing::trace_span!(target: targets::JOURNAL, "commit", waiting = waiters.len()),
        };
        let _entered = span.enter();
        let outcome = match wanted {
            Wanted::Write => self.below.write(),
            Wanted::Sync => {
                let begin = Instant::now();
                let outcome = self.below.sync();
                self.queues().last_sync = begin.elapsed();
                self.sharing.store(waiters.len(), Ordering::Relaxed);
                outcome
            }
        };
        let result = outcome.map(|position| {
            self.note_written(position);
            if matches!(wanted, Wanted::Sync) {
                self.synced.fetch_max(position, Ordering::Release);
                tracing::trace!(target: targets::JOURNAL, position, "synced");
            }
        });
        for waiter in waiters {
            // The receiver may have stopped waiting.
            let _ = waiter.send(result.clone());
        }
        if matches!(wanted, Wanted::Sync) {
            self.below.after_sync();
        }
    }
}

impl<E> Queues<E> {
    fn of(&mut self, wanted: Wanted) -> &mut Vec<Waiter<E>> {
        match wanted {
            Wanted::Write => &mut self.write,
            Wanted::Sync => &mut self.sync,
        }
    }
}

impl<C: Commit> Drop for Committer<C> {
    /// Serves the remaining waiters, ends the threads, and writes all other data; blocks on the
    /// disk.
    fn drop(&mut self) {
        self.shared.queues().is_closing = true;
        self.shared.write_wanted.notify_one();
        self.shared.sync_wanted.notify_one();
        for thread in self.threads.drain(..) {
            // The thread has already answered all waiters.
            let _ = thread.join();
        }
        // Earlier errors have already been sent to the waiters, and nobody is waiting for this one.
        let _ = self.shared.below.write();
    }
}
