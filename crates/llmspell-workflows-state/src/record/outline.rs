//! The outline of a record: the record without the values needed only by the run itself.

use std::sync::Arc;

use llmspell_workflows_basic::{
    StepError,
    engine::{Attempt, Compensable, Decision, Failure, Output, Received, Signal},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{End, FormatError, Migrated, Record, Redefined, Rewound, Started, StoredValue};

/// Records larger than this many bytes have an outline.
const LONG_FROM: usize = 4 << 10;

/// An encoded record: the record itself, or its outline together with the record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EncodedRecord {
    /// The record, or its outline if the record is long.
    pub(crate) body: Vec<u8>,
    /// The record if it is long; otherwise empty.
    pub(crate) bulk: Vec<u8>,
}

/// The records of a completed step, without the values.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum CompletedStep {
    Began {
        path: String,
        #[serde(rename = "t")]
        time_us: u64,
    },
    Ended {
        path: String,
        end: CompletedEnd,
        #[serde(rename = "t")]
        time_us: u64,
    },
}

/// The part of [`End`] for completed steps, without the values.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum CompletedEnd {
    Completed {
        #[serde(rename = "output")]
        _output: IgnoredAny,
        #[serde(rename = "changes", default)]
        _changes: IgnoredAny,
    },
}

impl Record {
    /// Encodes the record; a long record also gets an outline, which can be read without the
    /// record.
    ///
    /// # Errors
    /// Returns an error if a value in the record cannot be encoded as JSON.
    pub(crate) fn encode_with_outline(&self) -> Result<EncodedRecord, FormatError> {
        let whole = self.encode()?;
        if whole.len() <= LONG_FROM {
            return Ok(EncodedRecord { body: whole, bulk: Vec::new() });
        }
        let outline = self.outline().encode()?;
        // An outline that omits little would only waste space.
        if outline.len() * 2 > whole.len() {
            return Ok(EncodedRecord { body: whole, bulk: Vec::new() });
        }
        Ok(EncodedRecord { body: outline, bulk: whole })
    }

    /// Decodes the [outline](Self::outline) of a record written by [`Self::encode`]; only some of its
    /// values may be missing.
    ///
    /// # Errors
    /// Returns an error if the record is in a different format or the bytes are not a record.
    pub(crate) fn decode_outline(bytes: &[u8]) -> Result<Self, FormatError> {
        // Most records are of completed steps, and their values need not be built.
        match serde_json::from_slice(bytes) {
            Ok(CompletedStep::Began { path, time_us }) => Ok(Self::Began { path, time_us }),
            Ok(CompletedStep::Ended { path, end: CompletedEnd::Completed { .. }, time_us }) => {
                let end = End::Completed { output: StoredValue::Value(Arc::default()), changes: Vec::new() };
                Ok(Self::Ended { path, end, time_us })
            }
            Err(_) => Self::decode(bytes),
        }
    }

    /// Returns the record without inputs, outputs, state changes and error details.
    ///
    /// The status of a run can be read from the outlines of its records, but the run cannot be resumed from them.
    #[must_use]
    pub fn outline(&self) -> Self {
        match self {
            Self::Started(started) => Self::Started(Box::new(Started {
                format: started.format,
                at: started.at,
                workflow: started.workflow.clone(),
                version: started.version.clone(),
                definition: started.definition.clone(),
                input: Value::Null,
                starting_step: started.starting_step.clone(),
                environment: started.environment.clone(),
                parent: started.parent.clone(),
                origin: started.origin.clone(),
                labels: started.labels.clone(),
                ..Started::default()
            })),
            Self::Stuck { path, error, time_us } => {
                Self::Stuck { path: path.clone(), error: Box::new(short(error)), time_us: *time_us }
            }
            Self::Decided { path, decision, time_us, .. } => {
                let decision = outline_of(decision);
                Self::Decided { path: path.clone(), decision, masks: Vec::new(), time_us: *time_us }
            }
            Self::Ended { path, end, time_us } => {
                Self::Ended { path: path.clone(), end: end.outline(), time_us: *time_us }
            }
            Self::Closed { end, time_us, compensated } => {
                Self::Closed { end: end.outline(), time_us: *time_us, compensated: *compensated }
            }
            Self::Rewound(rewound) => Self::Rewound(Box::new(Rewound {
                time_us: rewound.time_us,
                reopened: rewound.reopened.clone(),
                undecided: rewound.undecided.clone(),
                reentered: rewound.reentered.clone(),
                inputs: std::collections::BTreeMap::new(),
                settled_messages: rewound.settled_messages,
            })),
            Self::Redefined(redefined) => {
                let migrated = redefined.migrated.as_ref();
                let migrated =
                    migrated.map(|migrated| Migrated { undecided: migrated.undecided.clone(), ..Migrated::default() });
                Self::Redefined(Box::new(Redefined {
                    time_us: redefined.time_us,
                    definition: redefined.definition.clone(),
                    version: redefined.version.clone(),
                    migrated,
                }))
            }
            Self::Began { .. }
            | Self::Stopped { .. }
            | Self::Warned { .. }
            | Self::Asked { .. }
            | Self::Suspended { .. }
            | Self::Resumed { .. } => self.clone(),
        }
    }
}

