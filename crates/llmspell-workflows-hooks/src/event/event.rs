use std::{fmt, sync::Arc};

use jiff::Timestamp;
use llmspell_workflows_basic::PathLink;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use uuid::Uuid;

use super::EventData;

/// The version of the event schema.
const SCHEMA_VERSION: u32 = 2;

/// An event in a run.
#[derive(Debug, Clone)]
pub struct Event {
    /// The number of the record from which the event was built, or the event's own number in a run
    /// without a journal. `None` if the event has no record and therefore cannot be read later.
    pub sequence: Option<u64>,
    /// The number of the event within its record, from 0.
    pub part: u32,
    /// The number of the event on the bus; later events have higher numbers.
    pub order: u64,
    /// The kind of event.
    pub kind: EventKind,
    /// The run.
    pub run_id: Uuid,
    /// The correlation id of the run, if one was set.
    pub correlation_id: Option<Arc<str>>,
    /// The path of the step; `None` if the event concerns the run as a whole.
    pub path: Option<PathLink>,
    /// When the event happened, by the clock of the run.
    pub timestamp: Timestamp,
    /// Further data.
    pub data: EventData,
}

impl Event {
    /// Returns the id: the run id, the record number, and any part number above 0.
    ///
    /// Every reader sees the same id.
    #[must_use]
    pub fn id(&self) -> String {
        match (self.sequence, self.part) {
            (Some(sequence), 0) => format!("{}#{sequence}", self.run_id),
            (Some(sequence), part) => format!("{}#{sequence}.{part}", self.run_id),
            (None, _) => format!("{}~{}", self.run_id, self.order),
        }
    }

    /// Returns the path of the step; empty if the event concerns the run as a whole.
    #[must_use]
    pub fn subject(&self) -> String {
        self.path.as_ref().map(PathLink::to_string).unwrap_or_default()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut event = serializer.serialize_struct("Event", 10)?;
        event.serialize_field("id", &self.id())?;
        event.serialize_field("schema_version", &SCHEMA_VERSION)?;
        event.serialize_field("sequence", &self.sequence)?;
        event.serialize_field("part", &self.part)?;
        event.serialize_field("type", self.kind.as_str())?;
        event.serialize_field("run_id", &self.run_id)?;
        event.serialize_field("correlation_id", &self.correlation_id.as_deref())?;
        event.serialize_field("path", &self.subject())?;
        event.serialize_field("timestamp", &self.timestamp)?;
        event.serialize_field("data", &self.data)?;
        event.end()
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// The kind of an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl EventKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the stable name of the kind.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// A run starts; without an executor, also published when a run resumes in this process.
    RunStarted = "run.started";
    /// A run completed.
    RunCompleted = "run.completed";
    /// A run failed.
    RunFailed = "run.failed";
    /// A run was cancelled.
    RunCancelled = "run.cancelled";
    /// A run failed or was cancelled, and its effects have been undone.
    RunCompensated = "run.compensated";
    /// A step of a run has to be resolved manually.
    RunStuck = "run.stuck";
    /// A run was skipped because its trigger was false.
    RunSkipped = "run.skipped";
    /// All live branches of a run are waiting.
    RunWaiting = "run.waiting";
    /// A run has a warning.
    RunWarned = "run.warned";
    /// A paused or interrupted run resumes; published by the executor.
    RunResumed = "run.resumed";
    /// A waiting run continues; published by the executor.
    RunWoken = "run.woken";
    /// A failed run is retried from an earlier point; published by the executor.
    RunRetried = "run.retried";
    /// A run that was forked from another run starts.
    RunForked = "run.forked";
    /// Someone asked to cancel or pause a run.
    RunAsked = "run.asked";
    /// A run continues from an earlier point: some of its steps run again.
    RunRewound = "run.rewound";
    /// A run continues under a different definition; published by the executor.
    RunRedefined = "run.redefined";
    /// A run was paused, or its process is shutting down; published by the executor.
    RunPaused = "run.paused";
    /// A checkpoint of a run was created.
    RunCheckpointed = "run.checkpointed";
    /// A run was rolled back to a checkpoint.
    RunRolledBack = "run.rolled_back";
    /// A step starts.
    StepStarted = "step.started";
    /// A step completed.
    StepCompleted = "step.completed";
    /// A step failed on its last attempt.
    StepFailed = "step.failed";
    /// A step was skipped.
    StepSkipped = "step.skipped";
    /// A step was cancelled.
    StepCancelled = "step.cancelled";
    /// A step waits for a time or a signal.
    StepWaiting = "step.waiting";
    /// A step has to be resolved manually.
    StepStuck = "step.stuck";
    /// An attempt of a step failed and another is due.
    StepRetrying = "step.retrying";
    /// An iteration of a loop starts.
    IterationStarted = "iteration.started";
    /// An iteration of a loop completed.
    IterationCompleted = "iteration.completed";
    /// An iteration of a loop failed.
    IterationFailed = "iteration.failed";
    /// A conditional or a switch has chosen a branch.
    BranchChosen = "branch.chosen";
    /// A route moves to its next step.
    RouteMoved = "route.moved";
    /// A loop has determined its items.
    LoopItems = "loop.items";
    /// The branches of a parallel block or the iterations of a loop have all ended.
    BlockJoined = "block.joined";
    /// A step changed the state.
    StateChanged = "state.changed";
    /// Branches set the same part of the state to different values, and one was chosen.
    StateConflict = "state.conflict";
    /// A step starts waiting for a signal.
    SignalAwaited = "signal.awaited";
    /// A signal that a step waited for has arrived.
    SignalReceived = "signal.received";
    /// A hook changed the course of the run.
    HookAnswered = "hook.answered";
    /// A hook failed.
    HookTroubled = "hook.troubled";
    /// An event defined by the host.
    Custom = "custom";
}

impl EventKind {
    /// Returns the bit of the kind in a set of kinds.
    pub(crate) fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
