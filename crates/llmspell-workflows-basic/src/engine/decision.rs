use std::{borrow::Cow, fmt, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Call, ChildRun, Output, Signal, SkipReason};
use crate::StepError;

/// A choice that a run makes, as a type: which choice it is, and what kind of value it is made of.
///
/// [`Call::decide`] takes one together with a value of its own type and returns such a value, so the choice of a branch
/// is never answered with a deadline. The types are in [`choice`].
pub trait Choice: Send {
    /// What is chosen.
    type Value: Send;

    /// Which of all choices at its step it is.
    fn key(&self) -> DecisionKey;

    /// The choice made.
    fn made(self, value: Self::Value) -> Decision;

    /// What was chosen, where `decision` is one of this kind.
    fn value(decision: Decision) -> Option<Self::Value>;
}

macro_rules! choices {
    ($($(#[doc = $doc:literal])+ $name:ident $(($($arg:ident: $type:ty),+))? = $text:literal -> $value:ty;)+) => {
        /// Which choice of a step it is.
        ///
        /// Together with the path of the step it finds a recorded choice.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum DecisionKey {
            $($(#[doc = $doc])+ $name $(($($type),+))?,)+
        }

        /// A choice that a run has made, as data: the parts of its key, then what was chosen.
        ///
        /// Every choice goes through [`Call::decide`], so an interceptor that remembers can answer with what was chosen
        /// before, and one that knows better can change it.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Decision {
            $($(#[doc = $doc])+ $name($($($type,)+)? $value),)+
        }

        impl DecisionKey {
            /// The kinds of choices, as records name them.
            pub const KINDS: &'static [&'static str] = &[$($text),+];

            /// What kind of choice it is.
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
            /// Which choice of its step it is.
            #[must_use]
            pub fn key(&self) -> DecisionKey {
                match self {
                    $(Self::$name($($($arg,)+)? _) => DecisionKey::$name $(($($arg.clone()),+))?,)+
                }
            }

            /// What kind of choice it is.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(..) => $text,)+
                }
            }
        }

        /// The choices that runs make, each with the type of its value.
        pub mod choice {
            use super::*;

            $(
                $(#[doc = $doc])+
                #[derive(Debug, Clone, PartialEq, Eq)]
                pub struct $name $(($(#[doc = "Which one."] pub $type),+))?;

                impl Choice for $name {
                    type Value = $value;

                    fn key(&self) -> DecisionKey {
                        let Self $(($($arg),+))? = self;
                        DecisionKey::$name $(($($arg.clone()),+))?
                    }

                    fn made(self, value: $value) -> Decision {
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
    /// Whether a step with a condition or dependencies runs: `None`, or why it is skipped.
    Enter = "enter" -> Option<SkipReason>;
    /// Which list of a conditional (0 then, 1 else) or which case of a switch runs (the default counts as the last).
    Branch = "branch" -> Option<usize>;
    /// The items of a loop.
    Items = "items" -> Arc<Vec<Value>>;
    /// Whether the `while` of a loop holds before iteration `n`.
    While(n: u64) = "while" -> bool;
    /// Whether the `until` of a loop holds after iteration `n`.
    Until(n: u64) = "until" -> bool;
    /// Where a route goes after the `n`th step it has run, from 0; `None`: it ends.
    Transition(n: u64) = "transition" -> Option<String>;
    /// The generation as which a block is entered for attempt `n`.
    RetryGeneration(n: u32) = "retry_generation" -> u32;
    /// The generation as which a route enters a step again after `n` transitions.
    RouteGeneration(n: u64) = "route_generation" -> u32;
    /// The generation as which a step is entered again because hooks asked for round `n`.
    HookGeneration(n: u64) = "hook_generation" -> u32;
    /// The branch that ended as the `n`th, from 0, where the order matters.
    EndedNth(n: u64) = "ended_nth" -> usize;
    /// The iteration of a parallel loop that failed first.
    FirstFailed = "first_failed" -> usize;
    /// How attempt `n` went, where another one follows.
    Attempt(n: u32) = "attempt" -> crate::engine::Attempt;
    /// The time by which the step must have ended, with all its attempts.
    TotalDeadline = "total_deadline" -> Timestamp;
    /// The time by which attempt `n` must have ended.
    AttemptDeadline(n: u32) = "attempt_deadline" -> Timestamp;
    /// The time after which no attempt begins.
    LastBegin = "last_begin" -> Timestamp;
    /// What attempt `n` of a step waits for.
    Awaits(n: u32) = "awaits" -> Awaited;
    /// What ended the wait of attempt `n`.
    Received(n: u32) = "received" -> crate::engine::Received;
    /// When the step began, where one of its expressions reads that.
    StartedAt = "started_at" -> Timestamp;
    /// The time that code reads for the `n`th time, from 0.
    Now(n: u64) = "now" -> Timestamp;
    /// The random number that code reads for the `n`th time, from 0.
    Random(n: u64) = "random" -> u64;
    /// The hash of the input that code calls a step with.
    Input = "input" -> String;
    /// The run that is attempt `n` of a sub-workflow step.
    Child(n: u32) = "child" -> ChildRun;
    /// What a step that can be undone is called with.
    Compensable = "compensable" -> crate::engine::Compensable;
    /// The value of the `n`th part of the state, from 0, that branches have set to different values.
    Resolved(n: u64) = "resolved" -> Value;
    /// The answer of the hooks at `point` of the step in round `n`, from 0.
    HookAnswer(point: Cow<'static, str>, n: u64) = "hook_answer" -> Arc<Value>;
    /// The answer of the hooks to another choice of the step.
    HookAnswerTo(choice: Box<DecisionKey>) = "hook_answer_to" -> Arc<Value>;
    /// The answer of the hooks to signal number `n` of the run, which the step would receive.
    HookAnswerToSignal(n: u64) = "hook_answer_to_signal" -> Arc<Value>;
    /// The output of one part of a step that a hook has forked; it is recorded at the path of the part.
    ForkPart = "fork_part" -> Output;
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// It failed, and the next one begins at `wake_at`.
    Failed {
        /// Why.
        error: Box<StepError>,
        /// When the next attempt begins.
        wake_at: Timestamp,
    },
    /// An interceptor does not let another one follow, so the step fails; this is never recorded.
    GivenUp,
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
    /// A signal, which no other step gets.
    Signal(Arc<Signal>),
    /// Nothing in time.
    TimedOut,
    /// A signal that an interceptor keeps from the step, which waits on; this is never recorded.
    Refused,
}

impl Decision {
    /// Whether an interceptor has kept the choice from being made, so that there is nothing to record.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        matches!(self, Self::Attempt(_, Attempt::GivenUp) | Self::Received(_, Received::Refused))
    }
}

/// Where a choice is made: the call that makes it, and which choice it is there.
#[derive(Debug, Clone, Copy)]
pub struct DecisionPoint<'a> {
    /// The call that makes it.
    pub call: &'a Call,
    /// Which choice.
    pub key: &'a DecisionKey,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(decision: &Decision) -> Value {
        let value = serde_json::to_value(decision).unwrap();
        assert_eq!(&serde_json::from_value::<Decision>(value.clone()).unwrap(), decision);
        value
    }

    #[test]
    fn decisions_serialize_as_kind_key_and_value() {
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
            assert_eq!(shown(&decision), json);
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
    fn a_choice_only_accepts_a_value_of_its_own_kind() {
        assert_eq!(choice::While::value(Decision::While(0, true)), Some(true));
        assert_eq!(choice::While::value(Decision::Until(0, true)), None);
    }
}
