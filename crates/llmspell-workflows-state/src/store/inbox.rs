use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::StoreError;

/// How many messages [`InboxStore::next`] gives at once.
pub const INBOX_PAGE: usize = 200;

/// Messages to runs, from any process that has the store.
#[async_trait]
pub trait InboxStore: Send + Sync + fmt::Debug {
    /// Puts a message behind the others of its run; its number, which counts from 1 in each run.
    ///
    /// It outlives a power loss when the call returns. Posting it again under the same id changes nothing and gives the
    /// same number.
    ///
    /// # Errors
    /// The store cannot be written, or another message has this id.
    async fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError>;

    /// The first [`INBOX_PAGE`] messages of a run whose number is above `after`, in order.
    ///
    /// # Errors
    /// The store cannot be read, or a message is missing: none behind it is given then.
    async fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError>;

    /// Forgets all messages of a run; how many there were. Its numbers begin anew.
    ///
    /// # Errors
    /// The store cannot be written.
    async fn remove(&self, run: Uuid) -> Result<usize, StoreError>;
}

/// What a run is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Begin no new leaf.
    Pause,
    /// Go on.
    Resume,
    /// Stop for good.
    Cancel,
    /// Stop for good, and undo what was done.
    CancelAndCompensate,
    /// What a step waits for.
    Signal {
        /// Which.
        name: String,
        /// What comes with it.
        payload: Value,
    },
}

/// A message as it is kept.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Posted {
    pub(crate) id: String,
    pub(crate) message: Message,
}

impl Posted {
    /// What a message and its number are sealed with.
    pub(crate) fn key(run: Uuid, number: u64) -> Vec<u8> {
        [&run.as_bytes()[..], &number.to_be_bytes()].concat()
    }

    /// The number of this message, where it is the one that was posted before under its id.
    pub(crate) fn again(self, before: &Self, run: Uuid, number: u64) -> Result<u64, StoreError> {
        if self == *before { Ok(number) } else { Err(StoreError::MessageIdTaken { run, message_id: self.id }) }
    }
}

/// Finds messages that are missing.
pub(crate) fn expect_number(place: &str, run: Uuid, expected: u64, found: u64) -> Result<(), StoreError> {
    if expected == found {
        return Ok(());
    }
    let place = format!("the inbox of the run {run} in {place}");
    Err(StoreError::damaged(place, format!("message {expected} is missing, before message {found}")))
}
