//! Durable state: the journal of runs and the stores.
//!
//! - [`journal`]: the [`Journal`] trait, the write-ahead log behind the default journal, adapters for fjall and sled,
//!   and an in-memory journal.
//! - [`record`]: the records of a run in a journal.
//! - [`run`]: the journal of one run, and the interceptor that replays it and writes to it.
//! - [`disk`]: the file operations for the log.
//! - [`foreign`]: checks for imported runs.
//!
//! No completion is recorded twice, and a step whose completion was acknowledged never executes
//! again. A step in flight when its process ends may execute again, under the same idempotency key.

mod commit;
pub mod disk;
#[cfg(any(feature = "fjall", feature = "sled"))]
mod folder;
pub mod foreign;
pub mod journal;
mod log;
pub mod record;
pub mod run;
pub mod store;

#[cfg(feature = "fjall")]
pub use journal::FjallJournal;
#[cfg(feature = "sled")]
pub use journal::SledJournal;
pub use journal::{
    Arrival, Epoch, Journal, JournalContents, JournalError, JournalWrapper, JournaledRun, MemoryJournal, Opened,
    OpenedLines, Receipt, WalJournal,
};
pub use log::{LogError, LogOptions};
pub use record::{
    ChoiceRef, End, FormatError, Migrated, Origin, Parent, Record, RecordLines, Redefined, Request, Resumption,
    Rewound, Started, Suspension,
};
pub use run::{
    AttemptJournaling, Cause, Corrected, Correction, History, IllegalRecord, Journaling, Listener, PastStep,
    PastWarning, Phase, RewindError, Rewinding, RunEnd, RunJournal, RunState, RunsAgain, StepState,
};
