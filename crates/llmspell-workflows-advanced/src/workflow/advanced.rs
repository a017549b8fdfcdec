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

/// A workflow with lifecycle methods, durable runs, stored state, sessions, and a memory of past runs.
///
/// Every method has a default, so an empty `impl` turns any [`BasicWorkflow`] into an
/// `AdvancedWorkflow`. The `on_…` methods are hooks for all of the workflow's runs and are
/// called before the context's hooks. Each call runs in its own task and may take up to 30 s.
/// The hooks are **required**: an error fails the step for which the method was called, or the
/// run. When a run resumes after a crash, the methods are called for the unfinished steps.
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
///         println!("{step_id} starts");
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
    /// Runs the workflow durably, with the services of `context`.
    ///
    /// For a trait object, use [`EnhancedExecutionContext::execute`].
    ///
    /// # Errors
    /// Returns an error if the workflow is invalid, or if the run failed, is waiting, or was paused; a waiting or
    /// paused run can be resumed.
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

    /// Called when a run starts or resumes.
    async fn on_start(&self, context: &HookContext) -> Result<(), StepError> {
        let _ = context;
        Ok(())
    }

    /// Called when a step starts.
    async fn on_step_start(&self, step_id: &str, context: &HookContext) -> Result<(), StepError> {
        let _ = (step_id, context);
        Ok(())
    }

    /// Called when a step has completed or failed.
    async fn on_step_end(&self, step_id: &str, result: &StepResult, context: &HookContext) -> Result<(), StepError> {
        let _ = (step_id, result, context);
        Ok(())
    }

    /// Called when a run completes, before the end is recorded; `output` is the run's output so far.
    async fn on_complete(&self, output: &AdvancedWorkflowOutput, context: &HookContext) -> Result<(), StepError> {
        let _ = (output, context);
        Ok(())
    }

    /// Called when a run has failed.
    async fn on_error(&self, error: &WorkflowError, context: &HookContext) -> Result<(), StepError> {
        let _ = (error, context);
        Ok(())
    }

    /// Returns whether any `on_…` method is implemented; if not, these methods are never called.
    fn has_lifecycle(&self) -> bool {
        true
    }

    /// Returns whether [`Self::save_state`] is called when a run has completed.
    fn state_persistence(&self) -> bool {
        false
    }

    /// Saves the final state of a run.
    async fn save_state(&self, state: &WorkflowState, storage: &dyn StateStorage) -> Result<(), ExecutorError> {
        storage.save(self.name(), state).await
    }

    /// Returns the state saved under `workflow_id`.
    async fn load_state(
        &self,
        workflow_id: &str,
        storage: &dyn StateStorage,
    ) -> Result<Option<WorkflowState>, ExecutorError> {
        storage.load(workflow_id).await
    }

    /// Returns whether the state carries over between the workflow's runs in a session.
    fn supports_session_persistence(&self) -> bool {
        true
    }

    /// Returns the initial state of a run in a session: the final state of the workflow's last run in that session.
    async fn resume_from_session(
        &self,
        session_id: &str,
        storage: &dyn SessionStorage,
    ) -> Result<Option<WorkflowState>, SessionError> {
        let session = storage.get(session_id).await?.ok_or_else(|| SessionError::Unknown(session_id.to_owned()))?;
        Ok(session.states.get(self.name()).map(|state| state_with_keys(Value::Null, state)))
    }

    /// Returns whether runs are stored with an embedding and similar past runs are looked up.
    fn context_embedding(&self) -> bool {
        false
    }

    /// Returns the embedding to store with a run on `input`.
    async fn get_context_embeddings(
        &self,
        input: &WorkflowInput,
        service: &dyn EmbeddingService,
    ) -> Result<Vec<f32>, VectorError> {
        similar::embedding(input, service).await
    }

    /// Returns the past runs nearest to `embedding`, nearest first.
    async fn find_similar_executions(
        &self,
        embedding: &[f32],
        storage: &dyn VectorStorage,
    ) -> Result<Vec<WorkflowExecution>, VectorError> {
        similar::find(self.name(), embedding, storage).await
    }

    /// Runs the workflow in memory, like any basic workflow.
    async fn execute(&self, input: WorkflowInput, context: ExecutionContext) -> Result<WorkflowOutput, WorkflowError> {
        self.execute_basic(input, &context).await
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub enum StepResult {
    /// The step completed with this output.
    Success(Arc<Value>),
    /// The step failed on its last attempt.
    Failed(StepError),
}
