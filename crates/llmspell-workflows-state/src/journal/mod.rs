//! The append-only records of runs: the [`Journal`] trait and its implementations.
//!
//! | journal | feature | written | synced |
//! |---|---|---|---|
//! | [`WalJournal`], the default | | handed to the system | one `fdatasync` for all waiters |
//! | `FjallJournal` | `fjall` | handed to the system; waits for a running sync | one `fsync` of fjall's journal for all waiters, then an `fdatasync` of the change count |
//! | `SledJournal` | `sled` | handed to the system; waits until the data is on its way to the disk | one `fdatasync` of sled's log for all waiters, then one of the change count |
//! | [`MemoryJournal`] | | nothing survives the process | |
//!
//! Every journal except the in-memory one has a folder, which only one process can open at a time.

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
    record::{FormatError, Record, RecordLines},
    store::StoreError,
};

/// An append-only store of the records of runs.
///
/// A run's records are returned in append order. After a crash, a record is present only if all
/// records appended to the journal before it are present, including other runs' records.
#[async_trait]
pub trait Journal: Send + Sync + fmt::Debug {
    /// Takes over `run`: its previous owner can no longer append to it. An unknown run has no records.
    ///
    /// # Errors
    /// Returns an error if the records of the run cannot be read.
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError>;

    /// Takes over several runs like [`Self::open`], and returns them in the given order, with their
    /// records in stored form.
    ///
    /// # Errors
    /// Returns an error if any run's records cannot be read. Some of the runs may then have been
    /// taken over.
    async fn open_lines(&self, runs: &[Uuid]) -> Result<Vec<OpenedLines>, JournalError> {
        let mut opened = Vec::with_capacity(runs.len());
        for run in runs {
            let Opened { epoch, records } = self.open(*run).await?;
            let records = RecordLines::of(&records).map_err(|error| JournalError::unreadable(*run, error))?;
            opened.push(OpenedLines { epoch, records });
        }
        Ok(opened)
    }

    /// Appends a record in memory, without waiting for a disk or a network. The record is durable once [`Self::write`]
    /// or [`Self::sync`] has returned, and may be durable earlier.
    ///
    /// # Errors
    /// Returns an error if the run was taken over or the journal can no longer be written.
    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError>;

    /// Waits until everything up to `receipt` survives this process.
    ///
    /// # Errors
    /// Returns an error if the journal can no longer be written.
    async fn write(&self, receipt: Receipt) -> Result<(), JournalError>;

    /// Waits until everything up to `receipt` survives a power loss.
    ///
    /// # Errors
    /// Returns an error if the journal can no longer be written; it is then unknown how much of it is durable.
    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError>;

    /// Returns the current records of `run`, in order, without taking the run over. An unknown run
    /// has no records.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError>;

    /// Returns all runs that have records in this journal and have not been [forgotten](Self::forget).
    fn runs(&self) -> Vec<Uuid>;

    /// Returns the missing or changed data found when the journal was opened. Runs that may have
    /// lost records cannot be opened; all other runs can.
    fn damage(&self) -> Vec<JournalError> {
        Vec::new()
    }

    /// Returns the runs in this journal that have ended according to their last record.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    async fn ended(&self) -> Result<Vec<Uuid>, JournalError> {
        let mut ended = Vec::new();
        for run in self.runs() {
            if matches!(self.records(run).await?.last(), Some(Record::Closed { .. })) {
                ended.push(run);
            }
        }
        Ok(ended)
    }

    /// Brings runs into the journal with all their records, and returns the epochs needed to
    /// append to them. Existing records of the same runs are replaced. Once this returns, the
    /// runs survive a power loss.
    ///
    /// After a crash, either all the runs are present with all their records, or the journal is
    /// unchanged.
    ///
    /// # Errors
    /// Returns an error if the records cannot be written, in which case nothing has changed.
    async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError>;

    /// Rewrites the records of the journal's runs if that saves much space; with `is_thorough`, even if the journal is
    /// small.
    ///
    /// No run may have an owner during this call.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read or written.
    async fn compact(&self, is_thorough: bool) -> Result<(), JournalError> {
        let _ = is_thorough;
        Ok(())
    }

    /// Drops all records of the given runs, which must already be stored elsewhere. Once this returns, the removal
    /// survives this process.
    ///
    /// # Errors
    /// Returns an error if one of the runs was taken over, in which case none is forgotten, or if the journal can no
    /// longer be written.
    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError>;
}

/// A wrapper that forwards all calls to another journal.
pub trait JournalWrapper: Send + Sync + fmt::Debug {
    /// Returns the wrapped journal.
    fn inner(&self) -> &dyn Journal;
}

