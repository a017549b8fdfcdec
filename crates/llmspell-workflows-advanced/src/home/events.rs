//! Builds the events of a run from its journal.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::engine::{Attempt, Decision, Received, StuckStep, Wait, Warning};
use llmspell_workflows_hooks::event::{EventData, EventKind};
use llmspell_workflows_state::{End, Record, Request, Resumption, Started, Suspension};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::{Home, KnownRun};
use crate::ExecutorError;

/// An event of a run, built from the run's journal. Events are therefore complete even if there was no subscriber.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkflowEvent {
    /// The number of the event's record, counted from 0.
    pub sequence: u64,
    /// The number of the event within that record, counted from 0. For example, the first record of
    /// a step can also start the blocks that enclose the step.
    pub part: u32,
    /// The kind of event.
    #[serde(rename = "type", serialize_with = "as_text")]
    pub kind: EventKind,
    /// The path of the step; empty if the event concerns the run as a whole.
    pub path: String,
    /// When the event happened.
    pub timestamp: Timestamp,
    /// Details, which depend on the kind.
    pub data: EventData,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde expects")]
fn as_text<S: Serializer>(kind: &EventKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

impl dyn Home {
    /// Returns the events of a run in order, built from the run's journal.
    ///
    /// # Errors
    /// Returns an error if the journal cannot be read or the run no longer exists.
    pub async fn events(&self, run: &KnownRun) -> Result<Vec<WorkflowEvent>, ExecutorError> {
        Ok(events(&self.records(run).await?))
    }
}

/// Returns the events in `records`, the records of one run, in order.
pub(crate) fn events(records: &[Record]) -> Vec<WorkflowEvent> {
    let mut builder = EventBuilder::default();
    records.iter().flat_map(|record| builder.events_of(record)).collect()
}

/// Builds the events of a run from its records, one record at a time.
#[derive(Debug, Default)]
pub(crate) struct EventBuilder {
    /// The number of the next record.
    sequence: u64,
    started: Option<Started>,
    /// The steps that have started but not ended.
    open: HashMap<String, OpenStep>,
}

#[derive(Debug)]
struct OpenStep {
    time_us: u64,
    is_block: bool,
}

/// One event of a record: the kind, the path of the step, and the details.
type EventParts = (EventKind, String, EventData);

impl EventBuilder {
    /// Returns the events of the next record.
    pub(crate) fn events_of(&mut self, record: &Record) -> Vec<WorkflowEvent> {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut events = Vec::new();
        self.translate(record, &mut events);
        let started_at = self.started.as_ref().map_or(Timestamp::UNIX_EPOCH, |started| started.at);
        let timestamp = record.time(started_at);
        let event = |(part, (kind, path, data))| WorkflowEvent { sequence, part, kind, path, timestamp, data };
        (0..).zip(events).map(event).collect()
    }

    /// Returns the run-level events of the next record.
    pub(crate) fn run_events_of(&mut self, record: &Record) -> Vec<WorkflowEvent> {
        match record {
            Record::Began { .. } | Record::Stopped { .. } | Record::Decided { .. } | Record::Ended { .. } => {
                self.sequence += 1;
                Vec::new()
            }
            Record::Started(_)
            | Record::Stuck { .. }
            | Record::Warned { .. }
            | Record::Asked { .. }
            | Record::Suspended { .. }
            | Record::Resumed { .. }
            | Record::Rewound(_)
            | Record::Redefined(_)
            | Record::Closed { .. } => {
                let mut events = self.events_of(record);
                events.retain(|event| event.path.is_empty());
                events
            }
        }
    }

    fn translate(&mut self, record: &Record, events: &mut Vec<EventParts>) {
        let of_run = |kind, data| (kind, String::new(), data);
        match record {
            Record::Started(started) => {
                self.started = Some((**started).clone());
                events.push(of_run(EventKind::RunStarted, self.workflow()));
            }
            Record::Began { path, time_us } => {
                self.begin(path, *time_us, events);
            }
            Record::Stopped { path, .. } => events.push((EventKind::StepWaiting, path.clone(), EventData::None)),
            Record::Stuck { path, error, time_us } => {
                let stuck = || EventData::Stuck(vec![StuckStep::new(path, (**error).clone())]);
                // This event comes first so that its `part` is the same with and without step events.
                events.push(of_run(EventKind::RunStuck, stuck()));
                self.begin(path, *time_us, events);
                events.push((EventKind::StepStuck, path.clone(), stuck()));
            }
            Record::Decided { path, decision, time_us, .. } => self.decided(path, decision, *time_us, events),
            // The end of the root step is not an event; the run's end becomes an event when the run is closed.
            Record::Ended { path, .. } if is_root(path) => {}
            Record::Ended { path, end, time_us } => self.ended(path, end, *time_us, events),
            Record::Warned { path, code, message, .. } => {
                let (code, path, message) = (code.clone(), path.clone(), message.clone());
                events.push(of_run(EventKind::RunWarned, EventData::Warning(Warning { code, path, message })));
            }
            Record::Asked { request, by, .. } => {
                let request = match request {
                    Request::Cancel => "cancel",
                    Request::CancelAndCompensate => "cancel_and_compensate",
                    Request::Pause => "pause",
                };
                let data = EventData::Asked { request: request.to_owned(), by: by.clone() };
                events.push(of_run(EventKind::RunAsked, data));
            }
            Record::Suspended { why: Suspension::Waiting { wake_at }, .. } => {
                let wait = Wait { wake_at: *wake_at, inbox_after: None };
                events.push(of_run(EventKind::RunWaiting, EventData::Waiting(wait)));
            }
            // Each stuck step has its own event.
            Record::Suspended { why: Suspension::Stuck, .. } => {}
            Record::Suspended { why: Suspension::Paused | Suspension::ShutDown, .. } => {
                events.push(of_run(EventKind::RunPaused, EventData::None));
            }
            Record::Resumed { why, .. } => {
                let kind = match why {
                    Resumption::Resumed => EventKind::RunResumed,
                    Resumption::Woken => EventKind::RunWoken,
                    Resumption::Retried => EventKind::RunRetried,
                    Resumption::Forked => EventKind::RunForked,
                };
                events.push(of_run(kind, self.workflow()));
            }
            Record::Rewound(_) => events.push(of_run(EventKind::RunRewound, EventData::None)),
            Record::Redefined(redefined) => {
                let (definition, version) = (&redefined.definition, &redefined.version);
                let data =
                    json!({"definition": definition, "version": version, "migrated": redefined.migrated.is_some()});
                events.push(of_run(EventKind::RunRedefined, EventData::Custom(data)));
            }
            Record::Closed { end, time_us, compensated } => {
                let kind = match end {
                    _ if *compensated => EventKind::RunCompensated,
                    End::Completed { .. } => EventKind::RunCompleted,
                    End::Skipped(_) => EventKind::RunSkipped,
                    End::Failed(_) => EventKind::RunFailed,
                    End::Cancelled(_) => EventKind::RunCancelled,
                };
                events.push(of_run(kind, end_data(end, Duration::from_micros(*time_us))));
            }
        }
    }

    fn workflow(&self) -> EventData {
        let (name, version) = self
            .started
            .as_ref()
            .map(|started| (started.workflow.clone(), started.version.clone()))
            .unwrap_or_default();
        EventData::Workflow { name, version }
    }

    /// Starts the step at `path` and the blocks that enclose it, unless they have already started.
    fn begin(&mut self, path: &str, time_us: u64, events: &mut Vec<EventParts>) {
        self.begin_around(path, time_us, events);
        self.begin_one(path, false, time_us, events);
    }

    fn begin_around(&mut self, path: &str, time_us: u64, events: &mut Vec<EventParts>) {
        for (end, _) in path.match_indices('/').skip(1) {
            self.begin_one(&path[..end], true, time_us, events);
        }
        if let Some(around) = around_iteration(path) {
            self.begin_one(&around, true, time_us, events);
        }
    }

    fn begin_one(&mut self, path: &str, is_block: bool, time_us: u64, events: &mut Vec<EventParts>) {
        if let Some(step) = self.open.get_mut(path) {
            step.is_block |= is_block;
            return;
        }
        if is_root(path) {
            return;
        }
        if let Some(around) = around_iteration(path) {
            self.begin_one(&around, true, time_us, events);
        }
        self.open.insert(path.to_owned(), OpenStep { time_us, is_block });
        let kind = if is_iteration(path) { EventKind::IterationStarted } else { EventKind::StepStarted };
        events.push((kind, path.to_owned(), EventData::None));
    }

    fn ended(&mut self, path: &str, end: &End, time_us: u64, events: &mut Vec<EventParts>) {
        self.begin(path, time_us, events);
        let Some(OpenStep { time_us: began, is_block }) = self.open.remove(path) else { return };
        if let End::Completed { changes, .. } = end
            && !(changes.is_empty() || is_block)
        {
            let parts = changes.iter().map(|change| change.path.to_string()).collect();
            events.push((EventKind::StateChanged, path.to_owned(), EventData::Changed(parts)));
        }
        let kind = match end {
            End::Completed { .. } if is_iteration(path) => EventKind::IterationCompleted,
            End::Completed { .. } => EventKind::StepCompleted,
            End::Skipped(_) => EventKind::StepSkipped,
            End::Failed(_) if is_iteration(path) => EventKind::IterationFailed,
            End::Failed(_) => EventKind::StepFailed,
            End::Cancelled(_) => EventKind::StepCancelled,
        };
        events.push((kind, path.to_owned(), end_data(end, Duration::from_micros(time_us.saturating_sub(began)))));
    }

    fn decided(&mut self, path: &str, decision: &Decision, time_us: u64, events: &mut Vec<EventParts>) {
        // A part of a fork is not a separate step.
        if let Decision::Enter(_) | Decision::ForkPart(_) = decision {
            self.begin_around(path, time_us, events);
            if let Decision::Enter(Some(reason)) = decision {
                events.push((EventKind::StepSkipped, path.to_owned(), EventData::Skipped(reason.clone())));
            }
            return;
        }
        self.begin(path, time_us, events);
        let kind = match decision {
            Decision::Attempt(_, Attempt::Failed { error, wake_at }) => {
                let now = self
                    .started
                    .as_ref()
                    .and_then(|started| started.at.checked_add(Duration::from_micros(time_us)).ok());
                let duration = now.and_then(|now| Duration::try_from(wake_at.duration_since(now)).ok());
                let data = EventData::Failed { error: error.clone(), duration: duration.unwrap_or_default() };
                events.push((EventKind::StepRetrying, path.to_owned(), data));
                return;
            }
            Decision::Branch(_) => EventKind::BranchChosen,
            Decision::Transition(..) => EventKind::RouteMoved,
            Decision::Items(_) => EventKind::LoopItems,
            Decision::Resolved(..) => EventKind::StateConflict,
            Decision::HookAnswer(..) | Decision::HookAnswerTo(..) | Decision::HookAnswerToSignal(..) => {
                EventKind::HookAnswered
            }
            Decision::Awaits(_, awaited) if awaited.signal.is_some() => EventKind::SignalAwaited,
            Decision::Awaits(..) => EventKind::StepWaiting,
            Decision::Received(_, Received::Signal(_)) => EventKind::SignalReceived,
            Decision::Enter(_)
            | Decision::While(..)
            | Decision::Until(..)
            | Decision::RetryGeneration(..)
            | Decision::RouteGeneration(..)
            | Decision::HookGeneration(..)
            | Decision::EndedNth(..)
            | Decision::FirstFailed(_)
            | Decision::Attempt(_, Attempt::GivenUp)
            | Decision::TotalDeadline(_)
            | Decision::AttemptDeadline(..)
            | Decision::LastBegin(_)
            | Decision::Received(_, Received::TimedOut | Received::Refused)
            | Decision::StartedAt(_)
            | Decision::Now(..)
            | Decision::Random(..)
            | Decision::Input(_)
            | Decision::Child(..)
            | Decision::Compensable(_)
            | Decision::ForkPart(_) => return,
        };
        events.push((kind, path.to_owned(), EventData::Chosen(decision.clone())));
    }
}

/// Returns the event details for the end of a step or a run.
fn end_data(end: &End, duration: Duration) -> EventData {
    match end {
        End::Completed { .. } | End::Cancelled(_) => EventData::Ended { duration },
        End::Skipped(reason) => EventData::Skipped(reason.clone()),
        End::Failed(failure) => EventData::Failed { error: failure.error.clone(), duration },
    }
}

fn is_root(path: &str) -> bool {
    !path.strip_prefix('/').unwrap_or(path).contains(['/', '['])
}

fn is_iteration(path: &str) -> bool {
    path.rfind('/').is_some_and(|last| path[last..].contains('['))
}

/// Returns the path of the loop that contains the iteration at `path`; `None` if `path` is not the path of an
/// iteration.
fn around_iteration(path: &str) -> Option<String> {
    let last = path.rfind('/')?;
    let open = last + path[last..].find('[')?;
    let close = open + path[open..].find(']')?;
    Some(format!("{}{}", &path[..open], &path[close + 1..]))
}
