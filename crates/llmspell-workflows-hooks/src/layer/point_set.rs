use llmspell_workflows_basic::{
    engine::{Call, Role},
    model::Pattern,
};

use crate::{
    HookDispatcher, HookPoint,
    selector::{is_agent, is_tool},
};

/// The points before a step, a block or the run, after its completion, and after its failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct PointSet {
    pub(super) before: HookPoint,
    pub(super) after: HookPoint,
    pub(super) error: Option<HookPoint>,
}

const RUN: PointSet = PointSet {
    before: HookPoint::BeforeWorkflowStart,
    after: HookPoint::AfterWorkflowComplete,
    error: Some(HookPoint::WorkflowError),
};
const STAGE: PointSet =
    PointSet { before: HookPoint::BeforeWorkflowStage, after: HookPoint::AfterWorkflowStage, error: None };
const BRANCH: PointSet = PointSet { before: HookPoint::BranchStart, after: HookPoint::BranchEnd, error: None };
const ITERATION: PointSet = PointSet { before: HookPoint::IterationStart, after: HookPoint::IterationEnd, error: None };
const STEP: PointSet =
    PointSet { before: HookPoint::BeforeStep, after: HookPoint::AfterStep, error: Some(HookPoint::StepError) };
const LOOP: PointSet = PointSet { before: HookPoint::LoopStart, after: HookPoint::LoopEnd, error: None };
const PARALLEL: PointSet = PointSet { before: HookPoint::ParallelFork, after: HookPoint::ParallelJoin, error: None };
const UNDO: PointSet = PointSet {
    before: HookPoint::CompensationStart,
    after: HookPoint::CompensationEnd,
    error: Some(HookPoint::CompensationEnd),
};
const TOOL: PointSet = PointSet {
    before: HookPoint::BeforeToolExecution,
    after: HookPoint::AfterToolExecution,
    error: Some(HookPoint::ToolError),
};
const AGENT: PointSet = PointSet {
    before: HookPoint::BeforeAgentExecution,
    after: HookPoint::AfterAgentExecution,
    error: Some(HookPoint::AgentError),
};

/// Returns the point sets with hooks for the step of `call`, outermost first.
pub(super) fn of_call(dispatcher: &HookDispatcher, call: &Call) -> Vec<PointSet> {
    let is_watched = |point_set: &PointSet| {
        let of_run = point_set.before == RUN.before && dispatcher.has_engine_hooks_at(HookPoint::WorkflowCancelled);
        let writes = point_set.before == STEP.before && dispatcher.has_engine_hooks_at(HookPoint::BeforeStateWrite);
        let own = [Some(point_set.before), Some(point_set.after), point_set.error];
        of_run || writes || own.into_iter().flatten().any(|point| dispatcher.has_engine_hooks_at(point))
    };
    let (role, step) = (call.role(), call.step());
    let is_step = matches!(role, Role::Member | Role::Branch);
    let is_stage = || call.path().parent().is_some_and(|around| around.parent().is_none());
    let all = [
        (role == Role::Root, RUN),
        (role == Role::Member && dispatcher.has_stage_hooks() && is_stage(), STAGE),
        (role == Role::Branch, BRANCH),
        (role == Role::Iteration, ITERATION),
        (is_step, STEP),
        (step.kind.pattern() == Pattern::Loop, LOOP),
        (step.kind.pattern() == Pattern::Parallel, PARALLEL),
        (call.path().id().as_str() == "$undo", UNDO),
        (is_tool(step), TOOL),
        (is_agent(step), AGENT),
    ];
    let watched = all.into_iter().filter(|(applies, point_set)| *applies && is_watched(point_set));
    watched.map(|(_, point_set)| point_set).collect()
}

impl HookDispatcher {
    fn has_stage_hooks(&self) -> bool {
        self.has_engine_hooks_at(STAGE.before) || self.has_engine_hooks_at(STAGE.after)
    }
}
