//! Calls the lifecycle methods of a workflow as hooks of its runs.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{
    Finished, StepError, WorkflowError, WorkflowState,
    engine::{Outcome, Output},
    state::Change,
};
use llmspell_workflows_hooks::{
    BreakerSettings, HookContext, HookError, Priority, Registration,
    answer::{After, Before, BeforeBlock, OnError, OnRunError},
    hook_fn,
    point::{
        AfterStep, AfterWorkflowComplete, BeforeStep, BeforeWorkflowStart, StepError as StepErrorPoint,
        WorkflowError as WorkflowErrorPoint,
    },
};

use super::{AdvancedWorkflow, AdvancedWorkflowOutput, StepResult, output::SESSION};
use crate::{
    executor::{RunInfo, WeakExecutor},
    sessions::SessionStorage,
};

/// The timeout of a lifecycle method.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The hooks that call the lifecycle methods of a workflow.
#[derive(Clone)]
pub(super) struct Lifecycle {
    pub(super) workflow: Arc<dyn AdvancedWorkflow>,
    pub(super) sessions: Arc<dyn SessionStorage>,
    pub(super) executor: WeakExecutor,
}

impl Lifecycle {
    /// Returns the registration of the hooks; `None` if the workflow does not need hooks.
    pub(super) fn registration(&self) -> Option<Registration> {
        let (has_methods, uses_sessions) =
            (self.workflow.has_lifecycle(), self.workflow.supports_session_persistence());
        if !has_methods && !uses_sessions {
            return None;
        }
        let registration = Registration::new(self.workflow.name())
            .required()
            .priority(Priority::HIGHEST)
            .timeout(TIMEOUT)
            .breaker(BreakerSettings { threshold: u32::MAX, ..BreakerSettings::default() });
        let lifecycle = self.clone();
        let registration =
            registration.at(BeforeWorkflowStart, hook_fn(move |context| lifecycle.clone().starts(context)));
        Some(if has_methods { self.with_methods(registration) } else { registration })
    }

    fn with_methods(&self, registration: Registration) -> Registration {
        let [begins, ends, fails, completes, errs] = std::array::from_fn(|_| self.clone());
        registration
            .at(BeforeStep, hook_fn(move |context| begins.clone().step_begins(context)))
            .at(AfterStep, hook_fn(move |context| ends.clone().step_ends(context)))
            .at(StepErrorPoint, hook_fn(move |context| fails.clone().step_fails(context)))
            .at(AfterWorkflowComplete, hook_fn(move |context| completes.clone().completes(context)))
            .at(WorkflowErrorPoint, hook_fn(move |context| errs.clone().fails(context)))
    }

    async fn starts(self, context: HookContext) -> Result<BeforeBlock, HookError> {
        if self.workflow.has_lifecycle() {
            self.workflow.on_start(&context).await?;
        }
        let info = context.run().and_then(|run| run.extension::<RunInfo>());
        let session = info.as_ref().and_then(|info| info.labels.get(SESSION));
        let Some(session) = session.filter(|_| self.workflow.supports_session_persistence()) else {
            return Ok(BeforeBlock::Continue);
        };
        let state = self.workflow.resume_from_session(session, &*self.sessions).await?;
        let changes = state.as_ref().map(changes).unwrap_or_default();
        Ok(if changes.is_empty() { BeforeBlock::Continue } else { BeforeBlock::ModifyState(changes) })
    }

    async fn step_begins(self, context: HookContext) -> Result<Before, HookError> {
        self.workflow.on_step_start(id(&context), &context).await?;
        Ok(Before::Continue)
    }

    async fn step_ends(self, context: HookContext) -> Result<After, HookError> {
        let result = StepResult::Success(Arc::new(context.output().cloned().unwrap_or_default()));
        self.workflow.on_step_end(id(&context), &result, &context).await?;
        Ok(After::Continue)
    }

    async fn step_fails(self, context: HookContext) -> Result<OnError, HookError> {
        let result = StepResult::Failed(error(&context));
        self.workflow.on_step_end(id(&context), &result, &context).await?;
        Ok(OnError::Continue)
    }

    async fn completes(self, context: HookContext) -> Result<After, HookError> {
        let output = self.output(&context).await?;
        self.workflow.on_complete(&output, &context).await?;
        Ok(After::Continue)
    }

    async fn fails(self, context: HookContext) -> Result<OnRunError, HookError> {
        self.workflow.on_error(&WorkflowError::Failed(error(&context)), &context).await?;
        Ok(OnRunError::Continue)
    }

    /// Returns the run's output so far.
    async fn output(&self, context: &HookContext) -> Result<AdvancedWorkflowOutput, HookError> {
        let dropped = || HookError::new("the executor of the run was dropped");
        let run = context.run().ok_or_else(dropped)?;
        let value = Arc::new(context.output().cloned().unwrap_or_default());
        let output = Output { value: value.into(), state_changes: context.changes().to_vec() };
        let finished = Finished::new(run, Outcome::Completed(output));
        let records = self.executor.upgrade().ok_or_else(dropped)?.records(run.id()).await?;
        let cpu = run.extension::<RunInfo>().and_then(|info| info.cpu);
        Ok(AdvancedWorkflowOutput::of(finished, run.plan(), &records, cpu)?)
    }
}

fn id(context: &HookContext) -> &str {
    context.step().map(|step| step.id.as_str()).unwrap_or_default()
}

fn error(context: &HookContext) -> StepError {
    let unknown = || StepError::configuration("hook_failed", "the step failed without an error");
    context.error().cloned().unwrap_or_else(unknown)
}

/// Returns the changes that turn an empty state into `state`.
fn changes(state: &WorkflowState) -> Vec<Change> {
    let keys = state.keys().filter(|key| *key != "$input");
    keys.filter_map(|key| Some(Change::key(key, state.key(key)?.clone()))).collect()
}
