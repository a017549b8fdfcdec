use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// A session, which groups runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The id.
    pub id: String,
    /// The name, for display.
    pub name: String,
    /// The status.
    pub status: SessionStatus,
    /// The id of the parent session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Tags for finding the session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Arbitrary metadata of the session.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// The runs of the session, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Uuid>,
    /// The final state of each workflow's last run, by workflow name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<String, Value>,
    /// When the session was created.
    pub created_at: Timestamp,
    /// When the session was last changed.
    pub updated_at: Timestamp,
}

/// The status of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// Runs can be started in the session.
    Active,
    /// The session is suspended and can be resumed.
    Suspended,
    /// The session ended successfully.
    Completed,
    /// The session failed.
    Failed,
    /// The session is kept for reference only.
    Archived,
}

impl SessionStatus {
    /// Returns whether a session may change from this status to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Active => next != Self::Active && next != Self::Archived,
            Self::Suspended => next != Self::Suspended,
            Self::Completed | Self::Failed => next == Self::Archived,
            Self::Archived => false,
        }
    }

    /// Returns the serialized name of the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Archived => "archived",
        }
    }
}

/// The initial values of a session.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewSession {
    /// The name, for display.
    pub name: String,
    /// The id of the parent session.
    pub parent: Option<String>,
    /// Tags for finding the session.
    pub tags: Vec<String>,
    /// Arbitrary metadata of the session.
    pub metadata: BTreeMap<String, Value>,
}

impl NewSession {
    /// Returns a session called `name`.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a tag.
    #[must_use]
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

/// A filter for sessions. A session must meet all specified conditions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionQuery {
    /// Selects sessions with this status.
    pub status: Option<SessionStatus>,
    /// Selects sessions with this parent.
    pub parent: Option<String>,
    /// Selects sessions with this tag.
    pub tag: Option<String>,
    /// The maximum number of sessions to return.
    pub limit: Option<usize>,
}

impl SessionQuery {
    /// Returns whether `session` matches this query, ignoring the limit.
    #[must_use]
    pub fn admits(&self, session: &Session) -> bool {
        self.status.is_none_or(|status| status == session.status)
            && self.parent.as_ref().is_none_or(|parent| Some(parent) == session.parent.as_ref())
            && self.tag.as_ref().is_none_or(|tag| session.tags.contains(tag))
    }
}

/// Why an operation on sessions failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The session does not exist.
    #[error("session `{0}` does not exist")]
    Unknown(String),
    /// The status of the session does not allow the change.
    #[error("session `{id}` is {} and cannot become {}", status.as_str(), wanted.as_str())]
    Status {
        /// The id of the session.
        id: String,
        /// The status of the session.
        status: SessionStatus,
        /// The requested status.
        wanted: SessionStatus,
    },
    /// The session is not active, so runs cannot be started in it.
    #[error("session `{id}` is {}; runs can be started only in an active session", status.as_str())]
    NotActive {
        /// The id of the session.
        id: String,
        /// The status of the session.
        status: SessionStatus,
    },
    /// The storage cannot be read or written.
    #[error("cannot read or write sessions: {0}")]
    Storage(String),
}
