use serde::{Deserialize, Serialize};

/// Who made a request about a run as a whole, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asker {
    /// The origin of the request.
    pub who: Who,
    /// A description of the reason, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number of the message that made the request, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
}

/// The origin of a request about a run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The process that drives the run.
    Process,
    /// A user, through a message to the run.
    User,
    /// A hook.
    Hook,
    /// The parent run.
    Parent,
    /// A child run.
    Child,
    /// The journal: the request was recorded earlier.
    Record,
}

impl Asker {
    /// Creates an asker without a reason.
    #[must_use]
    pub fn new(who: Who) -> Self {
        Self { who, reason: None, message: None }
    }

    /// Adds the number of the message that made the request.
    #[must_use]
    pub fn with_message(mut self, number: u64) -> Self {
        self.message = Some(number);
        self
    }

    /// Adds a reason.
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
