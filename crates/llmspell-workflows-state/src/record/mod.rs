//! The records of a run in a journal.
//!
//! `docs/journal-format.md` describes their format; [`FORMAT`] is its version.

mod change;
mod decode;
mod large;
mod lines;
mod masked;
mod outline;
mod rewound;
mod started;
mod stored;
mod timeline;

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError,
    engine::{Asker, Cancelled, Decision, DecisionKey, Failure, SkipReason},
    secrets::MaskNote,
};
use serde::{Deserialize, Serialize};

pub use change::{ChangeRef, StoredChange, StoredEdit};
pub use decode::{FORMAT, FormatError};
pub use large::INLINE_MAX;
pub use lines::RecordLines;
pub use masked::MaskedValue;
pub(crate) use outline::EncodedRecord;
pub use rewound::{ChoiceRef, Migrated, Redefined, Rewound};
pub use started::{Origin, Parent, Started};
pub(crate) use stored::KnownValues;
pub use stored::StoredValue;
pub use timeline::{Request, Resumption, Suspension};

/// One record of a run.
///
/// As JSON, each record is an object with a single field named after its kind. A time `t` is in
/// microseconds since the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// The run was started; always the first record.
    Started(Box<Started>),
    /// A leaf begins; if no end follows, a crash interrupted the leaf.
    Began {
        /// The path of the step.
        path: String,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// A leaf was stopped by a shutdown or parked after it began; no crash interrupted it.
    Stopped {
        /// The path of the step.
        path: String,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// The outcome of a step is unknown, or the step cannot be compensated; it must be resolved manually.
    Stuck {
        /// The path of the step.
        path: String,
        /// Why the step is stuck.
        error: Box<StepError>,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// A step made a choice.
    Decided {
        /// The path of the step.
        path: String,
        /// The choice and its result.
        #[serde(rename = "choice")]
        decision: Decision,
        /// The meaning of the masks in the choice's data.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        masks: Vec<MaskNote>,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// A step ended.
    Ended {
        /// The path of the step.
        path: String,
        /// How the step ended.
        end: End,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// Something unexpected happened that did not stop the run.
    Warned {
        /// The path of the step.
        path: String,
        /// The stable code of the warning.
        code: String,
        /// The warning.
        message: String,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// Someone made a request that concerns the run as a whole.
    Asked {
        /// The request.
        request: Request,
        /// Who made the request.
        by: Asker,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// The process stopped driving the run before the run ended.
    Suspended {
        /// Why the process stopped driving the run.
        why: Suspension,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// A process resumes the run.
    Resumed {
        /// Why the run is resumed.
        why: Resumption,
        /// How far the run's clock is ahead of the process's clock, in microseconds; 0 unless the
        /// process's clock is behind the run's records.
        #[serde(rename = "ahead", default, skip_serializing_if = "is_zero")]
        ahead_us: u64,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// The run resumes from an earlier point.
    Rewound(Box<Rewound>),
    /// The run continues under a different definition.
    Redefined(Box<Redefined>),
    /// The run ended; only [`Self::Rewound`] can follow.
    Closed {
        /// How the run ended.
        end: End,
        /// The time, in microseconds since the start of the run.
        #[serde(rename = "t")]
        time_us: u64,
        /// Whether the run was compensated.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        compensated: bool,
    },
}

/// The end of a step or a run, as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum End {
    /// The step or run completed.
    Completed {
        /// The output.
        output: StoredValue,
        /// The state changes, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changes: Vec<StoredChange>,
    },
    /// The step was skipped.
    Skipped(SkipReason),
    /// The step or run failed for good.
    Failed(Failure),
    /// The step or run was cancelled, but not by a shutdown.
    Cancelled(Cancelled),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Record {
    /// The names of the record kinds in the format.
    pub const KINDS: &'static [&'static str] = &[
        "started",
        "began",
        "stopped",
        "stuck",
        "decided",
        "ended",
        "warned",
        "asked",
        "suspended",
        "resumed",
        "rewound",
        "redefined",
        "closed",
    ];

    /// Returns the name of the record's kind in the format.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Began { .. } => "began",
            Self::Stopped { .. } => "stopped",
            Self::Stuck { .. } => "stuck",
            Self::Decided { .. } => "decided",
            Self::Ended { .. } => "ended",
            Self::Warned { .. } => "warned",
            Self::Asked { .. } => "asked",
            Self::Suspended { .. } => "suspended",
            Self::Resumed { .. } => "resumed",
            Self::Rewound(_) => "rewound",
            Self::Redefined(_) => "redefined",
            Self::Closed { .. } => "closed",
        }
    }

    /// Returns the path of the record's step; `None` for a record about the run.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Began { path, .. }
            | Self::Stuck { path, .. }
            | Self::Stopped { path, .. }
            | Self::Decided { path, .. }
            | Self::Warned { path, .. }
            | Self::Ended { path, .. } => Some(path),
            Self::Started(_)
            | Self::Asked { .. }
            | Self::Suspended { .. }
            | Self::Resumed { .. }
            | Self::Rewound(_)
            | Self::Redefined(_)
            | Self::Closed { .. } => None,
        }
    }

    /// Returns the time of the record; `started_at` is the start time of its run.
    #[must_use]
    pub fn time(&self, started_at: Timestamp) -> Timestamp {
        let time = started_at.checked_add(std::time::Duration::from_micros(self.time_us()));
        time.unwrap_or(Timestamp::MAX)
    }

    /// Returns the time from the start of the run to the record, in microseconds.
    #[must_use]
    pub fn time_us(&self) -> u64 {
        match self {
            Self::Started(_) => 0,
            Self::Rewound(rewound) => rewound.time_us,
            Self::Redefined(redefined) => redefined.time_us,
            Self::Began { time_us, .. }
            | Self::Stopped { time_us, .. }
            | Self::Stuck { time_us, .. }
            | Self::Decided { time_us, .. }
            | Self::Ended { time_us, .. }
            | Self::Warned { time_us, .. }
            | Self::Asked { time_us, .. }
            | Self::Suspended { time_us, .. }
            | Self::Resumed { time_us, .. }
            | Self::Closed { time_us, .. } => *time_us,
        }
    }

    /// Returns whether the record is a nondeterministic choice. Such a choice must survive a power loss before anything
    /// depends on it.
    ///
    /// The completion of a leaf must also survive a power loss, but a record does not show whether
    /// its step is a leaf.
    #[must_use]
    pub fn is_choice_of_chance(&self) -> bool {
        match self {
            Self::Decided { decision, .. } => is_of_chance(&decision.key()),
            Self::Started(_)
            | Self::Began { .. }
            | Self::Stopped { .. }
            | Self::Stuck { .. }
            | Self::Ended { .. }
            | Self::Warned { .. }
            | Self::Asked { .. }
            | Self::Suspended { .. }
            | Self::Resumed { .. }
            | Self::Rewound(_)
            | Self::Redefined(_)
            | Self::Closed { .. } => false,
        }
    }
}

/// Returns whether a choice depends on time, chance or an answer, so making it again could give a different result.
fn is_of_chance(key: &DecisionKey) -> bool {
    match key {
        DecisionKey::TotalDeadline
        | DecisionKey::AttemptDeadline(_)
        | DecisionKey::LastBegin
        | DecisionKey::Awaits(_)
        | DecisionKey::Received(_)
        | DecisionKey::StartedAt
        | DecisionKey::Now(_)
        | DecisionKey::Random(_)
        | DecisionKey::Child(_)
        | DecisionKey::Compensable
        | DecisionKey::HookAnswer(..)
        | DecisionKey::HookAnswerTo(_)
        | DecisionKey::HookAnswerToSignal(_)
        | DecisionKey::ForkPart
        | DecisionKey::EndedNth(_)
        | DecisionKey::FirstFailed => true,
        DecisionKey::Enter
        | DecisionKey::Branch
        | DecisionKey::Items
        | DecisionKey::While(_)
        | DecisionKey::Until(_)
        | DecisionKey::Transition(_)
        | DecisionKey::RetryGeneration(_)
        | DecisionKey::RouteGeneration(_)
        | DecisionKey::HookGeneration(_)
        | DecisionKey::Attempt(_)
        | DecisionKey::Input
        | DecisionKey::Resolved(_) => false,
    }
}

/// Returns the error of an at-most-once step with an unknown outcome.
pub(crate) fn unknown_effect(cause: &str) -> StepError {
    let message = format!("{cause} after the step had begun; it runs at most once, so its outcome is unknown");
    StepError::new(llmspell_workflows_basic::ErrorClass::Poison, "unknown_effect", message).retryable(false)
}

/// Returns the error of a step that is not retried because it keeps crashing its process.
pub(crate) fn poison(cuts: u32) -> StepError {
    let message = format!("the process ended {cuts} times while this step ran, reaching the limit `crash_cuts_max`");
    StepError::new(llmspell_workflows_basic::ErrorClass::Poison, "poison", message).retryable(false)
}
