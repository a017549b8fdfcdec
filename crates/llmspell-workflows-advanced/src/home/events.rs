//! What has happened to a run, out of its journal.

use std::time::Duration;

use jiff::Timestamp;
use llmspell_workflows_basic::engine::{Attempt, Decision, Received};
use llmspell_workflows_hooks::event::EventKind;
use llmspell_workflows_state::{End, Record};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{Home, KnownRun};
use crate::ExecutorError;

/// Something that has happened to a run, as its journal has it: nothing is missing, whoever listened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkflowEvent {
    /// Which record of the run it is, from 0.
    pub sequence: u64,
    /// What has happened.
    #[serde(rename = "type", serialize_with = "as_text")]
    pub kind: EventKind,
    /// Where in the run; empty: to the run as a whole.
    pub path: String,
    /// When; none where the journal does not say.
    pub timestamp: Option<Timestamp>,
    /// What more there is to say.
    pub data: Value,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn as_text<S: Serializer>(kind: &EventKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

impl dyn Home {
    /// What has happened to a run, in order, out of its journal.
    ///
    /// # Errors
    /// It cannot be read, or the run is gone.
    pub async fn events(&self, run: &KnownRun) -> Result<Vec<WorkflowEvent>, ExecutorError> {
        Ok(events(&self.records(run).await?))
    }
}

/// The events of the run of `records`, in order.
pub(crate) fn events(records: &[Record]) -> Vec<WorkflowEvent> {
    let mut started_at = None;
    let mut events = Vec::new();
    for (sequence, record) in (0..).zip(records) {
        if let Record::Started(started) = record {
            started_at = Some(started.at);
        }
        if let Some((kind, at, data)) = event(record, started_at) {
            let path = record.path().unwrap_or_default().to_owned();
            events.push(WorkflowEvent { sequence, kind, path, timestamp: at, data });
        }
    }
    events
}

fn event(record: &Record, started_at: Option<Timestamp>) -> Option<(EventKind, Option<Timestamp>, Value)> {
    let after = |time_us: u64| started_at?.checked_add(Duration::from_micros(time_us)).ok();
    Some(match record {
        Record::Started(started) => (
            EventKind::RunStarted,
            Some(started.at),
            json!({"name": started.workflow, "version": started.version, "input": started.input}),
        ),
        Record::Began { time_us, .. } => (EventKind::StepStarted, after(*time_us), Value::Null),
        // How the run as a whole ended is told when that is closed.
        Record::Ended { path, .. } if !path[1..].contains('/') && !path.ends_with(']') => return None,
        Record::Ended { path, end, time_us } => {
            let (kind, data) = ended(end, path.ends_with(']'));
            (kind, after(*time_us), data)
        }
        Record::Stopped { .. } => (EventKind::StepWaiting, None, Value::Null),
        Record::Decided { decision, .. } => decided(decision)?,
        Record::Rewound(rewound) => (EventKind::RunRetried, Some(rewound.at), Value::Null),
        Record::Redefined { at, definition, version, migrated } => {
            let data = json!({"definition": definition, "version": version, "migrated": migrated.is_some()});
            (EventKind::RunRedefined, Some(*at), data)
        }
        Record::Stuck { error, .. } => (EventKind::RunStuck, None, json!(error)),
        Record::Closed { end, at, compensated } => {
            let kind = match end {
                _ if *compensated => EventKind::RunCompensated,
                End::Completed { .. } => EventKind::RunCompleted,
                End::Skipped(_) => EventKind::RunSkipped,
                End::Failed(_) => EventKind::RunFailed,
                End::Cancelled(_) => EventKind::RunCancelled,
            };
            (kind, Some(*at), ended(end, false).1)
        }
    })
}

fn ended(end: &End, is_iteration: bool) -> (EventKind, Value) {
    match end {
        End::Completed { .. } if is_iteration => (EventKind::IterationCompleted, Value::Null),
        End::Completed { .. } => (EventKind::StepCompleted, Value::Null),
        End::Skipped(reason) => (EventKind::StepSkipped, json!(reason)),
        End::Failed(failure) if is_iteration => (EventKind::IterationFailed, json!(failure.error)),
        End::Failed(failure) => (EventKind::StepFailed, json!(failure.error)),
        End::Cancelled(cancelled) => (EventKind::StepCancelled, json!(cancelled)),
    }
}

fn decided(decision: &Decision) -> Option<(EventKind, Option<Timestamp>, Value)> {
    let kind = match decision {
        Decision::Enter(Some(_)) => EventKind::StepSkipped,
        Decision::Branch(_) => EventKind::BranchChosen,
        Decision::Transition(_) => EventKind::RouteMoved,
        Decision::Items(_) => EventKind::LoopItems,
        Decision::Attempt(Attempt::Failed { .. }) => EventKind::StepRetrying,
        Decision::Resolved(_) => EventKind::StateConflict,
        Decision::Answer(Some(_)) => EventKind::HookAnswered,
        Decision::Awaits(awaited) if awaited.signal.is_some() => EventKind::SignalAwaited,
        Decision::Awaits(_) => EventKind::StepWaiting,
        Decision::Received(Received::Signal(_)) => EventKind::SignalReceived,
        _ => return None,
    };
    let at = match decision {
        Decision::Awaits(awaited) => Some(awaited.since),
        _ => None,
    };
    Some((kind, at, json!(decision)))
}
