use serde::{Deserialize, Serialize};

/// Who asked for something that concerns a run as a whole, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asker {
    /// Who.
    pub who: Who,
    /// Why, in words, where they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who can ask for something that concerns a run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The process that drives the run.
    Process,
    /// A user, by a message to the run.
    User,
    /// A hook.
    Hook,
    /// The run around it.
    Parent,
    /// A run that is a step of it.
    Child,
    /// What is recorded of the run: it was asked before.
    Record,
}

impl Asker {
    /// `who`, without a reason.
    #[must_use]
    pub fn new(who: Who) -> Self {
        Self { who, reason: None }
    }

    /// The same for a reason.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

impl Default for Asker {
    fn default() -> Self {
        Self::new(Who::Process)
    }
}
