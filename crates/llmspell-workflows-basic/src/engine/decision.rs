use std::{borrow::Cow, fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Call, ChildRun, Output, Signal, SkipReason};
use crate::StepError;

/// A kind of decision: it defines the key and the type of the value.
///
/// [`Call::decide`] takes a choice and a value of the choice's type, and returns a value of the same type, so a
/// decision about a branch is never answered with a deadline. The kinds are in [`choice`].
pub trait Choice: Send {
    /// The decided value.
    type Value: Send;

    /// Returns the key of the decision at its step.
    fn key(&self) -> DecisionKey;

    /// Returns the decision with the value `value`.
    fn into_decision(self, value: Self::Value) -> Decision;

    /// Returns the value of `decision` if the decision is of this kind.
    fn value(decision: Decision) -> Option<Self::Value>;
}

macro_rules! choices {
    ($($(#[doc = $doc:literal])+ $name:ident $(($($arg:ident: $type:ty),+))? = $text:literal -> $value:ty;)+) => {
        /// Identifies a decision of a step.
        ///
        /// A recorded decision is found by its key and the path of its step.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum DecisionKey {
            $($(#[doc = $doc])+ $name $(($($type),+))?,)+
        }

        /// A decision made by a run, as data: the parts of its key, then its value.
        ///
        /// Every decision goes through [`Call::decide`], so an interceptor can replay a recorded decision or change a
        /// new one.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Decision {
            $($(#[doc = $doc])+ $name($($($type,)+)? $value),)+
        }

        impl DecisionKey {
            /// The names of all kinds of decisions, as used in records.
            pub const KINDS: &'static [&'static str] = &[$($text),+];

            /// Returns the kind of the decision.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $text,)+
                }
            }
        }

        impl fmt::Display for DecisionKey {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name $(($($arg),+))? => {
                        f.write_str($text)?;
                        $($(write!(f, " {}", $arg)?;)+)?
                    })+
                }
                Ok(())
            }
        }

        impl Decision {
            /// Returns the key of the decision at its step.
            #[must_use]
            pub fn key(&self) -> DecisionKey {
                match self {
                    $(Self::$name($($($arg,)+)? _) => DecisionKey::$name $(($($arg.clone()),+))?,)+
                }
            }

            /// Returns the kind of the decision.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(..) => $text,)+
                }
            }
        }

        /// The kinds of decisions, each with the type of its value.
        pub mod choice {
            use super::*;

            $(
                $(#[doc = $doc])+
                #[derive(Debug, Clone, PartialEq, Eq)]
                pub struct $name $(($(#[doc = "A part of the key."] pub $type),+))?;

                impl Choice for $name {
                    type Value = $value;

                    fn key(&self) -> DecisionKey {
                        let Self $(($($arg),+))? = self;
                        DecisionKey::$name $(($($arg.clone()),+))?
                    }

                    fn into_decision(self, value: $value) -> Decision {
                        let Self $(($($arg),+))? = self;
                        Decision::$name($($($arg,)+)? value)
                    }

                    fn value(decision: Decision) -> Option<$value> {
                        match decision {
                            Decision::$name(.., value) => Some(value),
                            _ => None,
                        }
                    }
                }
            )+
        }
    };
}

choices! {
    /// The reason to skip a step with a condition or dependencies; `None` if the step runs.
    Enter = "enter" -> Option<SkipReason>;
    /// The branch that runs. For a conditional, this is 0 for `then` or 1 for `else`. For a switch,
    /// it is the number of the case; the default counts as the last case.
    Branch = "branch" -> Option<usize>;
    /// The items of a loop.
    Items = "items" -> Arc<Vec<Value>>;
    /// Whether the loop's `while` condition is true before iteration `n`.
    While(n: u64) = "while" -> bool;
    /// Whether the loop's `until` condition is true after iteration `n`.
    Until(n: u64) = "until" -> bool;
    /// The step that a route runs after its `n`th step, counted from 0; `None` if the route ends.
    Transition(n: u64) = "transition" -> Option<String>;
    /// The generation under which attempt `n` of a block runs.
    RetryGeneration(n: u32) = "retry_generation" -> u32;
    /// The generation under which a route enters a step again after `n` transitions.
    RouteGeneration(n: u64) = "route_generation" -> u32;
    /// The generation under which a step is entered again because hooks requested round `n`.
    HookGeneration(n: u64) = "hook_generation" -> u32;
    /// The branch that ended `n`th, counted from 0; recorded only if the order matters.
    EndedNth(n: u64) = "ended_nth" -> usize;
    /// The iteration of a parallel loop that failed first.
    FirstFailed = "first_failed" -> usize;
    /// The result of attempt `n`, if another attempt follows.
    Attempt(n: u32) = "attempt" -> crate::engine::Attempt;
    /// The time by which all attempts of the step must have ended.
    TotalDeadline = "total_deadline" -> Timestamp;
    /// The time by which attempt `n` must have ended.
    AttemptDeadline(n: u32) = "attempt_deadline" -> Timestamp;
    /// The time after which no further attempt begins.
    LastBegin = "last_begin" -> Timestamp;
    /// The signal or time that attempt `n` of a step waits for.
    Awaits(n: u32) = "awaits" -> Awaited;
    /// The signal or timeout that ended the wait of attempt `n`.
    Received(n: u32) = "received" -> crate::engine::Received;
    /// When the step began; recorded only if one of its expressions reads the time.
    StartedAt = "started_at" -> Timestamp;
    /// The time returned when code read the clock for the `n`th time, counted from 0.
    Now(n: u64) = "now" -> Timestamp;
    /// The `n`th random number drawn by code, counted from 0.
    Random(n: u64) = "random" -> u64;
    /// The hash of the input that code passes to a step.
    Input = "input" -> String;
    /// The child run of attempt `n` of a sub-workflow step.
    Child(n: u32) = "child" -> ChildRun;
    /// The input of a step that can be undone.
    Compensable = "compensable" -> crate::engine::Compensable;
    /// The value that resolves the `n`th conflict between branches, counted from 0.
    Resolved(n: u64) = "resolved" -> Value;
    /// The hooks' answer at `point` of the step in round `n`, counted from 0.
    HookAnswer(point: Cow<'static, str>, n: u64) = "hook_answer" -> Arc<Value>;
    /// The hooks' answer to one of the step's decisions.
    HookAnswerTo(choice: Box<DecisionKey>) = "hook_answer_to" -> Arc<Value>;
    /// The hooks' answer to signal number `n` of the run, given before the step receives the
    /// signal.
    HookAnswerToSignal(n: u64) = "hook_answer_to_signal" -> Arc<Value>;
    /// The output of one part of a step that a hook forked; recorded at the path of the part.
    ForkPart = "fork_part" -> Output;
}

/// The result of an attempt that did not complete its step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// The attempt failed, and the next attempt begins at `wake_at`.
    Failed {
        /// Why the attempt failed.
        error: Box<StepError>,
        /// When the next attempt begins.
        wake_at: Timestamp,
    },
    /// An interceptor prevents further attempts, so the step fails; never recorded.
    GivenUp,
}

/// The signal or time that a step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The name of the signal; `None` if the step waits only for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// When the wait began.
    pub since: Timestamp,
    /// When the wait ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The input of a step that can be undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compensable {
    /// The input.
    With(Arc<Value>),
    /// An earlier run executed the step, so this run must not undo it.
    Never,
}

/// The result of waiting for a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Received {
    /// A signal arrived; no other step receives it.
    Signal(Arc<Signal>),
    /// No signal arrived in time.
    TimedOut,
    /// An interceptor withheld a signal from the step, and the step continues to wait; never recorded.
    Refused,
}

