//! Crashes a workflow at every boundary and checks that the result does not change.
//!
//! [`CrashTest`] first runs a workflow without a crash. Then it runs the workflow once for each boundary, in a process
//! that crashes there. The boundaries are before and after each record is appended, before and after each write and
//! sync of the disk, and before an acknowledgement is received. A new process resumes the run, which must end with
//! the same output, state and effects. A step whose completion was acknowledged must not be performed again.
//!
//! ```
//! use llmspell_workflows_basic::{activity::function, model::{Definition, Step}};
//! use llmspell_workflows_testing::crash::CrashTest;
//! use serde_json::json;
//!
//! let orders = Definition::sequence("orders", [
//!     Step::function("charge", "charge", json!({"amount": 12})),
//!     Step::function("ship", "ship", json!({"receipt": "{{ charge.receipt }}"})),
//! ]);
//! let report = CrashTest::new(orders, json!({}))
//!     .activity("function", "charge", |_| async { Ok(json!({"receipt": 7}).into()) })
//!     .activity("function", "ship", |context| async move { Ok(context.input().clone().into()) })
//!     .crash_everywhere()
//!     .unwrap_or_else(|difference| panic!("{difference}"));
//! assert!(report.crashes > 20);
//! ```

mod disk;
mod journal;
mod process;
mod random;
mod test;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;

pub use disk::{DiskFault, SimDisk};
pub use journal::WatchedJournal;
pub use llmspell_workflows_state::{End, Journal, JournalError, LogError, MemoryJournal, Record};
pub(crate) use random::SeededRandom;
pub use test::{CrashReport, CrashTest, Difference};

pub use crate::clock::SimClock;

/// Counts the boundaries that a process reaches and crashes the process at one of them.
#[derive(Debug, Clone, Default)]
pub struct CrashPoint(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    passed: AtomicU64,
    /// The number of the boundary at which the process crashes; `u64::MAX` if it never crashes.
    crash_at: AtomicU64,
    has_crashed: AtomicBool,
    crash: Notify,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            passed: AtomicU64::new(0),
            crash_at: AtomicU64::new(u64::MAX),
            has_crashed: AtomicBool::new(false),
            crash: Notify::new(),
        }
    }
}

/// The error returned once the process has crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crashed;

impl CrashPoint {
    /// Creates a crash point that is never reached.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// Creates a crash point at boundary `number`, counted from 0.
    #[must_use]
    pub fn at(number: u64) -> Self {
        Self(Arc::new(Inner { crash_at: AtomicU64::new(number), ..Inner::default() }))
    }

    /// Makes the process crash after it has passed `more` further boundaries.
    pub fn crash_after(&self, more: u64) {
        self.0.crash_at.store(self.passed().saturating_add(more), Ordering::SeqCst);
    }

    /// Cancels the planned crash, unless the process has already crashed.
    pub fn never_crash(&self) {
        self.0.crash_at.store(u64::MAX, Ordering::SeqCst);
    }

    /// Passes a boundary.
    ///
    /// # Errors
    /// Fails if the process crashes at this boundary or has already crashed.
    pub fn pass(&self) -> Result<(), Crashed> {
        let number = self.0.passed.fetch_add(1, Ordering::SeqCst);
        if number >= self.0.crash_at.load(Ordering::SeqCst) {
            self.0.has_crashed.store(true, Ordering::SeqCst);
            self.0.crash.notify_one();
        }
        if self.has_crashed() { Err(Crashed) } else { Ok(()) }
    }

    /// Returns the number of boundaries that the process reached.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.0.passed.load(Ordering::SeqCst)
    }

    /// Returns whether the process has crashed.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.0.has_crashed.load(Ordering::SeqCst)
    }

    /// Waits until the process crashes.
    pub async fn crashed(&self) {
        self.0.crash.notified().await;
    }
}
