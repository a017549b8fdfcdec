//! Services that note what they are asked and fail when a test says so.
//!
//! A [`Double`] stands around a real implementation, mostly one in memory, and does what that one does. So its answers
//! are those of a real service, and a test says no more than what goes wrong:
//!
//! | double | of the trait | feature |
//! |---|---|---|
//! | [`Double::journal`] | `Journal` of the state crate | |
//! | [`Double::dispatch`] | `Dispatch`, which carries leaves | |
//! | [`Double::children`] | `Children`, which runs sub-workflows | |
//! | `Double::states` | `StateStorage` | `advanced` |
//! | `Double::sessions` | `SessionStorage` | `advanced` |
//! | `Double::vectors` | `VectorStorage` | `advanced` |
//! | `Double::embeddings` | `EmbeddingService` | `advanced` |
//!
//! Clocks and timers need none, since they cannot fail: [`SimClock`](crate::clock::SimClock) is both. What a disk can
//! do wrong below a journal, [`SimDisk`](crate::crash::SimDisk) does; activities are
//! [scripted](crate::harness::Script).
//!
//! A journal that cannot sync any more:
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
//! let kept = Arc::new(MemoryJournal::new());
//!
//! // The start is synced first, and the completion of the only leaf after that.
//! let full = Double::journal(kept.clone());
//! full.fails_from("sync", 2, || JournalError::Log(LogError::Closed));
//! let journal: Arc<dyn Journal> = Arc::new(full.clone());
//! assert!(test.run_on(&journal).is_err());
//! full.story().has_in_order(&["append ended /main/charge", "sync: failed, the log has been closed"]);
//!
//! // Nothing was acknowledged that is lost: the same run comes to its end on a journal that works.
//! let journal: Arc<dyn Journal> = kept;
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

use crate::{Story, kept::Kept};

/// How many calls a double keeps; the oldest makes room.
pub const CALLS_MAX: usize = 10_000;

/// What a double can stand around: a trait of services, as `dyn Trait`.
pub trait Service {
    /// How its calls fail.
    type Error: fmt::Display + Send;
    /// The calls that can fail, by the names of the methods.
    const CALLS: &'static [&'static str];
}

/// A service that does what another one does, keeps what it is asked, and fails when it is told to; cheap to clone.
///
/// Calls are counted from 1, each by its name. See [the module](self) for an example.
pub struct Double<S: Service + ?Sized> {
    inner: Arc<S>,
    seen: Arc<Mutex<Seen<S::Error>>>,
}

/// What was asked, and what is to go wrong.
struct Seen<E> {
    calls: Kept<Asked>,
    counts: Vec<u64>,
    faults: Vec<Fault<E>>,
}

struct Fault<E> {
    call: &'static str,
    first: u64,
    last: u64,
    /// Whether the service does what it is asked all the same.
    is_done: bool,
    error: Arc<dyn Fn() -> E + Send + Sync>,
}

/// That a service was asked something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name of the method.
    pub call: &'static str,
    /// What it is about, in a word or two: an id, a path, a kind of record.
    pub about: String,
    /// All that was given with it.
    pub with: Value,
    /// How it failed, if it did: as a test said, or by itself.
    pub error: Option<String>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(format!("{} {}", self.call, self.about).trim_end())?;
        self.error.as_ref().map_or(Ok(()), |error| write!(f, ": failed, {error}"))
    }
}

impl<S: Service + ?Sized> Double<S> {
    /// A double around a service that others may have too.
    #[must_use]
    pub fn around(inner: Arc<S>) -> Self {
        let seen = Seen { calls: Kept::new(CALLS_MAX), counts: vec![0; S::CALLS.len()], faults: Vec::new() };
        Self { inner, seen: Arc::new(Mutex::new(seen)) }
    }

    /// The `number`th `call` fails with `error`, and the service is not asked.
    ///
    /// # Panics
    /// The service has no such call; the message says which it has.
    #[track_caller]
    pub fn fails_at(&self, call: &str, number: u64, error: impl Fn() -> S::Error + Send + Sync + 'static) {
        self.fault(call, number, number, false, error);
    }

    /// The `number`th `call` and all after it fail with `error`, and the service is not asked.
    ///
    /// # Panics
    /// The service has no such call; the message says which it has.
    #[track_caller]
    pub fn fails_from(&self, call: &str, number: u64, error: impl Fn() -> S::Error + Send + Sync + 'static) {
        self.fault(call, number, u64::MAX, false, error);
    }

