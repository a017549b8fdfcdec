use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What somebody can ask of a run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// To stop for good.
    Cancel,
    /// To stop for good and to undo what it did.
    CancelAndCompensate,
    /// To stop so that it can be resumed.
    Pause,
}

/// Why a run left its process without having ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Suspension {
    /// All of it waits.
    Waiting {
        /// The time at which it goes on by itself, if it waits for a time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wake_at: Option<Timestamp>,
    },
    /// It was asked to pause.
    Paused,
    /// Its process shuts down.
    ShutDown,
}

/// Why a process goes on with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resumption {
    /// It was paused or interrupted.
    #[default]
    Resumed,
    /// What it waited for has come.
    Woken,
    /// It had failed, and is retried.
    Retried,
    /// It was made of another run.
    Forked,
}
