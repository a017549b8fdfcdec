use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Call, ChildRun, Signal, SkipReason};
use crate::StepError;

/// A choice that a run makes, as data.
///
/// Every choice goes through [`Call::decide`], so an interceptor that remembers can answer with what was chosen
/// before, and one that knows better can change it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// Whether a step with a condition or dependencies runs: `None`, or why not.
    Enter(Option<SkipReason>),
    /// Which list of a conditional (0 then, 1 else) or which case of a switch runs (the default counts as the last).
    Branch(Option<usize>),
    /// What a loop runs over.
    Items(Arc<Vec<Value>>),
    /// Whether a loop makes iteration `index`.
    Continue(bool),
    /// Where a route goes after its step number `index`; `None`: it ends.
    Transition(Option<String>),
    /// As which generation a route enters a step again after its step number `index`, or a block its attempt `index`.
    Generation(u32),
    /// Which child ended as number `index`, where that order matters, or which iteration of a loop failed first; asked
    /// with `None` first, then told.
    Ended(Option<usize>),
    /// How attempt `index` of a step went; asked with `Due` first, then told.
    Attempt(Attempt),
    /// When the step as a whole (`index` 0) or attempt `index` must have ended, or the last attempt must begin
    /// (`index` [`u64::MAX`]).
    Deadline(Timestamp),
    /// What a step waits for in its attempt `index`.
    Awaits(Awaited),
    /// What came of the wait of attempt `index`; asked with `Pending` first, then told.
    Received(Received),
    /// The time that code-first code or an expression reads for the `index`th time.
    Now(Timestamp),
    /// The random number that code-first code reads for the `index`th time.
    Random(u64),
    /// The hash of the input that a code-first step was called with.
    Input(String),
    /// Which run the step is in its attempt `index`.
    Child(ChildRun),
    /// What a step that can be undone is called with.
    Compensable(Compensable),
    /// What became of the `index`th part of the state that branches set to different values.
    Resolved(Value),
    /// What somebody whom an interceptor asks has answered, in the interceptor's own words; asked with `None` first,
    /// then told.
    Answer(Option<Arc<Value>>),
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// It is about to begin.
    Due,
    /// It failed, and the next one begins at `wake_at`.
    Failed {
        /// Why.
        error: Box<StepError>,
        /// When the next attempt begins.
        wake_at: Timestamp,
    },
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The signal of this name; none where it waits for a time alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// When it began to.
    pub since: Timestamp,
    /// When it stops, or has waited long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What a step that can be undone is called with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compensable {
    /// This, with secrets masked.
    With(Arc<Value>),
    /// An earlier run did it, and this one is not to undo it.
    Never,
}

/// What came of a wait for a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Received {
    /// Nothing yet.
    Pending,
    /// A signal, which no other step gets.
    Signal(Arc<Signal>),
    /// Nothing in time.
    TimedOut,
}

impl Decision {
    /// What kind of choice it is, for keys and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Enter(_) => "enter",
            Self::Branch(_) => "branch",
            Self::Items(_) => "items",
            Self::Continue(_) => "continue",
            Self::Transition(_) => "transition",
            Self::Generation(_) => "generation",
            Self::Ended(_) => "ended",
            Self::Attempt(_) => "attempt",
            Self::Deadline(_) => "deadline",
            Self::Awaits(_) => "awaits",
            Self::Received(_) => "received",
            Self::Now(_) => "now",
            Self::Random(_) => "random",
            Self::Input(_) => "input",
            Self::Child(_) => "child",
            Self::Compensable(_) => "compensable",
            Self::Resolved(_) => "resolved",
            Self::Answer(_) => "answer",
        }
    }

    /// Whether it only asks for a former answer, so that there is nothing to record yet.
    #[must_use]
    pub fn is_question(&self) -> bool {
        matches!(
            self,
            Self::Ended(None) | Self::Attempt(Attempt::Due) | Self::Answer(None) | Self::Received(Received::Pending)
        )
    }
}

/// Where a choice is made: a step's call, and the number of the choice among those of its kind there.
#[derive(Debug, Clone, Copy)]
pub struct DecisionPoint<'a> {
    /// The call that makes it.
    pub call: &'a Call,
    /// Which choice of its kind, from 0.
    pub index: u64,
}
