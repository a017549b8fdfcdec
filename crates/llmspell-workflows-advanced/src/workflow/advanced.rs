use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_basic::{
    BasicWorkflow, ExecutionContext, StepError, WorkflowError, WorkflowInput, WorkflowOutput, WorkflowState,
};
use llmspell_workflows_hooks::HookContext;
use serde_json::Value;

use super::{AdvancedError, AdvancedWorkflowOutput, WorkflowExecution, similar};
use crate::{
    EnhancedExecutionContext, ExecutorError,
    sessions::{SessionError, SessionStorage},
    state::{StateStorage, state_with_keys},
    vectors::{EmbeddingService, VectorError, VectorStorage},
};

/// A workflow with methods of its own around its steps, and with what infrastructure knows of it.
///
/// Everything has a default, so that whatever is a [`BasicWorkflow`] becomes one by an empty `impl`. Its methods `on_…`
/// are hooks of all its runs, before those of the context: they run in a task of their own, have 30 s, and are
/// **required**: an error of one fails the step that it is about, or the run. On a run that goes on after a crash they
/// are called for what had not ended.
///
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use llmspell_workflows_advanced::{AdvancedWorkflow, EnhancedExecutionContext};
/// use llmspell_workflows_basic::{
///     BasicWorkflow, ExecutionContext, StepError, WorkflowError, WorkflowInput, WorkflowOutput, activity::function,
/// };
/// use llmspell_workflows_hooks::HookContext;
/// use serde_json::json;
///
/// struct Order;
///
/// #[async_trait]
/// impl BasicWorkflow for Order {
///     fn name(&self) -> &str {
///         "order"
///     }
///
///     async fn execute_basic(&self, input: WorkflowInput, context: &ExecutionContext)
///         -> Result<WorkflowOutput, WorkflowError>
///     {
///         let charge = function(|call| async move { Ok(json!({"charged": call.input()["amount"]})) });
///         Ok(WorkflowOutput::of(context.step("charge", input.initial_data, charge).await?))
///     }
/// }
///
/// #[async_trait]
/// impl AdvancedWorkflow for Order {
///     async fn on_step_start(&self, step_id: &str, _: &HookContext) -> Result<(), StepError> {
///         println!("{step_id} begins");
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(async {
/// let context = EnhancedExecutionContext::in_memory();
/// let output = Arc::new(Order).execute_with_infrastructure(WorkflowInput::new(json!({"amount": 3})), context).await?;
/// assert_eq!(output.basic_output.final_result, json!({"charged": 3}));
/// # Ok::<(), llmspell_workflows_advanced::AdvancedError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait AdvancedWorkflow: BasicWorkflow + 'static {
    /// Runs it durably, with the hooks, the events and the memory of `context`; where its type is not known that is
    /// [`EnhancedExecutionContext::execute`].
    ///
    /// # Errors
    /// It cannot run, it did not do what it should, or it waits or was paused and can be gone on with.
    async fn execute_with_infrastructure(
        self: Arc<Self>,
        input: WorkflowInput,
        context: EnhancedExecutionContext,
    ) -> Result<AdvancedWorkflowOutput, AdvancedError>
    where
        Self: Sized,
    {
        context.execute(self, input).await
    }

    /// Its run begins or goes on.
    async fn on_start(&self, context: &HookContext) -> Result<(), StepError> {
        let _ = context;
        Ok(())
    }

    /// A step of it begins.
    async fn on_step_start(&self, step_id: &str, context: &HookContext) -> Result<(), StepError> {
        let _ = (step_id, context);
        Ok(())
    }

    /// A step of it has completed or failed.
    async fn on_step_end(&self, step_id: &str, result: &StepResult, context: &HookContext) -> Result<(), StepError> {
        let _ = (step_id, result, context);
        Ok(())
    }

    /// It has done what it should; `output` is that of the run as it stands, before its end is recorded.
    async fn on_complete(&self, output: &AdvancedWorkflowOutput, context: &HookContext) -> Result<(), StepError> {
        let _ = (output, context);
        Ok(())
    }

    /// It has failed.
    async fn on_error(&self, error: &WorkflowError, context: &HookContext) -> Result<(), StepError> {
        let _ = (error, context);
        Ok(())
    }

    /// Whether any of its methods `on_…` does something; if not, none is called.
    fn has_lifecycle(&self) -> bool {
        true
    }

    /// Whether [`Self::save_state`] is called when a run of it has completed.
    fn state_persistence(&self) -> bool {
        false
    }

    /// Keeps the state in which it ended.
    async fn save_state(&self, state: &WorkflowState, storage: &dyn StateStorage) -> Result<(), ExecutorError> {
        storage.save(self.name(), state).await
    }

    /// The state that was kept under `workflow_id`.
    async fn load_state(
        &self,
        workflow_id: &str,
        storage: &dyn StateStorage,
    ) -> Result<Option<WorkflowState>, ExecutorError> {
        storage.load(workflow_id).await
    }

    /// Whether its state goes on from run to run of a session.
    fn supports_session_persistence(&self) -> bool {
        true
    }

    /// The state with which it begins in a session: that of its last run there.
    async fn resume_from_session(
        &self,
        session_id: &str,
        storage: &dyn SessionStorage,
    ) -> Result<Option<WorkflowState>, SessionError> {
        let session = storage.get(session_id).await?.ok_or_else(|| SessionError::Unknown(session_id.to_owned()))?;
        Ok(session.states.get(self.name()).map(|state| state_with_keys(Value::Null, state)))
    }

    /// Whether its runs are kept by meaning, and similar ones are looked up.
    fn context_embedding(&self) -> bool {
        false
    }

    /// What its run on `input` is found by.
    async fn get_context_embeddings(
        &self,
        input: &WorkflowInput,
        service: &dyn EmbeddingService,
    ) -> Result<Vec<f32>, VectorError> {
        similar::embedding(input, service).await
    }

    /// Past runs of it that are near to `embedding`, the nearest first.
    async fn find_similar_executions(
        &self,
        embedding: &[f32],
        storage: &dyn VectorStorage,
    ) -> Result<Vec<WorkflowExecution>, VectorError> {
        similar::find(self.name(), embedding, storage).await
    }

    /// Runs it in memory, as every basic workflow runs.
    async fn execute(&self, input: WorkflowInput, context: ExecutionContext) -> Result<WorkflowOutput, WorkflowError> {
        self.execute_basic(input, &context).await
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub enum StepResult {
    /// It did what it should, with this output.
    Success(Arc<Value>),
    /// It failed, with all its attempts.
    Failed(StepError),
}