impl End {
    fn outline(&self) -> Self {
        match self {
            Self::Completed { .. } => {
                Self::Completed { output: StoredValue::Value(Arc::default()), changes: Vec::new() }
            }
            Self::Failed(failure) => Self::Failed(Failure {
                error: Box::new(short(&failure.error)),
                handled: failure.handled,
                later_errors: failure.later_errors.iter().map(short).collect(),
            }),
            Self::Skipped(_) | Self::Cancelled(_) => self.clone(),
        }
    }
}

/// Returns the error without its details and causes.
fn short(error: &StepError) -> StepError {
    StepError {
        class: error.class,
        code: error.code.clone(),
        message: error.message.clone(),
        path: error.path.clone(),
        attempt: error.attempt,
        retryable: error.retryable,
        cause: None,
        details: None,
    }
}

/// Returns the choice without values that do not affect the run's status.
fn outline_of(decision: &Decision) -> Decision {
    match decision {
        Decision::Items(_) => Decision::Items(Arc::default()),
        Decision::Attempt(number, Attempt::Failed { error, wake_at }) => {
            Decision::Attempt(*number, Attempt::Failed { error: Box::new(short(error)), wake_at: *wake_at })
        }
        Decision::Received(number, Received::Signal(signal)) => {
            let signal = Signal { data: Value::Null, ..(**signal).clone() };
            Decision::Received(*number, Received::Signal(Arc::new(signal)))
        }
        Decision::Compensable(Compensable::With(_)) => Decision::Compensable(Compensable::With(Arc::default())),
        Decision::Resolved(number, _) => Decision::Resolved(*number, Value::Null),
        Decision::HookAnswer(point, number, _) => Decision::HookAnswer(point.clone(), *number, Arc::default()),
        Decision::HookAnswerTo(choice, _) => Decision::HookAnswerTo(choice.clone(), Arc::default()),
        Decision::HookAnswerToSignal(number, _) => Decision::HookAnswerToSignal(*number, Arc::default()),
        Decision::ForkPart(_) => Decision::ForkPart(Output::new(Value::Null)),
        Decision::Enter(_)
        | Decision::Branch(_)
        | Decision::While(..)
        | Decision::Until(..)
        | Decision::Transition(..)
        | Decision::RetryGeneration(..)
        | Decision::RouteGeneration(..)
        | Decision::HookGeneration(..)
        | Decision::EndedNth(..)
        | Decision::FirstFailed(_)
        | Decision::Attempt(_, Attempt::GivenUp)
        | Decision::TotalDeadline(_)
        | Decision::AttemptDeadline(..)
        | Decision::LastBegin(_)
        | Decision::Awaits(..)
        | Decision::Received(..)
        | Decision::StartedAt(_)
        | Decision::Now(..)
        | Decision::Random(..)
        | Decision::Input(_)
        | Decision::Child(..)
        | Decision::Compensable(_) => decision.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ended(text: &str) -> Record {
        let output = StoredValue::Value(Arc::new(json!({"text": text})));
        Record::Ended { path: "/main/a".to_owned(), end: End::Completed { output, changes: Vec::new() }, time_us: 7 }
    }

    #[test]
    fn only_long_records_have_an_outline() {
        let short = ended("x").encode_with_outline().unwrap();
        assert_eq!((short.body, short.bulk), (ended("x").encode().unwrap(), Vec::new()));
        let text = "x".repeat(LONG_FROM);
        let long = ended(&text).encode_with_outline().unwrap();
        assert_eq!(long.bulk, ended(&text).encode().unwrap());
        assert_eq!(Record::decode(&long.body).unwrap(), ended(&text).outline());
        assert!(long.body.len() < 100, "{}", String::from_utf8_lossy(&long.body));
    }

    #[test]
    fn outline_is_decoded_without_the_values_of_completed_steps() {
        let change =
            r#"{"ended":{"path":"/main/a","end":{"completed":{"output":[1],"changes":[{"set":["a",1]}]}},"t":7}}"#;
        let failed = Record::Ended {
            path: "/main/a".to_owned(),
            end: End::Failed(Failure::new(StepError::transient("busy", "try later"))),
            time_us: 7,
        };
        let began = Record::Began { path: "/main/a".to_owned(), time_us: 7 };
        for record in [ended("x"), failed, began] {
            assert_eq!(Record::decode_outline(&record.encode().unwrap()).unwrap(), record.outline());
        }
        assert_eq!(Record::decode_outline(change.as_bytes()).unwrap(), ended("").outline());
        for unknown in [change.replace("\"t\"", "\"u\""), change.replace("completed", "dreamt"), String::new()] {
            let whole = Record::decode(unknown.as_bytes()).unwrap_err();
            assert_eq!(Record::decode_outline(unknown.as_bytes()).unwrap_err(), whole);
        }
    }

    #[test]
    fn outlines_keep_the_parts_that_determine_the_status() {
        let error = StepError::transient("busy", "try later").at("/main/a").with_details(json!({"stderr": "x"}));
        let failed = End::Failed(Failure::new(error.clone()));
        let record = Record::Closed { end: failed, time_us: 3, compensated: true };
        let Record::Closed { end: End::Failed(failure), time_us: 3, compensated: true } = record.outline() else {
            panic!("{:?}", record.outline())
        };
        assert_eq!(*failure.error, StepError { details: None, ..error });
    }
}