impl Decision {
    /// Returns whether an interceptor prevented the decision, so there is nothing to record.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        matches!(self, Self::Attempt(_, Attempt::GivenUp) | Self::Received(_, Received::Refused))
    }
}

/// A decision about to be made: the call that makes it, and its key.
#[derive(Debug, Clone, Copy)]
pub struct DecisionPoint<'a> {
    /// The call that makes the decision.
    pub call: &'a Call,
    /// The key of the decision.
    pub key: &'a DecisionKey,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn serialized(decision: &Decision) -> Value {
        let value = serde_json::to_value(decision).unwrap();
        assert_eq!(&serde_json::from_value::<Decision>(value.clone()).unwrap(), decision);
        value
    }

    #[test]
    fn decisions_serialize_with_their_kind_key_and_value() {
        let answer = Decision::HookAnswer("before_step".into(), 2, Arc::new(json!({"x": 1})));
        let cases = [
            (Decision::Branch(Some(1)), json!({"branch": 1}), "branch"),
            (Decision::While(3, true), json!({"while": [3, true]}), "while 3"),
            (answer, json!({"hook_answer": ["before_step", 2, {"x": 1}]}), "hook_answer before_step 2"),
            (
                Decision::HookAnswerTo(Box::new(DecisionKey::Until(4)), Arc::default()),
                json!({"hook_answer_to": [{"until": 4}, null]}),
                "hook_answer_to until 4",
            ),
        ];
        for (decision, json, key) in cases {
            assert_eq!(serialized(&decision), json);
            assert_eq!(decision.key().to_string(), key);
            assert_eq!(decision.key().kind(), decision.kind());
        }
    }

    #[test]
    fn keys_serialize_with_the_names_of_their_decisions() {
        assert_eq!(json!(DecisionKey::Branch), json!("branch"));
        assert_eq!(json!(DecisionKey::Until(7)), json!({"until": 7}));
        assert_eq!(json!(DecisionKey::TotalDeadline), json!("total_deadline"));
    }

    #[test]
    fn a_choice_accepts_only_decisions_of_its_own_kind() {
        assert_eq!(choice::While::value(Decision::While(0, true)), Some(true));
        assert_eq!(choice::While::value(Decision::Until(0, true)), None);
    }
}
