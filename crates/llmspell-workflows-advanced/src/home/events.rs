//! What has happened to a run, out of its journal.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::engine::{Attempt, Decision, Received, StuckStep, Wait, Warning};
use llmspell_workflows_hooks::event::{EventData, EventKind};
use llmspell_workflows_state::{End, Record, Request, Resumption, Started, Suspension};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::{Home, KnownRun};
use crate::ExecutorError;

/// Something that has happened to a run, as its journal has it: nothing is missing, whoever listened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkflowEvent {
    /// Which record of the run it stems from, from 0.
    pub sequence: u64,
    /// Which event of that record it is, from 0: the first record of a step also begins the blocks around it.
    pub part: u32,
    /// What has happened.
    #[serde(rename = "type", serialize_with = "as_text")]
    pub kind: EventKind,
    /// Where in the run; empty: to the run as a whole.
    pub path: String,
    /// When.
    pub timestamp: Timestamp,
    /// What more there is to say.
    pub data: EventData,
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
    let mut narrator = Narrator::default();
    records.iter().flat_map(|record| narrator.tell(record)).collect()
}

/// Makes events of the records of a run, one record after the other.
#[derive(Debug, Default)]
pub(crate) struct Narrator {
    /// The number of the next record.
    sequence: u64,
    started: Option<Started>,
    /// The steps that have begun and not ended.
    begun: HashMap<String, Begun>,
}

#[derive(Debug)]
struct Begun {
    time_us: u64,
    is_block: bool,
}

/// One event of a record: what has happened, to which step, and what more there is to say.
type Told = (EventKind, String, EventData);

impl Narrator {
    /// The events that stem from the next record.
    pub(crate) fn tell(&mut self, record: &Record) -> Vec<WorkflowEvent> {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut told = Vec::new();
        self.take_in(record, &mut told);
        let started_at = self.started.as_ref().map_or(Timestamp::UNIX_EPOCH, |started| started.at);
        let timestamp = record.time(started_at);
        let event = |(part, (kind, path, data))| WorkflowEvent { sequence, part, kind, path, timestamp, data };
        (0..).zip(told).map(event).collect()
    }

