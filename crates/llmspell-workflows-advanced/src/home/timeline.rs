//! What happened in a run, in order.

use std::time::Duration;

use jiff::Timestamp;
use llmspell_workflows_basic::engine::Attempt;
use llmspell_workflows_state::{End, History, Record};
use serde_json::{Value, json};

use super::{Home, KnownRun};
use crate::ExecutorError;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// When, where that is recorded; what comes without a time happened between what stands around it.
    pub at: Option<Timestamp>,
    /// What, such as `step_began`; a choice is named after its kind, such as `decided_branch`.
    pub event: String,
    /// Where; none where it is about the run.
    pub path: Option<String>,
    /// More about it; null where there is nothing more.
    pub details: Value,
}

impl Home {
    /// What happened in a run, in order, out of its journal.
    ///
    /// # Errors
    /// It cannot be read, or the run is gone.
    pub fn timeline(&self, run: &KnownRun) -> Result<Vec<Moment>, ExecutorError> {
        let records = self.records(run)?;
        let history = History::read(&records).ok().flatten();
        let start = history.map_or(run.summary.started_at, |history| history.started.at);
        Ok(records.iter().map(|record| moment(start, record)).collect())
    }
}

fn moment(start: Timestamp, record: &Record) -> Moment {
    let since = |time_us: u64| start.checked_add(Duration::from_micros(time_us)).ok();
    let (at, event, details) = match record {
        Record::Started(started) => {
            let details = json!({"workflow": started.workflow, "version": started.version, "input": started.input});
            (Some(started.at), "run_started".to_owned(), details)
        }
        Record::Began { time_us, .. } => (since(*time_us), "step_began".to_owned(), Value::Null),
        Record::Stopped { .. } => (None, "step_stopped".to_owned(), Value::Null),
        Record::Ended { end, time_us, .. } => (since(*time_us), format!("step_{}", word(end)), details(end)),
        Record::Decided { decision, .. } => {
            let event = match decision {
                llmspell_workflows_basic::engine::Decision::Attempt(Attempt::Failed { .. }) => "attempt_failed",
                other => return decided(record, other.kind()),
            };
            (None, event.to_owned(), serde_json::to_value(decision).unwrap_or_default())
        }
        Record::Stuck { error, .. } => {
            (None, "step_stuck".to_owned(), json!({"code": error.code, "message": error.message}))
        }
        Record::Rewound(rewound) => {
            (Some(rewound.at), "run_went_back".to_owned(), json!({"reopened": rewound.reopened}))
        }
        Record::Redefined { at, definition, version } => {
            (Some(*at), "run_redefined".to_owned(), json!({"definition": definition, "version": version}))
        }
        Record::Closed { end, at, compensated: true } => (Some(*at), "run_compensated".to_owned(), details(end)),
        Record::Closed { end, at, .. } => (Some(*at), format!("run_{}", word(end)), details(end)),
    };
    Moment { at, event, path: record.path().map(str::to_owned), details }
}

fn decided(record: &Record, kind: &str) -> Moment {
    let Record::Decided { path, decision, .. } = record else { unreachable!("the caller has one") };
    let details = serde_json::to_value(decision).unwrap_or_default();
    Moment { at: None, event: format!("decided_{kind}"), path: Some(path.clone()), details }
}

fn word(end: &End) -> &'static str {
    match end {
        End::Completed { .. } => "completed",
        End::Skipped(_) => "skipped",
        End::Failed(_) => "failed",
        End::Cancelled(_) => "cancelled",
    }
}

/// Why a step ended as it did; what it gave is for other views.
fn details(end: &End) -> Value {
    match end {
        End::Failed(failure) => json!({"code": failure.error.code, "message": failure.error.message}),
        End::Skipped(reason) => serde_json::to_value(reason).unwrap_or_default(),
        End::Completed { .. } | End::Cancelled(_) => Value::Null,
    }
}
