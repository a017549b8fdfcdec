//! The append-only records of runs: the trait [`Journal`], and where they are kept.
//!
//! | journal | feature | written | synced |
//! |---|---|---|---|
//! | [`WalJournal`], the default | | handed to the system | one `fdatasync` for all who wait |
//! | `FjallJournal` | `fjall` | handed to the system; waits for a sync that is under way | the same for fjall's journal, then for a count beside it |
//! | `SledJournal` | `sled` | handed to the system; waits until it is on its way to the disk | the same for sled's log, then for a count beside it |
//! | [`MemoryJournal`] | | nothing outlives the process | |
//!
//! Each but the one in memory has a folder, which one process has open at a time.

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(any(feature = "fjall", feature = "sled"))]
mod keyed;
mod memory;
#[cfg(feature = "sled")]
mod sled;
mod wal;

use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

#[cfg(feature = "fjall")]
pub use fjall::FjallJournal;
pub use memory::MemoryJournal;
#[cfg(feature = "sled")]
pub use sled::SledJournal;
pub use wal::WalJournal;

use crate::{
    log::LogError,
    record::{FormatError, Record},
    store::StoreError,
};

/// Keeps the records of runs.
///
/// Records of one run come back in the order in which they were appended, and after a crash none is there without all
/// that were appended before it, to any run of this journal.
#[async_trait]
pub trait Journal: Send + Sync + fmt::Debug {
    /// Takes over `run`: whoever had it before can append to it no more. A run that nobody knows has no records yet.
    ///
    /// # Errors
    /// What is kept of it cannot be read.
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError>;

    /// Appends a record in memory, without waiting for a disk or a network. It is kept once [`Self::write`] or
    /// [`Self::sync`] has ended, and may be before.
    ///
    /// # Errors
    /// Someone else has taken over the run, or the journal cannot be written any more.
    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError>;

    /// Ends once everything up to the receipt outlives this process.
    ///
    /// # Errors
    /// The journal cannot be written any more.
    async fn write(&self, receipt: Receipt) -> Result<(), JournalError>;

    /// Ends once everything up to the receipt outlives a power loss.
    ///
    /// # Errors
    /// The journal cannot be written any more; nobody knows how much of it is kept.
    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError>;

    /// The records of `run` so far, in order, without taking it over; none if there is no such run here.
    ///
    /// # Errors
    /// They cannot be read.
    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError>;

    /// All runs that have records here and have not been [forgotten](Self::forget).
    fn runs(&self) -> Vec<Uuid>;

    /// Drops all records of the given runs, which are kept elsewhere by now; that outlives this process once it ends.
    ///
    /// # Errors
    /// Someone else has taken over one of the runs, and then none is forgotten; or the journal cannot be written any
    /// more.
    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError>;
}

/// A journal that is another one with something around it: all it is asked, the other one does.
pub trait Around: Send + Sync + fmt::Debug {
    /// The other one.
    fn inner(&self) -> &dyn Journal;
}

#[async_trait]
impl<J: Around> Journal for J {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        self.inner().open(run).await
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        self.inner().append(run, epoch, record)
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.inner().write(receipt).await
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.inner().sync(receipt).await
    }

    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        self.inner().records(run).await
    }

    fn runs(&self) -> Vec<Uuid> {
        self.inner().runs()
    }

    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        self.inner().forget(runs).await
    }
}

/// How often a run has been taken over; the last to do so alone may append to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A run that was taken over.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// Who appends from now on.
    pub epoch: Epoch,
    /// What is kept of it, in order.
    pub records: Vec<Record>,
}

/// That a record was appended; each journal has its own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt(pub(crate) u64);

impl Receipt {
    /// The `number`th record that a journal took; for journals of your own.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Which record it was.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Why a journal cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The log below it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The engine below it.
    #[error(transparent)]
    Store(StoreError),
    /// Another process has the log.
    #[error("{path} is in use by another process, {holder}")]
    Held {
        /// Which folder.
        path: String,
        /// Who it says it is.
        holder: String,
    },
    /// Someone else goes on with the run.
    #[error("the run {run} has been taken over by someone else")]
    Fenced {
        /// Which run.
        run: Uuid,
    },
    /// A record of a run is of another version of the format.
    #[error("the journal of the run {run} cannot be read: {error}")]
    Format {
        /// Which run.
        run: Uuid,
        /// Why.
        error: FormatError,
    },
    /// What is kept of a run makes no sense.
    #[error("the journal of the run {run} is damaged: {message}")]
    Damaged {
        /// Which run.
        run: Uuid,
        /// What is wrong.
        message: String,
    },
}

impl JournalError {
    /// The stable code, which has a page.
    #[must_use]
    pub fn code(&self) -> &'static str {
        if self.is_other_format() { "record_format" } else { "journal_failed" }
    }

    /// Whether another version of this program wrote what cannot be read.
    #[must_use]
    pub fn is_other_format(&self) -> bool {
        match self {
            Self::Format { .. } | Self::Log(LogError::Newer { .. } | LogError::Older { .. }) => true,
            Self::Store(error) => error.is_other_format(),
            Self::Log(LogError::Io { .. } | LogError::Damaged { .. } | LogError::Closed)
            | Self::Held { .. }
            | Self::Fenced { .. }
            | Self::Damaged { .. } => false,
        }
    }

    /// That a record of `run` cannot be read.
    pub(crate) fn unreadable(run: Uuid, error: FormatError) -> Self {
        match error {
            FormatError::Unreadable(message) => {
                Self::Damaged { run, message: format!("a record cannot be read: {message}") }
            }
            error @ (FormatError::Earlier { .. } | FormatError::Later { .. }) => Self::Format { run, error },
        }
    }

    /// Whether trying again may help: another process may let go of the journal.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Held { .. } => true,
            Self::Store(error) => error.is_retryable(),
            Self::Log(_) | Self::Fenced { .. } | Self::Damaged { .. } | Self::Format { .. } => false,
        }
    }
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        match error {
            // A journal has another way out than a store.
            StoreError::Held { path, holder } => Self::Held { path: path.display().to_string(), holder },
            error => Self::Store(error),
        }
    }
}
