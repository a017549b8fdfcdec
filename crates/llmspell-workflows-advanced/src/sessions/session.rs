use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What ties runs together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// What its users call it.
    pub name: String,
    /// How far it has come.
    pub status: SessionStatus,
    /// The session that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Facts about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// Its runs, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Uuid>,
    /// The states in which its workflows ended last, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<String, Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// Runs can be started in it.
    Active,
    /// It rests.
    Suspended,
    /// It did what it should.
    Completed,
    /// It did not.
    Failed,
    /// It is kept to be looked at.
    Archived,
}

impl SessionStatus {
    /// Whether a session may go from this status to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Active => next != Self::Active && next != Self::Archived,
            Self::Suspended => next != Self::Suspended,
            Self::Completed | Self::Failed => next == Self::Archived,
            Self::Archived => false,
        }
    }

    /// The status as programs read it.
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

/// What a session begins with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewSession {
    /// What its users call it.
    pub name: String,
    /// The session that it belongs to.
    pub parent: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Facts about it.
    pub metadata: BTreeMap<String, Value>,
}

impl NewSession {
    /// One called `name`.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a word to find it by.
    #[must_use]
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

/// Which sessions to list. Everything that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionQuery {
    /// How far they have come.
    pub status: Option<SessionStatus>,
    /// The session that they belong to.
    pub parent: Option<String>,
    /// A word that they can be found by.
    pub tag: Option<String>,
    /// How many at most.
    pub limit: Option<usize>,
}

impl SessionQuery {
    /// Whether `session` is one of those that are asked for.
    #[must_use]
    pub fn admits(&self, session: &Session) -> bool {
        self.status.is_none_or(|status| status == session.status)
            && self.parent.as_ref().is_none_or(|parent| Some(parent) == session.parent.as_ref())
            && self.tag.as_ref().is_none_or(|tag| session.tags.contains(tag))
    }
}

/// Why something cannot be done with a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// There is none of this id.
    #[error("no session has the id `{0}`")]
    Unknown(String),
    /// It has come too far, or not far enough.
    #[error("the session `{id}` is {}, so it cannot become {}", status.as_str(), wanted.as_str())]
    Status {
        /// Which session.
        id: String,
        /// How far it has come.
        status: SessionStatus,
        /// What was asked for.
        wanted: SessionStatus,
    },
    /// Runs are started in sessions that are active.
    #[error("the session `{id}` is {}; only in an active one runs can be started", status.as_str())]
    NotActive {
        /// Which session.
        id: String,
        /// How far it has come.
        status: SessionStatus,
    },
    /// It cannot be read or written.
    #[error("the sessions cannot be read or written: {0}")]
    Storage(String),
}
