use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A request that concerns a run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Stop for good.
    Cancel,
    /// Stop for good and compensate the completed steps.
    CancelAndCompensate,
    /// Stop so that the run can be resumed.
    Pause,
}

/// Why a process stopped driving a run that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Suspension {
    /// All live branches of the run are waiting.
    Waiting {
        /// When the run wakes by itself, if it waits for a time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wake_at: Option<Timestamp>,
    },
    /// A pause was requested.
    Paused,
    /// The process is shutting down.
    ShutDown,
    /// Steps of the run or of its sub-workflows are stuck, and nothing else is executing or waiting.
    Stuck,
}

/// Why a process resumes a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resumption {
    /// The run was paused or interrupted.
    #[default]
    Resumed,
    /// The signal or time that the run waited for has arrived.
    Woken,
    /// The run had failed and is retried.
    Retried,
    /// The run was created from another run.
    Forked,
}
