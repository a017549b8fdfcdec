//! What outlives a process: the journal of runs.
//!
//! - [`journal`]: the trait [`Journal`], the write-ahead log that keeps it, adapters on fjall and sled, one in memory.
//! - [`record`]: what a journal holds of a run.
//! - [`run`]: the journal of one run, and the interceptor that answers from it and writes to it.
//! - [`disk`]: the few things that the log asks of a disk.
//!
//! The promise: no completion is recorded twice, and a step whose completion was acknowledged is never executed again.
//! One that was in flight when the process ended may be, under the same idempotency key.

mod commit;
pub mod disk;
#[cfg(any(feature = "fjall", feature = "sled"))]
mod folder;
pub mod journal;
mod log;
pub mod record;
pub mod run;
pub mod store;

#[cfg(feature = "fjall")]
pub use journal::FjallJournal;
#[cfg(feature = "sled")]
pub use journal::SledJournal;
pub use journal::{Around, Epoch, Journal, JournalError, MemoryJournal, Opened, Receipt, WalJournal};
pub use log::{LogError, LogOptions};
pub use record::{
    ChoiceAt, End, FormatError, Migrated, Origin, Parent, Record, Redefined, Request, Resumption, Rewound, Started,
    Suspension,
};
pub use run::{
    Closed, History, IllegalRecord, Journaling, Listener, PastStep, Phase, RewindError, Rewinding, RunJournal,
    RunState, StepState,
};
