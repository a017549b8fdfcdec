use llmspell_workflows_basic::{
    engine::{Call, Role},
    model::{Effect, Pattern, Step},
};

use crate::{HookPoint, pattern as glob};

/// Selects the steps that a hook is called for. A step must meet all criteria.
///
/// If a criterion is given several times, such as two ids, a step must meet one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    ids: Vec<String>,
    kinds: Vec<String>,
    paths: Vec<String>,
    workflows: Vec<String>,
}

/// The kinds of steps that call an agent.
const AGENT_KINDS: [&str; 3] = ["persona-request", "persona", "agent"];

impl Selector {
    /// Selects all steps.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Restricts the selection to steps with this id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.ids.push(id.into());
        self
    }

    /// Restricts the selection to steps of this kind, such as `tool` or `loop`.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// Restricts the selection to steps whose path matches a pattern such as `/main/review[*]/*` or `/main/**/scan`.
    ///
    /// `*` matches any part of a segment, and `**` matches any number of segments. A segment
    /// without `[n]` and `~g` matches every iteration and generation.
    #[must_use]
    pub fn path(mut self, pattern: impl Into<String>) -> Self {
        self.paths.push(pattern.into());
        self
    }

    /// Restricts the selection to steps of the workflow called `name`, which may contain `*`.
    #[must_use]
    pub fn workflow(mut self, name: impl Into<String>) -> Self {
        self.workflows.push(name.into());
        self
    }

    /// Returns whether the kind and the id match `step`; the other criteria can only be checked in a run.
    pub(crate) fn may_concern(&self, point: HookPoint, step: &Step) -> bool {
        let is_iteration = matches!(point, HookPoint::IterationStart | HookPoint::IterationEnd);
        let kind = if is_iteration { "loop" } else { step.kind.as_str() };
        glob::any(&self.kinds, |wanted| wanted == kind) && glob::any(&self.ids, |wanted| step.id == *wanted)
    }

    /// Returns whether the step of `call` meets all criteria.
    pub(crate) fn concerns(&self, call: &Call) -> bool {
        if self.is_all() {
            return true;
        }
        let kind = if call.role() == Role::Iteration { "loop" } else { call.step().kind.as_str() };
        glob::any(&self.kinds, |wanted| wanted == kind)
            && glob::any(&self.ids, |wanted| call.step().id == *wanted)
            && glob::any(&self.workflows, |wanted| glob::text(wanted, &call.run().definition().name))
            && glob::any_path(&self.paths, call.path())
    }

    pub(crate) fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns whether `step` can reach `point` at all.
pub(crate) fn can_reach(point: HookPoint, step: &Step) -> bool {
    use HookPoint as P;
    let pattern = step.kind.pattern();
    match point {
        P::BeforeWorkflowStart | P::AfterWorkflowComplete | P::WorkflowError | P::WorkflowCancelled => {
            step.id == "main"
        }
        P::WorkflowStageTransition => pattern == Pattern::Route,
        P::BranchDecision => pattern == Pattern::Choice,
        P::LoopStart | P::LoopItems | P::LoopCondition | P::LoopEnd => pattern == Pattern::Loop,
        P::IterationStart | P::IterationEnd => pattern == Pattern::List,
        P::ParallelFork | P::ParallelJoin | P::StateConflict => pattern == Pattern::Parallel,
        P::StepRetry => step.retry.is_some(),
        P::BeforeStateWrite => step.kind.is_leaf(),
        P::BeforeToolExecution | P::AfterToolExecution | P::ToolError => is_tool(step),
        P::BeforeAgentExecution | P::AfterAgentExecution | P::AgentError => is_agent(step),
        P::BeforeWorkflowStage | P::AfterWorkflowStage | P::BeforeStep | P::AfterStep | P::StepError | P::StepSkip => {
            true
        }
        // A compensation may be a step of any kind.
        P::BranchStart | P::BranchEnd | P::CompensationStart | P::CompensationEnd => true,
        P::SignalWait | P::SignalReceived => step.kind.traits().waits_for_signal,
        _ => false,
    }
}

pub(crate) fn is_tool(step: &Step) -> bool {
    is_activity(step) && step.kind.as_str() == "tool"
}

pub(crate) fn is_agent(step: &Step) -> bool {
    is_activity(step) && AGENT_KINDS.contains(&step.kind.as_str())
}

/// Returns whether `step` calls an activity; only then can hooks modify its input, redirect it or fork it.
pub(crate) fn is_activity(step: &Step) -> bool {
    step.kind.traits().effect == Effect::Activity
}
