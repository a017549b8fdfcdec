use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Why something was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CancelReason {
    /// Someone cancelled the run.
    Requested,
    /// Another branch succeeded first.
    LostRace,
    /// Another branch failed.
    FailFast,
    /// A timeout passed.
    Timeout,
    /// The process is shutting down; nothing is recorded, and the run continues later.
    Shutdown,
}

impl CancelReason {
    /// Returns a description of the reason.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "cancelled on request",
            Self::LostRace => "another branch succeeded first",
            Self::FailFast => "another branch failed",
            Self::Timeout => "a timeout passed",
            Self::Shutdown => "the process is shutting down",
        }
    }
}

/// A request to stop, with its reason. It applies to a part of a run and everything inside that part.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    token: CancellationToken,
    reason: OnceLock<CancelReason>,
    /// Whether the token is cancelled, readable without the token's lock.
    triggered: AtomicBool,
    parent: Option<Cancel>,
    /// The request that applies to the sub-workflow step that started this run.
    around: OnceLock<Cancel>,
    /// The number of cleanups in progress in the part to which the request applies.
    cleanups: AtomicUsize,
    cleaned_up: Notify,
}

/// A cleanup in progress; until this guard is dropped, the enclosing steps are not abandoned.
#[derive(Debug)]
pub(crate) struct Cleanup(Cancel);

impl Drop for Cleanup {
    fn drop(&mut self) {
        for request in self.0.enclosing() {
            request.0.cleanups.fetch_sub(1, Ordering::SeqCst);
            request.0.cleaned_up.notify_waiters();
        }
    }
}

impl Cancel {
    pub(crate) fn root() -> Self {
        Self::new(CancellationToken::new(), None)
    }

    fn new(token: CancellationToken, parent: Option<Self>) -> Self {
        Self(Arc::new(Inner {
            token,
            reason: OnceLock::new(),
            triggered: AtomicBool::new(false),
            parent,
            around: OnceLock::new(),
            cleanups: AtomicUsize::new(0),
            cleaned_up: Notify::new(),
        }))
    }

    /// Creates a request that is triggered together with this one, and can also be triggered alone.
    pub(crate) fn child(&self) -> Self {
        Self::new(self.0.token.child_token(), Some(self.clone()))
    }

    /// Makes the cleanups of a sub-workflow, to which this request applies, also count for the step
    /// that started the sub-workflow.
    pub(super) fn set_around(&self, around: &Self) {
        // A run has only one enclosing step.
        let _ = self.0.around.set(around.clone());
    }

    /// Marks the beginning of a cleanup, which a request to stop does not interrupt.
    pub(crate) fn begin_cleanup(&self) -> Cleanup {
        self.enclosing().for_each(|request| {
            request.0.cleanups.fetch_add(1, Ordering::SeqCst);
        });
        Cleanup(self.clone())
    }

    /// Returns whether a cleanup is in progress in the part to which the request applies.
    pub(super) fn cleans_up(&self) -> bool {
        self.0.cleanups.load(Ordering::SeqCst) > 0
    }

    /// Waits until no cleanup is in progress.
    pub(super) async fn cleaned_up(&self) {
        loop {
            let mut changed = std::pin::pin!(self.0.cleaned_up.notified());
            changed.as_mut().enable();
            if !self.cleans_up() {
                return;
            }
            changed.await;
        }
    }

    /// Returns this request and all enclosing requests, including those of enclosing runs.
    fn enclosing(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |request| request.0.parent.as_ref().or_else(|| request.0.around.get()))
    }

    /// Returns whether `self` and `other` are the same request.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Triggers the request: everything to which it applies must stop. If it is triggered again, it
    /// keeps the first reason.
    pub fn cancel(&self, reason: CancelReason) {
        // The reason is set first, so that it is known when the token is triggered.
        let _ = self.0.reason.set(reason);
        self.0.triggered.store(true, Ordering::Release);
        self.0.token.cancel();
    }

    /// Returns whether this request or an enclosing request has been triggered.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire) || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// Waits until the request is triggered.
    pub async fn cancelled(&self) {
        self.0.token.cancelled().await;
    }

    /// Returns why the request was triggered. The reason of an outer request takes precedence,
    /// because an outer request also stops the inner ones.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        let above = self.0.parent.as_ref().and_then(Self::reason);
        above.or_else(|| self.0.reason.get().copied())
    }

    /// Returns the token of the request, for libraries that accept a token.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.0.token
    }
}