    /// The `number`th `call` does what it should and says `error` all the same, as where an answer is lost on its way.
    ///
    /// # Panics
    /// The service has no such call; the message says which it has.
    #[track_caller]
    pub fn unheard_at(&self, call: &str, number: u64, error: impl Fn() -> S::Error + Send + Sync + 'static) {
        self.fault(call, number, number, true, error);
    }

    /// From now on nothing fails that the service itself does not.
    pub fn heals(&self) {
        lock(&self.seen).faults.clear();
    }

    /// What was asked so far that can fail, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Asked> {
        lock(&self.seen).calls.iter().cloned().collect()
    }

    /// How often `call` was asked.
    ///
    /// # Panics
    /// The service has no such call; the message says which it has.
    #[must_use]
    #[track_caller]
    pub fn count(&self, call: &str) -> u64 {
        let index = index::<S>(call);
        lock(&self.seen).counts[index]
    }

    /// The same as [`Self::calls`], a line each: the call, what it is about, and how it failed.
    #[must_use]
    pub fn story(&self) -> Story {
        let seen = lock(&self.seen);
        Story::of(seen.calls.iter().map(Asked::to_string)).after_lost(seen.calls.lost())
    }

    #[track_caller]
    fn fault(
        &self,
        call: &str,
        first: u64,
        last: u64,
        is_done: bool,
        error: impl Fn() -> S::Error + Send + Sync + 'static,
    ) {
        assert!(first > 0, "calls are counted from 1");
        let call = S::CALLS[index::<S>(call)];
        lock(&self.seen).faults.push(Fault { call, first, last, is_done, error: Arc::new(error) });
    }

    /// Notes a call; what it makes of the service's own answer.
    fn ask(&self, call: &'static str, about: impl Into<String>, with: Value) -> Turn<S::Error> {
        let index = index::<S>(call);
        let mut seen = lock(&self.seen);
        seen.counts[index] += 1;
        let count = seen.counts[index];
        let fault = seen.faults.iter().find(|fault| fault.call == call && (fault.first..=fault.last).contains(&count));
        let fault = fault.map(|fault| (fault.is_done, fault.error.clone()));
        let number = seen.calls.push(Asked { call, about: about.into(), with, error: None });
        Turn { seen: self.seen.clone(), number, fault: fault.map(|(is_done, error)| (is_done, error())) }
    }
}

/// One call of a double.
struct Turn<E> {
    seen: Arc<Mutex<Seen<E>>>,
    number: u64,
    fault: Option<(bool, E)>,
}

impl<E: fmt::Display> Turn<E> {
    /// What the double answers where the service would answer with what `ask` gives.
    fn with<T>(mut self, ask: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let answer = if self.is_done() { ask() } else { Err(self.error()) };
        self.heard(answer)
    }

    /// The same where that takes time.
    async fn wait<T>(mut self, ask: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let answer = if self.is_done() { ask.await } else { Err(self.error()) };
        self.heard(answer)
    }

    /// Whether the service is asked at all.
    fn is_done(&self) -> bool {
        self.fault.as_ref().is_none_or(|(is_done, _)| *is_done)
    }

    fn error(&mut self) -> E {
        self.fault.take().expect("only a fault keeps the service from being asked").1
    }

    /// Notes how it failed, if it did.
    fn heard<T>(self, answer: Result<T, E>) -> Result<T, E> {
        let answer = match self.fault {
            Some((_, error)) => answer.and(Err(error)),
            None => answer,
        };
        if let (Err(error), Some(asked)) = (&answer, lock(&self.seen).calls.get_mut(self.number)) {
            asked.error = Some(error.to_string());
        }
        answer
    }
}

/// Which call of the service it is.
#[track_caller]
fn index<S: Service + ?Sized>(call: &str) -> usize {
    let found = S::CALLS.iter().position(|known| *known == call);
    found.unwrap_or_else(|| panic!("the service has no call `{call}` that can fail; it has {}", S::CALLS.join(", ")))
}

impl<S: Service + ?Sized> Clone for Double<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), seen: self.seen.clone() }
    }
}

impl<S: Service + ?Sized> fmt::Debug for Double<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Double").field("calls", &lock(&self.seen).calls).finish_non_exhaustive()
    }
}
