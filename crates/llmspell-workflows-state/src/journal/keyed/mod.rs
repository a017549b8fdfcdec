//! The journal on ordered keys and values.
//!
//! | key | value |
//! |---|---|
//! | `e` run | its epoch, little-endian |
//! | `n` | how many records there are of all runs, little-endian |
//! | `r` run, index of the record, big-endian | the record, as JSON |
//!
//! Appending only takes a place in a queue. Whoever writes hands the whole queue to what is below as one change, so that
//! a crash leaves all of it or nothing, and nothing without what came before it. One thread syncs for all who wait. A
//! write or a sync that fails is the end: everything after it is refused.
//!
//! The indexes of a run have no gap, and the number of all records is kept with them. So what was lost is missed, in the
//! middle of a run and at its end.

mod committer;
mod runs;

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use async_trait::async_trait;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::runs::{Runs, record_key};
use super::{Epoch, Journal, JournalError, Opened, Receipt};
use crate::{
    folder::Lasting,
    record::Record,
    store::{StoreError, kv::Change},
};

/// A journal on what is below it.
pub(super) struct Keyed {
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
}

struct Shared {
    below: Box<dyn Lasting>,
    state: Mutex<State>,
    /// Whoever waits for a sync rings; the committer hears.
    bell: Condvar,
    /// Held by whoever hands on what is queued, so that it goes in order.
    handing: Mutex<Handed>,
}

#[derive(Default)]
struct State {
    runs: Runs,
    queue: Vec<Change>,
    /// How many records were appended since the journal was opened.
    appended: u64,
    /// How many of them outlive a power loss.
    synced: u64,
    waiting: Vec<(u64, oneshot::Sender<Result<(), JournalError>>)>,
    fault: Option<JournalError>,
    is_closing: bool,
}

/// How far what is below has come, in its own count.
#[derive(Default)]
struct Handed {
    /// What it was given.
    given: u64,
    /// What of that outlives this process.
    lasting: u64,
}

impl Keyed {
    /// The journal that `below` holds.
    pub(super) fn open(below: impl Lasting) -> Result<Self, JournalError> {
        let runs = Runs::read(&below)?;
        let state = Mutex::new(State { runs, ..State::default() });
        let (bell, handing) = (Condvar::new(), Mutex::default());
        let shared = Arc::new(Shared { below: Box::new(below), state, bell, handing });
        let committer = committer::start(shared.clone()).map_err(|error| no_thread(&*shared.below, &error))?;
        Ok(Self { shared, committer: Some(committer) })
    }

    /// The records of `run` as they stand now; none where there is no such run.
    pub(super) fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        let count = self.shared.state().runs.count(run);
        self.shared.write()?;
        runs::read_records(&*self.shared.below, run, count)
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
        // What was appended last may still be here alone.
        self.shared.write()?;
        let records = runs::read_records(&*self.shared.below, run, count)?;
        Ok(Opened { epoch, records })
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

    fn write(&self) -> Result<(), JournalError> {
        self.shared.write()
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        let (says, synced) = oneshot::channel();
        {
            let mut state = self.shared.state();
            state.check()?;
            if receipt.0 <= state.synced {
                return Ok(());
            }
            state.waiting.push((receipt.0, says));
        }
        self.shared.bell.notify_one();
        synced.await.unwrap_or_else(|_| Err(closed()))
    }

    fn runs(&self) -> Vec<Uuid> {
        self.shared.state().runs.ids()
    }

    fn forget(&self, run: Uuid, epoch: Epoch) -> Result<(), JournalError> {
        let mut state = self.shared.state();
        state.check()?;
        let changes = state.runs.forget(run, epoch)?;
        state.queue.extend(changes);
        Ok(())
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        self.shared.state().is_closing = true;
        self.shared.bell.notify_one();
        if let Some(committer) = self.committer.take() {
            // It has told its faults to all who waited.
            drop(committer.join());
        }
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal on {} in {}", self.shared.below.name(), self.shared.below.place())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands all that is queued to the system.
    fn write(&self) -> Result<(), JournalError> {
        let mut handed = self.handing.lock().unwrap_or_else(PoisonError::into_inner);
        self.give(&mut handed)?;
        if handed.lasting < handed.given {
            self.below.hand_over().map_err(|error| self.fail(error))?;
            handed.lasting = handed.given;
        }
        Ok(())
    }

    /// Gives all that is queued to what is below; returns how many records that is, of all since the journal was opened.
    fn give(&self, handed: &mut Handed) -> Result<u64, JournalError> {
        let (mut changes, appended, count) = {
            let mut state = self.state();
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            (std::mem::take(&mut state.queue), state.appended, state.runs.count_change())
        };
        if !changes.is_empty() {
            changes.push(count);
            handed.given = self.below.write(changes).map_err(|error| self.fail(error))?;
        }
        Ok(appended)
    }

    /// Notes what ended the journal; the first is the cause of all others.
    fn fail(&self, error: StoreError) -> JournalError {
        self.state().fault.get_or_insert(JournalError::Store(error)).clone()
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

fn no_thread(below: &dyn Lasting, error: &io::Error) -> JournalError {
    JournalError::Store(StoreError::io(&PathBuf::from(below.place()), error))
}
