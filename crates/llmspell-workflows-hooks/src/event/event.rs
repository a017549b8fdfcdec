use std::{fmt, sync::Arc};

use jiff::Timestamp;
use llmspell_workflows_basic::PathLink;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use uuid::Uuid;

use super::EventData;

/// The version of the fields of an event.
const SCHEMA_VERSION: u32 = 2;

/// Something that has happened to a run.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its number in its run: that of the record that it stems from, or its place among the events of a run of which
    /// nothing is recorded. `None`: it stems from no record, and nobody can ask for it later.
    pub sequence: Option<u64>,
    /// Which event of its record it is, from 0.
    pub part: u32,
    /// Its place on the bus, which only rises.
    pub order: u64,
    /// What has happened.
    pub kind: EventKind,
    /// To which run.
    pub run_id: Uuid,
    /// What ties runs together, where something was said of that.
    pub correlation_id: Option<Arc<str>>,
    /// Where in the run; `None`: to the run as a whole.
    pub path: Option<PathLink>,
    /// When, as the run sees it.
    pub timestamp: Timestamp,
    /// What more there is to say.
    pub data: EventData,
}

impl Event {
    /// Its id, the same wherever it is seen: the run, the number, and the part where that is not the first.
    #[must_use]
    pub fn id(&self) -> String {
        match (self.sequence, self.part) {
            (Some(sequence), 0) => format!("{}#{sequence}", self.run_id),
            (Some(sequence), part) => format!("{}#{sequence}.{part}", self.run_id),
            (None, _) => format!("{}~{}", self.run_id, self.order),
        }
    }

    /// Where in the run; empty: the run as a whole.
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
        /// What has happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl EventKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name as programs and patterns read it.
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
    /// A run begins; without an executor, also that it goes on in this process.
    RunStarted = "run.started";
    /// A run did what it should.
    RunCompleted = "run.completed";
    /// A run failed.
    RunFailed = "run.failed";
    /// A run was stopped.
    RunCancelled = "run.cancelled";
    /// A run failed or was stopped, and has undone what it did.
    RunCompensated = "run.compensated";
    /// Somebody has to say what became of a step of a run, as its executor says.
    RunStuck = "run.stuck";
    /// A run's trigger was false.
    RunSkipped = "run.skipped";
    /// All live branches of a run wait.
    RunWaiting = "run.waiting";
    /// Something odd did not keep a run from going on.
    RunWarned = "run.warned";
    /// A run that was paused or interrupted goes on, as its executor says.
    RunResumed = "run.resumed";
    /// A run that waited goes on, as its executor says.
    RunWoken = "run.woken";
    /// A run that had failed goes on from an earlier point, as its executor says.
    RunRetried = "run.retried";
    /// A run that was made of another one begins.
    RunForked = "run.forked";
    /// Somebody asked for a run to be cancelled or paused.
    RunAsked = "run.asked";
    /// A run goes on from an earlier point: some of its steps happen again.
    RunRewound = "run.rewound";
    /// A run goes on under another definition, as its executor says.
    RunRedefined = "run.redefined";
    /// A run was paused, or its process goes down, as its executor says.
    RunPaused = "run.paused";
    /// A checkpoint of a run was made.
    RunCheckpointed = "run.checkpointed";
    /// A run goes back to a checkpoint.
    RunRolledBack = "run.rolled_back";
    /// A step begins.
    StepStarted = "step.started";
    /// A step did what it should.
    StepCompleted = "step.completed";
    /// A step failed, with all its attempts.
    StepFailed = "step.failed";
    /// A step did not run.
    StepSkipped = "step.skipped";
    /// A step was stopped.
    StepCancelled = "step.cancelled";
    /// A step waits for a time or a message.
    StepWaiting = "step.waiting";
    /// Somebody has to say what became of a step.
    StepStuck = "step.stuck";
    /// An attempt of a step failed and another is due.
    StepRetrying = "step.retrying";
    /// An iteration of a loop begins.
    IterationStarted = "iteration.started";
    /// An iteration of a loop did what it should.
    IterationCompleted = "iteration.completed";
    /// An iteration of a loop failed.
    IterationFailed = "iteration.failed";
    /// A conditional or a switch has chosen.
    BranchChosen = "branch.chosen";
    /// A route goes on.
    RouteMoved = "route.moved";
    /// A loop knows what it runs over.
    LoopItems = "loop.items";
    /// The branches of a parallel block or the iterations of a loop have come together.
    BlockJoined = "block.joined";
    /// A step changed the state.
    StateChanged = "state.changed";
    /// Branches set the same part of the state to different values, and one was chosen.
    StateConflict = "state.conflict";
    /// A step begins to wait for a signal.
    SignalAwaited = "signal.awaited";
    /// A signal has come that a step waited for.
    SignalReceived = "signal.received";
    /// A hook changed what happens.
    HookAnswered = "hook.answered";
    /// A hook failed.
    HookTroubled = "hook.troubled";
    /// What a host says.
    Custom = "custom";
}

impl EventKind {
    /// Its place in a set of kinds.
    pub(crate) fn bit(self) -> u64 {
        1 << (self as u8)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
