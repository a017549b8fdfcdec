use std::time::Duration;

use llmspell_workflows_basic::{
    StepError,
    engine::{Asker, Decision, SkipReason, StuckStep, Wait, Warning},
};
use serde::Serialize;
use serde_json::Value;

/// What an event says beside its kind and its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventData {
    /// Nothing more.
    None,
    /// Of a run that begins or goes on.
    Workflow {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// Of what has completed or was cancelled.
    Ended {
        /// How long it took in this process.
        duration: Duration,
    },
    /// Of what has failed, or of an attempt that has.
    Failed {
        /// Why.
        error: Box<StepError>,
        /// How long it took in this process.
        duration: Duration,
    },
    /// Of what did not run.
    Skipped(SkipReason),
    /// Of what waits.
    Waiting(Wait),
    /// Of what is stuck: the steps that somebody has to say something of.
    Stuck(Vec<StuckStep>),
    /// Of a request that concerns the run as a whole.
    Asked {
        /// What for: `cancel`, `cancel_and_compensate` or `pause`.
        request: String,
        /// Who asked, and why.
        by: Asker,
    },
    /// Of a choice.
    Chosen(Decision),
    /// Of a block whose branches or iterations have come together.
    Joined(Joined),
    /// Of a step that changed the state: the parts that it set.
    Changed(Vec<String>),
    /// Of something odd.
    Warning(Warning),
    /// Of a hook in trouble.
    Hook {
        /// Its name.
        hook: String,
        /// The point at which it was called.
        point: String,
        /// The code of what went wrong.
        code: String,
    },
    /// What a host says.
    Custom(Value),
}

/// How the branches of a parallel block or the iterations of a loop have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Joined {
    /// How many have begun.
    pub begun: usize,
    /// How many did what they should.
    pub completed: usize,
    /// How many failed, dealt with or not.
    pub failed: usize,
    /// How many did not run.
    pub skipped: usize,
    /// How many were stopped.
    pub cancelled: usize,
    /// How long the block took in this process.
    pub duration: Duration,
}
