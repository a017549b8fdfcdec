use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::StoreError;

/// The maximum number of messages that [`InboxStore::next`] returns at once.
pub const INBOX_PAGE: usize = 200;

/// Messages to runs, from any process that has the store open.
#[async_trait]
pub trait InboxStore: Send + Sync + fmt::Debug {
    /// Appends a message to the inbox of its run; returns the number of the message. A run's
    /// messages are numbered from 1.
    ///
    /// The message survives a power loss once the call returns. Posting the same message again under the same id
    /// changes nothing and returns the same number.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written or the id was used for a different message.
    async fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError>;

    /// Returns the first [`INBOX_PAGE`] messages to a run with numbers above `after`, in order.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read or a message is missing.
    async fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError>;

    /// Removes all messages to a run and returns their number. Later messages to the run are
    /// numbered from 1 again.
    ///
    /// # Errors
    /// Returns an error if the store cannot be written.
    async fn remove(&self, run: Uuid) -> Result<usize, StoreError>;
}

/// A message to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Do not start any more leaves.
    Pause,
    /// Resume.
    Resume,
    /// Stop for good.
    Cancel,
    /// Stop for good, and compensate the completed steps.
    CancelAndCompensate,
    /// A signal that a step waits for.
    Signal {
        /// The name of the signal.
        name: String,
        /// The payload.
        payload: Value,
    },
}

/// A stored message with its id.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredMessage {
    pub(crate) id: String,
    pub(crate) message: Message,
}

impl StoredMessage {
    /// Returns the key under which a message and its number are sealed.
    pub(crate) fn key(run: Uuid, number: u64) -> Vec<u8> {
        [&run.as_bytes()[..], &number.to_be_bytes()].concat()
    }

    /// Returns the number of the earlier message with this id, if it is the same message.
    pub(crate) fn existing_number(self, before: &Self, run: Uuid, number: u64) -> Result<u64, StoreError> {
        if self == *before { Ok(number) } else { Err(StoreError::MessageIdTaken { run, message_id: self.id }) }
    }
}

/// Checks that no message is missing.
pub(crate) fn expect_number(location: &str, run: Uuid, expected: u64, found: u64) -> Result<(), StoreError> {
    if expected == found {
        return Ok(());
    }
    let location = format!("the inbox of run {run} in {location}");
    Err(StoreError::damaged(location, format!("message {expected} is missing, before message {found}")))
}
