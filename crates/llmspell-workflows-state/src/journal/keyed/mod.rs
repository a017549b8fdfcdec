//! A journal on an ordered key-value store.
//!
//! | key | value |
//! |---|---|
//! | `e` run | its epoch, little-endian |
//! | `n` | the number of records of all runs, little-endian |
//! | `r` run, index of the record, big-endian | the record, as JSON |
//!
//! Appending only adds to a queue. A write hands the whole queue to the store as one change. After
//! a crash, either all or none of these records are present, and no record is present without its
//! predecessors. One thread syncs for all waiters. A failed write or sync is final: all later
//! writes and syncs are rejected.
//!
//! A run's record indexes have no gaps, and the total number of records is also stored, so records
//! lost from the middle or the end of a run are detected.

mod runs;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use llmspell_workflows_basic::sync::lock;
use uuid::Uuid;

use self::runs::{Runs, record_key};
use super::{Arrival, Epoch, Journal, JournalError, Opened, Receipt};
use crate::{
    commit::{Commit, Committer},
    disk::blocking,
    folder::Durable,
    record::Record,
    store::{StoreError, kv::Change},
};

/// A journal on a key-value store.
pub(super) struct Keyed {
    shared: Arc<Shared>,
    /// Dropped first; dropping it writes the queued changes.
    committer: Option<Committer<Shared>>,
}

struct Shared {
    below: Box<dyn Durable>,
    state: Mutex<State>,
    /// Locked while the queue is handed to the store so that changes reach it in order.
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct State {
    runs: Runs,
    queue: Vec<Change>,
    /// The number of records appended since the journal was opened.
    appended: u64,
    fault: Option<JournalError>,
    is_closing: bool,
}

/// The store's progress, in the store's own write numbers.
#[derive(Default)]
struct Progress {
    /// The last write given to the store.
    given: u64,
    /// The last write that survives this process.
    durable: u64,
}

impl Keyed {
    /// Opens the journal in `below`.
    pub(super) fn open(below: impl Durable) -> Result<Self, JournalError> {
        let runs = Runs::read(&below)?;
        let state = Mutex::new(State { runs, ..State::default() });
        let shared = Arc::new(Shared { below: Box::new(below), state, progress: Mutex::default() });
        let committer = Committer::start(shared.clone()).map_err(|error| no_thread(&*shared.below, &error))?;
        Ok(Self { shared, committer: Some(committer) })
    }

    async fn read(&self, run: Uuid, count: u64) -> Result<Vec<Record>, JournalError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let shared = self.shared.clone();
        blocking(move || {
            // The latest records may still be only in memory.
            shared.hand_over()?;
            runs::read_records(&*shared.below, run, count)
        })
        .await
    }

    fn committer(&self) -> Result<&Committer<Shared>, JournalError> {
        self.shared.state().check()?;
        self.committer.as_ref().ok_or_else(closed)
    }
}

#[async_trait]
impl Journal for Keyed {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        let (epoch, count) = {
            let mut state = self.shared.state();
            state.check()?;
            let (epoch, count, change) = state.runs.open(run);
            state.queue.push(change);
            (epoch, count)
        };
        Ok(Opened { epoch, records: self.read(run, count).await? })
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        let body = record.encode().map_err(|error| JournalError::unreadable(run, error))?;
        let mut state = self.shared.state();
        state.check()?;
        let index = state.runs.append(run, epoch)?;
        state.queue.push((record_key(run, index), Some(body)));
        state.appended += 1;
        Ok(Receipt(state.appended))
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.committer()?.written(receipt.0).await
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.committer()?.synced(receipt.0).await
    }

    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        let count = self.shared.state().runs.count(run);
        self.read(run, count).await
    }

    fn runs(&self) -> Vec<Uuid> {
        self.shared.state().runs.ids()
    }

    async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
        let mut encoded = Vec::with_capacity(arrivals.len());
        for Arrival { run, after, records } in &arrivals {
            let bodies = records.iter().map(Record::encode).collect::<Result<Vec<_>, _>>();
            encoded.push((*run, *after, bodies.map_err(|error| JournalError::unreadable(*run, error))?));
        }
        let (epochs, position) = {
            let mut state = self.shared.state();
            state.check()?;
            let mut epochs = Vec::with_capacity(encoded.len());
            // Everything queued together reaches the store as one change.
            for (run, after, bodies) in encoded {
                state.appended += bodies.len() as u64 + 1;
                let (epoch, changes) = state.runs.arrive(run, after, bodies)?;
                state.queue.extend(changes);
                epochs.push(epoch);
            }
            (epochs, state.appended)
        };
        self.committer()?.synced(position).await?;
        Ok(epochs)
    }

    async fn forget(&self, forgotten: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        let position = {
            let mut state = self.shared.state();
            state.check()?;
            for (run, epoch) in forgotten {
                state.runs.check_epoch(*run, *epoch)?;
            }
            for (run, epoch) in forgotten {
                let changes = state.runs.forget(*run, *epoch)?;
                state.queue.extend(changes);
            }
            // The removal counts as a record, so callers can wait for the write that includes it.
            state.appended += 1;
            state.appended
        };
        self.committer()?.written(position).await
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        self.shared.state().is_closing = true;
        drop(self.committer.take());
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal on {} in {}", self.shared.below.name(), self.shared.below.location())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Hands the whole queue to the operating system; returns the number of records appended so
    /// far.
    fn hand_over(&self) -> Result<u64, JournalError> {
        let mut progress = lock(&self.progress);
        let appended = self.flush_queue(&mut progress)?;
        if progress.durable < progress.given {
            self.below.hand_over().map_err(|error| self.fail(error))?;
            progress.durable = progress.given;
        }
        Ok(appended)
    }

    /// Passes the whole queue to the store; returns the number of records appended so far.
    fn flush_queue(&self, progress: &mut Progress) -> Result<u64, JournalError> {
        let (mut changes, appended, count) = {
            let mut state = self.state();
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            (std::mem::take(&mut state.queue), state.appended, state.runs.count_change())
        };
        if !changes.is_empty() {
            changes.push(count);
            progress.given = self.below.write(changes).map_err(|error| self.fail(error))?;
        }
        Ok(appended)
    }

    /// Stores the fault that ends the journal; the first fault is the cause of all later ones.
    fn fail(&self, error: StoreError) -> JournalError {
        self.state().fault.get_or_insert(JournalError::Store(error)).clone()
    }
}

impl Commit for Shared {
    type Error = JournalError;

    fn write(&self) -> Result<u64, JournalError> {
        self.hand_over()
    }

    fn sync(&self) -> Result<u64, JournalError> {
        let (appended, given) = {
            let mut progress = lock(&self.progress);
            (self.flush_queue(&mut progress)?, progress.given)
        };
        // The sync runs outside the lock so that writes can continue.
        self.below.sync(given).map_err(|error| self.fail(error))?;
        // A successful sync does not repair a write that failed in the meantime.
        self.state().fault.clone().map_or(Ok(appended), Err)
    }

    fn closed() -> JournalError {
        closed()
    }
}

impl State {
    fn check(&self) -> Result<(), JournalError> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None if self.is_closing => Err(closed()),
            None => Ok(()),
        }
    }
}

fn closed() -> JournalError {
    JournalError::Log(crate::log::LogError::Closed)
}

fn no_thread(below: &dyn Durable, error: &io::Error) -> JournalError {
    JournalError::Store(StoreError::io(&PathBuf::from(below.location()), error))
}
