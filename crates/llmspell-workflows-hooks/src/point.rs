//! The points at which hooks are called. Each point is a type that determines the type of its answers.

use std::fmt;

use serde::Serialize;

use crate::answer::{
    After, AfterIteration, Answer, Before, BeforeBlock, Observe, OnBranch, OnCondition, OnConflict, OnError, OnItems,
    OnRetry, OnRunError, OnSkip, OnTransition, OnWrite, Permit,
};

/// A point in a run, as a type. A hook whose answer type does not fit the point does not compile.
///
/// A host can define its own points: types with a name and an answer type. It fires them with
/// [`HookDispatcher::fire`](crate::HookDispatcher::fire).
///
/// ```
/// use llmspell_workflows_hooks::{HookPoint, Point, answer::Permit};
///
/// /// Before an order is sent.
/// struct BeforeOrder;
///
/// impl Point for BeforeOrder {
///     type Answer = Permit;
///     const POINT: HookPoint = HookPoint::Custom("before_order");
/// }
/// ```
pub trait Point: Send + Sync + 'static {
    /// The answers that a hook at this point can give.
    type Answer: Answer;
    /// The point as data.
    const POINT: HookPoint;
}

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal $text:literal -> $answer:ty;)+) => {
        /// A point in a run, as data.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum HookPoint {
            $($(#[doc = $doc])+ $name,)+
            /// A host-defined point with this name.
            Custom(&'static str),
        }

        impl HookPoint {
            /// All points except host-defined ones.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the stable name of the point.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Custom(name) => name,
                }
            }

            /// Returns the point's bit number in a set of points; `None` for a host-defined point.
            pub(crate) fn number(self) -> Option<u64> {
                match self {
                    $(Self::$name => Some($number),)+
                    Self::Custom(_) => None,
                }
            }
        }

        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Point for $name {
                type Answer = $answer;
                const POINT: HookPoint = HookPoint::$name;
            }
        )+
    };
}

points! {
    /// Before the root step, when the run starts or resumes.
    BeforeWorkflowStart = 1 "before_workflow_start" -> BeforeBlock;
    /// The root step has completed.
    AfterWorkflowComplete = 2 "after_workflow_complete" -> After;
    /// The root step has failed.
    WorkflowError = 3 "workflow_error" -> OnRunError;
    /// The run was cancelled on request.
    WorkflowCancelled = 4 "workflow_cancelled" -> Observe;
    /// Before a step directly below the root starts.
    BeforeWorkflowStage = 5 "before_workflow_stage" -> Before;
    /// A step directly below the root has completed.
    AfterWorkflowStage = 6 "after_workflow_stage" -> After;
    /// A route moves from one step to another.
    WorkflowStageTransition = 7 "workflow_stage_transition" -> OnTransition;
    /// Before a step of the definition starts.
    BeforeStep = 10 "before_step" -> Before;
    /// A step has completed.
    AfterStep = 11 "after_step" -> After;
    /// A step has failed on its last attempt.
    StepError = 12 "step_error" -> OnError;
    /// An attempt of a step has failed, and another is due.
    StepRetry = 13 "step_retry" -> OnRetry;
    /// A step is about to be skipped because its condition is false or a step it depends on has
    /// failed.
    StepSkip = 14 "step_skip" -> OnSkip;
    /// A conditional or a switch has chosen a branch.
    BranchDecision = 20 "branch_decision" -> OnBranch;
    /// Before a loop starts.
    LoopStart = 21 "loop_start" -> BeforeBlock;
    /// A loop has determined its items.
    LoopItems = 22 "loop_items" -> OnItems;
    /// A loop has tested whether to continue.
    LoopCondition = 23 "loop_condition" -> OnCondition;
    /// Before an iteration starts.
    IterationStart = 24 "iteration_start" -> BeforeBlock;
    /// An iteration has completed.
    IterationEnd = 25 "iteration_end" -> AfterIteration;
    /// A loop has completed.
    LoopEnd = 26 "loop_end" -> After;
    /// Before the branches of a parallel block start.
    ParallelFork = 30 "parallel_fork" -> BeforeBlock;
    /// Before a branch of a parallel block starts.
    BranchStart = 31 "branch_start" -> BeforeBlock;
    /// A branch of a parallel block has completed.
    BranchEnd = 32 "branch_end" -> After;
    /// A parallel block has completed.
    ParallelJoin = 33 "parallel_join" -> After;
    /// Branches set the same part of the state to different values, and one was chosen.
    StateConflict = 34 "state_conflict" -> OnConflict;
    /// A leaf is about to change the run's state.
    BeforeStateWrite = 35 "before_state_write" -> OnWrite;
    /// Before a tool is called.
    BeforeToolExecution = 40 "before_tool_execution" -> Before;
    /// A tool has returned its result.
    AfterToolExecution = 41 "after_tool_execution" -> After;
    /// A tool has failed.
    ToolError = 42 "tool_error" -> OnError;
    /// Before an agent is called.
    BeforeAgentExecution = 45 "before_agent_execution" -> Before;
    /// An agent has returned its result.
    AfterAgentExecution = 46 "after_agent_execution" -> After;
    /// An agent has failed.
    AgentError = 47 "agent_error" -> OnError;
    /// Before a checkpoint is created; fired by the executor.
    WorkflowCheckpoint = 60 "workflow_checkpoint" -> Permit;
    /// Before a run is rolled back to a checkpoint; fired by the executor.
    WorkflowRollback = 61 "workflow_rollback" -> Permit;
    /// Before a run is paused; fired by the executor.
    WorkflowPause = 62 "workflow_pause" -> Permit;
    /// Before a paused or interrupted run resumes; fired by the executor.
    WorkflowResume = 63 "workflow_resume" -> Permit;
    /// Before the state of a run is migrated to a different version of its definition; fired by the executor.
    StateMigration = 68 "state_migration" -> Permit;
    /// A step starts waiting for a signal.
    SignalWait = 64 "signal_wait" -> Observe;
    /// A signal that a step waits for has arrived; a refused signal is treated as if it had never arrived.
    SignalReceived = 65 "signal_received" -> Permit;
    /// Before a step is undone; if a hook forbids this, the run is stuck until the step is resolved manually.
    CompensationStart = 66 "compensation_start" -> Permit;
    /// A step was undone, or undoing it failed.
    CompensationEnd = 67 "compensation_end" -> Observe;
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for HookPoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn point_numbers_and_names_are_unique() {
        let numbers: HashSet<_> = HookPoint::ALL.iter().map(|point| point.number()).collect();
        assert!(numbers.iter().flatten().all(|number| *number < 128), "a set of points fits in a u128");
        let names: HashSet<_> = HookPoint::ALL.iter().map(|point| point.as_str()).collect();
        assert_eq!((numbers.len(), names.len()), (HookPoint::ALL.len(), HookPoint::ALL.len()));
    }
}
