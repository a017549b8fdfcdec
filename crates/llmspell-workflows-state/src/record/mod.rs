//! What a journal holds of a run, record by record.

mod kept;

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError,
    engine::{Cancelled, Decision, Failure, SkipReason},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use kept::Known;
pub use kept::{Kept, KeptChange};

/// One record of a run.
///
/// As JSON each is an object with one field, its kind; see `docs/journal-format.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The run was started; always the first.
    Started(Box<Started>),
    /// A leaf begins; one without an end was cut by a crash.
    Began {
        /// Where.
        path: String,
    },
    /// A leaf that had begun was stopped by a shutdown, or parked: no crash cut it.
    Stopped {
        /// Where.
        path: String,
    },
    /// A choice was made.
    Decided {
        /// Where.
        path: String,
        /// Which of its kind there.
        index: u64,
        /// What was chosen.
        decision: Decision,
    },
    /// A step ended.
    Ended {
        /// Where.
        path: String,
        /// How.
        end: End,
    },
    /// The run ended; always the last.
    Closed {
        /// How.
        end: End,
        /// When.
        at: Timestamp,
    },
}

/// What a run was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// When, for the first time.
    pub at: Timestamp,
    /// The name of its definition.
    pub workflow: String,
    /// The version of its definition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The hash of its definition.
    pub definition: String,
    /// Its input.
    pub input: Value,
    /// The step it begins with, if not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_step: Option<String>,
    /// Which of the definition's environments overrides variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// How a step ended, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It did what it should.
    Completed {
        /// What it gave.
        output: Kept,
        /// What it changed in the state, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changes: Vec<KeptChange>,
    },
    /// It did not run.
    Skipped(SkipReason),
    /// It failed for good.
    Failed(Failure),
    /// It was stopped, and not by a shutdown.
    Cancelled(Cancelled),
}

impl Record {
    /// The step it is about; none where it is about the run.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Began { path } | Self::Stopped { path } | Self::Decided { path, .. } | Self::Ended { path, .. } => {
                Some(path)
            }
            Self::Started(_) | Self::Closed { .. } => None,
        }
    }

    /// Whether it must outlive a power loss before anyone acts on it.
    ///
    /// The completion of a leaf is the caller's to say, since a record does not know leaves.
    #[must_use]
    pub fn is_choice_of_chance(&self) -> bool {
        let Self::Decided { decision, .. } = self else { return false };
        matches!(
            decision,
            Decision::Deadline(_)
                | Decision::Awaits(_)
                | Decision::Received(_)
                | Decision::Now(_)
                | Decision::Random(_)
                | Decision::Answer(Some(_))
                | Decision::Ended(Some(_))
        )
    }
}

/// Why a step that keeps crashing its process is not tried again.
pub(crate) fn poison(cuts: u32) -> StepError {
    let message = format!("the process ended {cuts} times while this step ran, which is the limit `crash_cuts_max`");
    StepError::new(llmspell_workflows_basic::ErrorClass::Poison, "poison", message).retryable(false)
}
