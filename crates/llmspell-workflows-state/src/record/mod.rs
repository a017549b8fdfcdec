//! What a journal holds of a run, record by record.

mod changed;
mod kept;
mod large;
mod migrated;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    StepError,
    engine::{Cancelled, Decision, Failure, SkipReason},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use changed::{ChangeRef, KeptChange, KeptEdit};
pub use kept::Kept;
pub(crate) use kept::Known;
pub use large::INLINE_MAX;
pub use migrated::Migrated;

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
        /// When, in microseconds since the run was started.
        #[serde(rename = "t", default, skip_serializing_if = "is_zero")]
        time_us: u64,
    },
    /// A leaf that had begun was stopped by a shutdown, or parked: no crash cut it.
    Stopped {
        /// Where.
        path: String,
    },
    /// Nobody knows whether the step has done what it does, or it cannot be undone: somebody has to say.
    Stuck {
        /// Where.
        path: String,
        /// Why.
        error: Box<StepError>,
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
        /// When, in microseconds since the run was started.
        #[serde(rename = "t", default, skip_serializing_if = "is_zero")]
        time_us: u64,
    },
    /// The run goes on from an earlier point of it.
    Rewound(Box<Rewound>),
    /// From here on the run is one of another definition.
    Redefined {
        /// When someone asked for it.
        at: Timestamp,
        /// The hash of the other definition.
        definition: String,
        /// Its version.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        version: String,
        /// Its state from here on, where the definition says how to migrate it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        migrated: Option<Box<Migrated>>,
    },
    /// The run ended; nothing but [`Self::Rewound`] comes after.
    Closed {
        /// How.
        end: End,
        /// When.
        at: Timestamp,
        /// Whether it has undone what it did.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        compensated: bool,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a run was started with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    /// The run that it is a step of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The run that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The inputs of activities that get another one than their parameters make.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Arc<Value>>,
    /// What is in its state before any step, beside the input.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub state: Map<String, Value>,
    /// What its users call it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Started {
    /// What the run of `records` was started with, and which definition it has by now; `None`: it never was.
    #[must_use]
    pub fn of(records: &[Record]) -> Option<Self> {
        let mut found: Option<Self> = None;
        for record in records {
            match (record, &mut found) {
                (Record::Started(started), None) => found = Some((**started).clone()),
                (Record::Redefined { definition, version, migrated, .. }, Some(started)) => {
                    started.redefine(definition, version, migrated.as_deref());
                }
                _ => {}
            }
        }
        found
    }

    /// It has another definition from now on.
    pub(crate) fn redefine(&mut self, definition: &str, version: &str, migrated: Option<&Migrated>) {
        (self.definition, self.version) = (definition.to_owned(), version.to_owned());
        if let Some(migrated) = migrated {
            self.state.clone_from(&migrated.state);
        }
    }
}

/// The step of another run that a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The other run.
    pub run: Uuid,
    /// Where the step stands in it.
    pub path: String,
}

/// The run that another one was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The earlier run.
    pub run: Uuid,
    /// The step from which on it runs again; none: all of it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What of a run counts no more, so that it happens again.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Rewound {
    /// When someone asked for it.
    pub at: Timestamp,
    /// Steps that have not ended after all.
    pub reopened: Vec<String>,
    /// Choices that are made again: where, of which kind, and which of that kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<(String, String, u64)>,
    /// Steps that are entered as another generation than the path says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reentered: Vec<(String, u32)>,
    /// The inputs of activities that get another one than their parameters make.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Arc<Value>>,
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
            Self::Began { path, .. }
            | Self::Stuck { path, .. }
            | Self::Stopped { path }
            | Self::Decided { path, .. }
            | Self::Ended { path, .. } => Some(path),
            Self::Started(_) | Self::Rewound(_) | Self::Redefined { .. } | Self::Closed { .. } => None,
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
                | Decision::Child(_)
                | Decision::Compensable(_)
                | Decision::Answer(Some(_))
                | Decision::Ended(Some(_))
        )
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
