use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};
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
}

impl Cancel {
    pub(crate) fn root() -> Self {
        Self(Arc::new(Inner {
            token: CancellationToken::new(),
            reason: OnceLock::new(),
            triggered: AtomicBool::new(false),
            parent: None,
        }))
    }

    /// Creates a request that is triggered together with this one, and can also be triggered alone.
    pub(crate) fn child(&self) -> Self {
        let token = self.0.token.child_token();
        let triggered = AtomicBool::new(false);
        Self(Arc::new(Inner { token, reason: OnceLock::new(), triggered, parent: Some(self.clone()) }))
    }

    /// Returns whether `self` and `other` are the same request.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Triggers the request: everything to which it applies must stop. If it is triggered again, the first reason is
    /// kept.
    pub fn cancel(&self, reason: CancelReason) {
        // The reason is set first, so that it is known when the token is triggered.
        let _ = self.0.reason.set(reason);
        self.0.triggered.store(true, Ordering::Release);
        self.0.token.cancel();
    }

    /// Returns whether this request or an enclosing one has been triggered.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire) || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// Waits until the request is triggered.
    pub async fn cancelled(&self) {
        self.0.token.cancelled().await;
    }

    /// Returns why the request was triggered. The reason of an outer request takes precedence, because an outer request
    /// stops the inner ones too.
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
