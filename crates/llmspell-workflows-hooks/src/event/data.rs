use std::time::Duration;

use llmspell_workflows_basic::{
    StepError,
    engine::{Asker, Decision, SkipReason, StuckStep, Wait, Warning},
};
use serde::Serialize;
use serde_json::Value;

/// The data of an event in addition to its kind and path.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventData {
    /// No further data.
    None,
    /// A run that starts or resumes.
    Workflow {
        /// The name of the workflow.
        name: String,
        /// The version of the workflow's definition.
        version: String,
    },
    /// A run or a step that completed or was cancelled.
    Ended {
        /// How long the run or the step took in this process.
        duration: Duration,
    },
    /// A run, a step or an attempt that failed.
    Failed {
        /// The error.
        error: Box<StepError>,
        /// How long the run or the step took in this process; in `step.retrying`, the delay until the next attempt.
        duration: Duration,
    },
    /// A step or a run that was skipped.
    Skipped(SkipReason),
    /// A run or a step that waits.
    Waiting(Wait),
    /// The steps of a stuck run that have to be resolved manually.
    Stuck(Vec<StuckStep>),
    /// A request that concerns the run as a whole.
    Asked {
        /// The requested action: `cancel`, `cancel_and_compensate` or `pause`.
        request: String,
        /// Who made the request, and why.
        by: Asker,
    },
    /// A decision.
    Chosen(Decision),
    /// A block whose branches or iterations have all ended.
    Joined(JoinSummary),
    /// The parts of the state that a step set.
    Changed(Vec<String>),
    /// A warning.
    Warning(Warning),
    /// A hook that failed.
    Hook {
        /// The name of the hook.
        hook: String,
        /// The point at which the hook was called.
        point: String,
        /// The error code of the failure.
        code: String,
    },
    /// Data defined by the host.
    Custom(Value),
}

/// How the branches of a parallel block or the iterations of a loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct JoinSummary {
    /// The number of branches or iterations that started.
    pub begun: usize,
    /// The number of branches or iterations that completed.
    pub completed: usize,
    /// The number of branches or iterations that failed, whether or not the failure was handled.
    pub failed: usize,
    /// The number of branches or iterations that were skipped.
    pub skipped: usize,
    /// The number of branches or iterations that were cancelled.
    pub cancelled: usize,
    /// How long the block took in this process.
    pub duration: Duration,
}
