//! What a journal holds of a run, record by record.
//!
//! `docs/journal-format.md` describes the format; [`FORMAT`] is its version.

mod changed;
mod decode;
mod kept;
mod large;
mod rewound;
mod started;
mod timeline;

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError,
    engine::{Asker, Cancelled, Decision, DecisionKey, Failure, SkipReason},
};
use serde::{Deserialize, Serialize};

pub use changed::{ChangeRef, KeptChange, KeptEdit};
pub use decode::{FORMAT, FormatError};
pub use kept::Kept;
pub(crate) use kept::Known;
pub use large::INLINE_MAX;
pub use rewound::{ChoiceAt, Migrated, Redefined, Rewound};
pub use started::{Origin, Parent, Started};
pub use timeline::{Request, Resumption, Suspension};

/// One record of a run.
///
/// As JSON each is an object with one field, its kind. A time `t` is in microseconds since the run was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// The run was started; always the first.
    Started(Box<Started>),
    /// A leaf begins; one without an end was cut by a crash.
    Began {
        /// The step.
        path: String,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// A leaf that had begun was stopped by a shutdown, or parked: no crash cut it.
    Stopped {
        /// The step.
        path: String,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// The outcome of a step is unknown, or it cannot be undone: it has to be resolved by hand.
    Stuck {
        /// The step.
        path: String,
        /// Why.
        error: Box<StepError>,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// A choice was made.
    Decided {
        /// The step.
        path: String,
        /// Which choice, and what was chosen.
        #[serde(rename = "choice")]
        decision: Decision,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// A step ended.
    Ended {
        /// The step.
        path: String,
        /// How.
        end: End,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// Something odd did not keep the run from going on.
    Warned {
        /// The step.
        path: String,
        /// A stable code.
        code: String,
        /// What.
        message: String,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// Somebody asked for something that concerns the run as a whole.
    Asked {
        /// What for.
        request: Request,
        /// Who did.
        by: Asker,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// The run left its process without having ended.
    Suspended {
        /// Why.
        why: Suspension,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// A process goes on with the run.
    Resumed {
        /// Why.
        why: Resumption,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
    },
    /// The run goes on from an earlier point of it.
    Rewound(Box<Rewound>),
    /// From here on the run is one of another definition.
    Redefined(Box<Redefined>),
    /// The run ended; nothing but [`Self::Rewound`] comes after.
    Closed {
        /// How.
        end: End,
        /// When.
        #[serde(rename = "t")]
        time_us: u64,
        /// Whether it has undone what it did.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        compensated: bool,
    },
}

/// How a step ended, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum End {
    /// It did what it should.
    Completed {
        /// Its output.
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
    /// The kinds of records, as they are named in the format.
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

    /// Its kind, as it is named in the format.
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

    /// The step it is about; none where it is about the run.
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

    /// When it was made, in a run that was started at `started_at`.
    #[must_use]
    pub fn time(&self, started_at: Timestamp) -> Timestamp {
        let after = |time_us: u64| {
            let time = started_at.checked_add(std::time::Duration::from_micros(time_us));
            time.unwrap_or(Timestamp::MAX)
        };
        match self {
            Self::Started(started) => started.at,
            Self::Rewound(rewound) => after(rewound.time_us),
            Self::Redefined(redefined) => after(redefined.time_us),
            Self::Began { time_us, .. }
            | Self::Stopped { time_us, .. }
            | Self::Stuck { time_us, .. }
            | Self::Decided { time_us, .. }
            | Self::Ended { time_us, .. }
            | Self::Warned { time_us, .. }
            | Self::Asked { time_us, .. }
            | Self::Suspended { time_us, .. }
            | Self::Resumed { time_us, .. }
            | Self::Closed { time_us, .. } => after(*time_us),
        }
    }

    /// Whether it must outlive a power loss before anyone acts on it.
    ///
    /// The completion of a leaf is the caller's to say, since a record does not know leaves.
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

/// Whether a choice depends on time, chance or somebody's answer, so that it cannot be made again.
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

/// Why nobody knows what a step that runs at most once has done.
pub(crate) fn unknown_effect(cause: &str) -> StepError {
    let message = format!("{cause} after it had begun, and it runs at most once: nobody knows what it has done");
    StepError::new(llmspell_workflows_basic::ErrorClass::Poison, "unknown_effect", message).retryable(false)
}

/// Why a step that keeps crashing its process is not tried again.
pub(crate) fn poison(cuts: u32) -> StepError {
    let message = format!("the process ended {cuts} times while this step ran, which is the limit `crash_cuts_max`");
    StepError::new(llmspell_workflows_basic::ErrorClass::Poison, "poison", message).retryable(false)
}
