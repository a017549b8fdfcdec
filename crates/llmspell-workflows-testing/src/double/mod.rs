//! Test doubles of services that record calls and fail on request.
//!
//! A [`Double`] wraps a real implementation, usually an in-memory one, and forwards calls to it. Its results are those
//! of a real service, so a test specifies only the failures. The following services have doubles:
//!
//! | double | trait | feature |
//! |---|---|---|
//! | [`Double::journal`] | `Journal` of the state crate | |
//! | [`Double::dispatch`] | `Dispatch`, which performs leaves | |
//! | [`Double::children`] | `Children`, which runs sub-workflows | |
//! | `Double::states` | `StateStorage` | `advanced` |
//! | `Double::sessions` | `SessionStorage` | `advanced` |
//! | `Double::vectors` | `VectorStorage` | `advanced` |
//! | `Double::embeddings` | `EmbeddingService` | `advanced` |
//!
//! Clocks and timers cannot fail, so they need no double: [`SimClock`](crate::clock::SimClock) implements both.
//! [`SimDisk`](crate::crash::SimDisk) simulates failures of the disk below a journal, and activities are
//! [scripted](crate::harness::Script).
//!
//! This example simulates a journal that can no longer sync:
//!
//! ```
//! use std::sync::Arc;
//! use llmspell_workflows_basic::model::{Definition, Step};
//! use llmspell_workflows_testing::{crash::CrashTest, double::Double};
//! use llmspell_workflows_testing::crash::{Journal, JournalError, LogError, MemoryJournal};
//! use serde_json::json;
//!
//! let order = Definition::sequence("order", [Step::function("charge", "charge", json!({"amount": 12}))]);
//! let test = CrashTest::new(order, json!({})).activity("function", "charge", |_| async { Ok(json!("r-7").into()) });
//! let memory = Arc::new(MemoryJournal::new());
//!
//! // The first sync is for the start, the second for the completion of the only leaf.
//! let full = Double::journal(memory.clone());
//! full.fails_from("sync", 2, || JournalError::Log(LogError::Closed));
//! let journal: Arc<dyn Journal> = Arc::new(full.clone());
//! assert!(test.run_on(&journal).is_err());
//! full.story().contains_in_order(&["append ended /main/charge", "sync: failed, the log has been closed"]);
//!
//! // No acknowledged record is lost: the same run completes on a working journal.
//! let journal: Arc<dyn Journal> = memory;
//! assert_eq!(*test.run_on(&journal).unwrap().output, json!("r-7"));
//! ```

#[cfg(feature = "advanced")]
mod advanced;
mod engine;
mod journal;

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use llmspell_workflows_basic::sync::lock;
use serde_json::Value;

use crate::{Story, bounded_log::BoundedLog};

/// The maximum number of calls that a double records; after that, the oldest call is dropped.
pub const CALLS_MAX: usize = 10_000;

/// A service trait that a double can wrap, as `dyn Trait`.
pub trait Service {
    /// The error returned by the service's methods.
    type Error: fmt::Display + Send;
    /// The names of the methods that can fail.
    const CALLS: &'static [&'static str];
}

/// A wrapper around a service that records calls and fails on request; cheap to clone.
///
/// The calls of each method are counted from 1. See [the module](self) for an example.
pub struct Double<S: Service + ?Sized> {
    inner: Arc<S>,
    log: Arc<Mutex<CallLog<S::Error>>>,
}

/// The recorded calls and the requested faults.
struct CallLog<E> {
    calls: BoundedLog<RecordedCall>,
    counts: Vec<u64>,
    faults: Vec<Fault<E>>,
}

struct Fault<E> {
    call: &'static str,
    first: u64,
    last: u64,
    /// True if the service performs the call, but its response is lost.
    is_performed: bool,
    error: Arc<dyn Fn() -> E + Send + Sync>,
}

/// A recorded call to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCall {
    /// The name of the method.
    pub call: &'static str,
    /// A short description of the subject of the call, such as an id, a path or a kind of record.
    pub subject: String,
    /// All arguments of the call.
    pub arguments: Value,
    /// The error, requested by the test or returned by the service itself.
    pub error: Option<String>,
}

impl fmt::Display for RecordedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(format!("{} {}", self.call, self.subject).trim_end())?;
        self.error.as_ref().map_or(Ok(()), |error| write!(f, ": failed, {error}"))
    }
}

impl<S: Service + ?Sized> Double<S> {
    /// Creates a double of a shared service.
    #[must_use]
    pub fn around(inner: Arc<S>) -> Self {
        let log = CallLog { calls: BoundedLog::new(CALLS_MAX), counts: vec![0; S::CALLS.len()], faults: Vec::new() };
        Self { inner, log: Arc::new(Mutex::new(log)) }
    }