#[async_trait]
impl<J: JournalWrapper> Journal for J {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        self.inner().open(run).await
    }

    async fn open_lines(&self, runs: &[Uuid]) -> Result<Vec<OpenedLines>, JournalError> {
        self.inner().open_lines(runs).await
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

    fn damage(&self) -> Vec<JournalError> {
        self.inner().damage()
    }

    async fn ended(&self) -> Result<Vec<Uuid>, JournalError> {
        self.inner().ended().await
    }

    async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
        self.inner().arrive(arrivals).await
    }

    async fn compact(&self, is_thorough: bool) -> Result<(), JournalError> {
        self.inner().compact(is_thorough).await
    }

    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        self.inner().forget(runs).await
    }
}

/// The number of times a run has been taken over; only the latest owner may append to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// A run to bring into a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The run.
    pub run: Uuid,
    /// The epoch of the run's latest owner outside this journal; the run's new epoch is later.
    pub after: Epoch,
    /// All records of the run.
    pub records: Vec<Record>,
}

/// A run that was taken over.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The epoch of the new owner.
    pub epoch: Epoch,
    /// The run's records, in order.
    pub records: Vec<Record>,
}

/// A run that was taken over, with its records in stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedLines {
    /// The epoch of the new owner.
    pub epoch: Epoch,
    /// The run's records, in order.
    pub records: RecordLines,
}

/// The runs in a journal, as read without opening it.
#[derive(Debug, Default)]
pub struct JournalContents {
    /// The runs, ordered by id.
    pub runs: Vec<JournaledRun>,
    /// Missing or changed data in the journal. While a process writes to the journal, a partly
    /// written record can look like damage.
    pub damage: Vec<JournalError>,
}

/// A run in a journal, as read without opening the journal.
#[derive(Debug)]
pub struct JournaledRun {
    /// The run.
    pub run: Uuid,
    /// The epoch of the run's latest owner.
    pub epoch: Epoch,
    /// The run's records, or why they cannot be used.
    pub records: Result<Vec<Record>, JournalError>,
}

/// Proof that a record was appended. Each journal numbers its records independently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt(pub(crate) u64);

impl Receipt {
    /// Creates the receipt for the `number`th record of a journal; for use by custom journals.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number of the record.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Why a journal cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The underlying log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The underlying storage engine failed.
    #[error(transparent)]
    Store(StoreError),
    /// Another process owns the journal.
    #[error("{path} is in use by another process, {holder}")]
    Held {
        /// The journal's folder.
        path: String,
        /// How the owner describes itself.
        holder: String,
    },
    /// The run was taken over.
    #[error("run {run} has been taken over by another owner")]
    Fenced {
        /// The run.
        run: Uuid,
    },
    /// A record has a different format version.
    #[error("the journal of run {run} cannot be read: {error}")]
    Format {
        /// The run.
        run: Uuid,
        /// Why the record cannot be read.
        error: FormatError,
    },
    /// The records of a run are inconsistent.
    #[error("the journal of run {run} is damaged: {message}")]
    Damaged {
        /// The run.
        run: Uuid,
        /// A description of the damage.
        message: String,
    },
}

impl JournalError {
    /// Returns the stable error code, which has a page under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        if self.is_other_format() { "record_format" } else { "journal_failed" }
    }

    /// Returns whether the data was written by another version of this program.
    #[must_use]
    pub fn is_other_format(&self) -> bool {
        match self {
            Self::Format { .. } | Self::Log(LogError::Newer { .. } | LogError::Older { .. }) => true,
            Self::Store(error) => error.is_other_format(),
            Self::Log(LogError::Io { .. } | LogError::Damaged { .. } | LogError::Removed { .. } | LogError::Closed)
            | Self::Held { .. }
            | Self::Fenced { .. }
            | Self::Damaged { .. } => false,
        }
    }

    /// Creates the error for an unreadable record of `run`.
    #[must_use]
    pub fn unreadable(run: Uuid, error: FormatError) -> Self {
        match error {
            FormatError::Unreadable(message) => {
                Self::Damaged { run, message: format!("a record cannot be read: {message}") }
            }
            error @ (FormatError::Earlier { .. } | FormatError::Later { .. }) => Self::Format { run, error },
        }
    }

    /// Returns whether a retry may succeed once another process releases the journal.
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
            // The remedy for a journal differs from the remedy for a store.
            StoreError::Held { path, holder } => Self::Held { path: path.display().to_string(), holder },
            error => Self::Store(error),
        }
    }
}
