use llmspell_workflows_basic::{
    engine::{Call, Role},
    model::Pattern,
};

use crate::{
    HookDispatcher, HookPoint,
    selector::{is_agent, is_tool},
};

/// The points around something: before it, after it has completed, after it has failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passage {
    pub(super) before: HookPoint,
    pub(super) after: HookPoint,
    pub(super) error: Option<HookPoint>,
}

const RUN: Passage = Passage {
    before: HookPoint::BeforeWorkflowStart,
    after: HookPoint::AfterWorkflowComplete,
    error: Some(HookPoint::WorkflowError),
};
const STAGE: Passage =
    Passage { before: HookPoint::BeforeWorkflowStage, after: HookPoint::AfterWorkflowStage, error: None };
const BRANCH: Passage = Passage { before: HookPoint::BranchStart, after: HookPoint::BranchEnd, error: None };
const ITERATION: Passage = Passage { before: HookPoint::IterationStart, after: HookPoint::IterationEnd, error: None };
const STEP: Passage =
    Passage { before: HookPoint::BeforeStep, after: HookPoint::AfterStep, error: Some(HookPoint::StepError) };
const LOOP: Passage = Passage { before: HookPoint::LoopStart, after: HookPoint::LoopEnd, error: None };
const PARALLEL: Passage = Passage { before: HookPoint::ParallelFork, after: HookPoint::ParallelJoin, error: None };
const UNDO: Passage = Passage {
    before: HookPoint::CompensationStart,
    after: HookPoint::CompensationEnd,
    error: Some(HookPoint::CompensationEnd),
};
const TOOL: Passage = Passage {
    before: HookPoint::BeforeToolExecution,
    after: HookPoint::AfterToolExecution,
    error: Some(HookPoint::ToolError),
};
const AGENT: Passage = Passage {
    before: HookPoint::BeforeAgentExecution,
    after: HookPoint::AfterAgentExecution,
    error: Some(HookPoint::AgentError),
};

/// What the step of `call` passes through, outermost first, as far as any hook stands there.
pub(super) fn through(dispatcher: &HookDispatcher, call: &Call) -> Vec<Passage> {
    let is_watched = |passage: &Passage| {
        let of_run = passage.before == RUN.before && dispatcher.stands_at(HookPoint::WorkflowCancelled);
        let writes = passage.before == STEP.before && dispatcher.stands_at(HookPoint::BeforeStateWrite);
        let own = [Some(passage.before), Some(passage.after), passage.error];
        of_run || writes || own.into_iter().flatten().any(|point| dispatcher.stands_at(point))
    };
    let (role, step) = (call.role(), call.step());
    let is_step = matches!(role, Role::Member | Role::Branch);
    let is_stage = || call.path().parent().is_some_and(|around| around.parent().is_none());
    let all = [
        (role == Role::Root, RUN),
        (role == Role::Member && dispatcher.stands_at_stage() && is_stage(), STAGE),
        (role == Role::Branch, BRANCH),
        (role == Role::Iteration, ITERATION),
        (is_step, STEP),
        (step.kind.pattern() == Pattern::Loop, LOOP),
        (step.kind.pattern() == Pattern::Parallel, PARALLEL),
        (call.path().id().as_str() == "$undo", UNDO),
        (is_tool(step), TOOL),
        (is_agent(step), AGENT),
    ];
    let watched = all.into_iter().filter(|(applies, passage)| *applies && is_watched(passage));
    watched.map(|(_, passage)| passage).collect()
}

impl HookDispatcher {
    fn stands_at_stage(&self) -> bool {
        self.stands_at(STAGE.before) || self.stands_at(STAGE.after)
    }
}