    /// Makes the `number`th `call` fail with `error`, without calling the service.
    ///
    /// # Panics
    /// Panics if the service has no such call; the message lists its calls.
    #[track_caller]
    pub fn fails_at(&self, call: &str, number: u64, error: impl Fn() -> S::Error + Send + Sync + 'static) {
        self.fault(call, number, number, false, error);
    }

    /// Makes the `number`th `call` and all later calls fail with `error`, without calling the
    /// service.
    ///
    /// # Panics
    /// Panics if the service has no such call; the message lists its calls.
    #[track_caller]
    pub fn fails_from(&self, call: &str, number: u64, error: impl Fn() -> S::Error + Send + Sync + 'static) {
        self.fault(call, number, u64::MAX, false, error);
    }

    /// Makes the `number`th `call` return `error` although the service performed it, as if the response were lost.
    ///
    /// # Panics
    /// Panics if the service has no such call; the message lists its calls.
    #[track_caller]
    pub fn loses_response_at(&self, call: &str, number: u64, error: impl Fn() -> S::Error + Send + Sync + 'static) {
        self.fault(call, number, number, true, error);
    }

    /// Removes all requested failures.
    pub fn clear_failures(&self) {
        lock(&self.log).faults.clear();
    }

    /// Returns the recorded calls, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<RecordedCall> {
        lock(&self.log).calls.iter().cloned().collect()
    }

    /// Returns the number of times that `call` was made.
    ///
    /// # Panics
    /// Panics if the service has no such call; the message lists its calls.
    #[must_use]
    #[track_caller]
    pub fn count(&self, call: &str) -> u64 {
        let index = index::<S>(call);
        lock(&self.log).counts[index]
    }

    /// Returns the recorded calls as lines: the call, its subject, and its error.
    #[must_use]
    pub fn story(&self) -> Story {
        let log = lock(&self.log);
        Story::of(log.calls.iter().map(RecordedCall::to_string)).after_lost(log.calls.lost())
    }

    #[track_caller]
    fn fault(
        &self,
        call: &str,
        first: u64,
        last: u64,
        is_performed: bool,
        error: impl Fn() -> S::Error + Send + Sync + 'static,
    ) {
        assert!(first > 0, "calls are counted from 1");
        let call = S::CALLS[index::<S>(call)];
        lock(&self.log).faults.push(Fault { call, first, last, is_performed, error: Arc::new(error) });
    }

    /// Records a call and returns a handle that makes the call.
    fn record(&self, call: &'static str, subject: impl Into<String>, arguments: Value) -> PendingCall<S::Error> {
        let index = index::<S>(call);
        let mut log = lock(&self.log);
        log.counts[index] += 1;
        let count = log.counts[index];
        let fault = log.faults.iter().find(|fault| fault.call == call && (fault.first..=fault.last).contains(&count));
        let fault = fault.map(|fault| (fault.is_performed, fault.error.clone()));
        let number = log.calls.push(RecordedCall { call, subject: subject.into(), arguments, error: None });
        PendingCall { log: self.log.clone(), number, fault: fault.map(|(is_performed, error)| (is_performed, error())) }
    }
}

/// A recorded call that has not been made yet.
struct PendingCall<E> {
    log: Arc<Mutex<CallLog<E>>>,
    number: u64,
    fault: Option<(bool, E)>,
}

impl<E: fmt::Display> PendingCall<E> {
    /// Calls the service with `call` unless the call must fail; returns the service's result or the requested error.
    fn call<T>(mut self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let result = if self.is_performed() { call() } else { Err(self.error()) };
        self.finish(result)
    }

    /// Does the same as [`Self::call`] for an async method.
    async fn wait<T>(mut self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let result = if self.is_performed() { call.await } else { Err(self.error()) };
        self.finish(result)
    }

    /// Returns whether the call reaches the service.
    fn is_performed(&self) -> bool {
        self.fault.as_ref().is_none_or(|(is_performed, _)| *is_performed)
    }

    fn error(&mut self) -> E {
        self.fault.take().expect("only a fault prevents the call").1
    }

    /// Records the error, if any.
    fn finish<T>(self, result: Result<T, E>) -> Result<T, E> {
        let result = match self.fault {
            Some((_, error)) => result.and(Err(error)),
            None => result,
        };
        if let (Err(error), Some(recorded)) = (&result, lock(&self.log).calls.get_mut(self.number)) {
            recorded.error = Some(error.to_string());
        }
        result
    }
}

/// Returns the index of `call` among the calls of the service.
#[track_caller]
fn index<S: Service + ?Sized>(call: &str) -> usize {
    let index = S::CALLS.iter().position(|known| *known == call);
    index.unwrap_or_else(|| {
        panic!("the service has no fallible call `{call}`; its fallible calls are {}", S::CALLS.join(", "))
    })
}

impl<S: Service + ?Sized> Clone for Double<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), log: self.log.clone() }
    }
}

impl<S: Service + ?Sized> fmt::Debug for Double<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Double").field("calls", &lock(&self.log).calls).finish_non_exhaustive()
    }
}