    /// The same for those who are told of the run as a whole alone.
    pub(crate) fn tell_of_run(&mut self, record: &Record) -> Vec<WorkflowEvent> {
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
                let mut told = self.tell(record);
                told.retain(|event| event.path.is_empty());
                told
            }
        }
    }

    fn take_in(&mut self, record: &Record, told: &mut Vec<Told>) {
        let of_run = |kind, data| (kind, String::new(), data);
        match record {
            Record::Started(started) => {
                self.started = Some((**started).clone());
                told.push(of_run(EventKind::RunStarted, self.workflow()));
            }
            Record::Began { path, time_us } => {
                self.begin(path, *time_us, told);
            }
            Record::Stopped { path, .. } => told.push((EventKind::StepWaiting, path.clone(), EventData::None)),
            Record::Stuck { path, error, time_us } => {
                let stuck = || EventData::Stuck(vec![StuckStep::new(path, (**error).clone())]);
                // First, so that its part does not depend on who follows the steps.
                told.push(of_run(EventKind::RunStuck, stuck()));
                self.begin(path, *time_us, told);
                told.push((EventKind::StepStuck, path.clone(), stuck()));
            }
            Record::Decided { path, decision, time_us } => self.decided(path, decision, *time_us, told),
            // How the run as a whole ended is told when that is closed.
            Record::Ended { path, .. } if is_root(path) => {}
            Record::Ended { path, end, time_us } => self.ended(path, end, *time_us, told),
            Record::Warned { path, code, message, .. } => {
                let (code, path, message) = (code.clone(), path.clone(), message.clone());
                told.push(of_run(EventKind::RunWarned, EventData::Warning(Warning { code, path, message })));
            }
            Record::Asked { request, by, .. } => {
                let request = match request {
                    Request::Cancel => "cancel",
                    Request::CancelAndCompensate => "cancel_and_compensate",
                    Request::Pause => "pause",
                };
                let data = EventData::Asked { request: request.to_owned(), by: by.clone() };
                told.push(of_run(EventKind::RunAsked, data));
            }
            Record::Suspended { why: Suspension::Waiting { wake_at }, .. } => {
                let wait = Wait { wake_at: *wake_at, inbox_after: None };
                told.push(of_run(EventKind::RunWaiting, EventData::Waiting(wait)));
            }
            Record::Suspended { why: Suspension::Paused | Suspension::ShutDown, .. } => {
                told.push(of_run(EventKind::RunPaused, EventData::None));
            }
            Record::Resumed { why, .. } => {
                let kind = match why {
                    Resumption::Resumed => EventKind::RunResumed,
                    Resumption::Woken => EventKind::RunWoken,
                    Resumption::Retried => EventKind::RunRetried,
                    Resumption::Forked => EventKind::RunForked,
                };
                told.push(of_run(kind, self.workflow()));
            }
            Record::Rewound(_) => told.push(of_run(EventKind::RunRewound, EventData::None)),
            Record::Redefined(redefined) => {
                let (definition, version) = (&redefined.definition, &redefined.version);
                let data =
                    json!({"definition": definition, "version": version, "migrated": redefined.migrated.is_some()});
                told.push(of_run(EventKind::RunRedefined, EventData::Custom(data)));
            }
            Record::Closed { end, time_us, compensated } => {
                let kind = match end {
                    _ if *compensated => EventKind::RunCompensated,
                    End::Completed { .. } => EventKind::RunCompleted,
                    End::Skipped(_) => EventKind::RunSkipped,
                    End::Failed(_) => EventKind::RunFailed,
                    End::Cancelled(_) => EventKind::RunCancelled,
                };
                told.push(of_run(kind, said(end, Duration::from_micros(*time_us))));
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

    /// The step at `path` has begun by then, and so have the blocks around it.
    fn begin(&mut self, path: &str, time_us: u64, told: &mut Vec<Told>) {
        self.begin_around(path, time_us, told);
        self.begin_one(path, false, time_us, told);
    }

    fn begin_around(&mut self, path: &str, time_us: u64, told: &mut Vec<Told>) {
        for (end, _) in path.match_indices('/').skip(1) {
            self.begin_one(&path[..end], true, time_us, told);
        }
        if let Some(around) = around_iteration(path) {
            self.begin_one(&around, true, time_us, told);
        }
    }

    fn begin_one(&mut self, path: &str, is_block: bool, time_us: u64, told: &mut Vec<Told>) {
        if let Some(begun) = self.begun.get_mut(path) {
            begun.is_block |= is_block;
            return;
        }
        if is_root(path) {
            return;
        }
        if let Some(around) = around_iteration(path) {
            self.begin_one(&around, true, time_us, told);
        }
        self.begun.insert(path.to_owned(), Begun { time_us, is_block });
        let kind = if is_iteration(path) { EventKind::IterationStarted } else { EventKind::StepStarted };
        told.push((kind, path.to_owned(), EventData::None));
    }

    fn ended(&mut self, path: &str, end: &End, time_us: u64, told: &mut Vec<Told>) {
        self.begin(path, time_us, told);
        let Some(Begun { time_us: began, is_block }) = self.begun.remove(path) else { return };
        if let End::Completed { changes, .. } = end
            && !(changes.is_empty() || is_block)
        {
            let parts = changes.iter().map(|change| change.path.to_string()).collect();
            told.push((EventKind::StateChanged, path.to_owned(), EventData::Changed(parts)));
        }
        let kind = match end {
            End::Completed { .. } if is_iteration(path) => EventKind::IterationCompleted,
            End::Completed { .. } => EventKind::StepCompleted,
            End::Skipped(_) => EventKind::StepSkipped,
            End::Failed(_) if is_iteration(path) => EventKind::IterationFailed,
            End::Failed(_) => EventKind::StepFailed,
            End::Cancelled(_) => EventKind::StepCancelled,
        };
        told.push((kind, path.to_owned(), said(end, Duration::from_micros(time_us.saturating_sub(began)))));
    }

    fn decided(&mut self, path: &str, decision: &Decision, time_us: u64, told: &mut Vec<Told>) {
        // A part of a fork is no step of its own.
        if let Decision::Enter(_) | Decision::ForkPart(_) = decision {
            self.begin_around(path, time_us, told);
            if let Decision::Enter(Some(reason)) = decision {
                told.push((EventKind::StepSkipped, path.to_owned(), EventData::Skipped(reason.clone())));
            }
            return;
        }
        self.begin(path, time_us, told);
        let kind = match decision {
            Decision::Attempt(_, Attempt::Failed { error, wake_at }) => {
                let now = self
                    .started
                    .as_ref()
                    .and_then(|started| started.at.checked_add(Duration::from_micros(time_us)).ok());
                let duration = now.and_then(|now| Duration::try_from(wake_at.duration_since(now)).ok());
                let data = EventData::Failed { error: error.clone(), duration: duration.unwrap_or_default() };
                told.push((EventKind::StepRetrying, path.to_owned(), data));
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
        told.push((kind, path.to_owned(), EventData::Chosen(decision.clone())));
    }
}

/// What there is to say of how something ended.
fn said(end: &End, duration: Duration) -> EventData {
    match end {
        End::Completed { .. } | End::Cancelled(_) => EventData::Ended { duration },
        End::Skipped(reason) => EventData::Skipped(reason.clone()),
        End::Failed(failure) => EventData::Failed { error: failure.error.clone(), duration },
    }
}

fn is_root(path: &str) -> bool {
    !path[1..].contains(['/', '['])
}

fn is_iteration(path: &str) -> bool {
    path.rfind('/').is_some_and(|last| path[last..].contains('['))
}

/// The loop of the iteration at `path`, if that is one: the same path without the number.
fn around_iteration(path: &str) -> Option<String> {
    let last = path.rfind('/')?;
    let (open, close) = (last + path[last..].find('[')?, last + path[last..].find(']')?);
    Some(format!("{}{}", &path[..open], &path[close + 1..]))
}
