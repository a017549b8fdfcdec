//! Runs workflows in a context.

use std::sync::Arc;

use llmspell_workflows_basic::{RunStatus, WorkflowInput, model::Definition};
use serde_json::Value;
use uuid::Uuid;

use super::{
    AdvancedError, AdvancedWorkflow, AdvancedWorkflowOutput, WorkflowExecution, lifecycle::Lifecycle, output::SESSION,
    similar,
};
use crate::{
    DurableEnd, DurableRun, EnhancedExecutionContext, Executor, KnownRun, StartOptions,
    executor::{Recipe, RunInfo},
    services::Services,
};

/// The embedding of a run and similar past runs, looked up before the run starts.
#[derive(Default)]
struct Memory {
    embedding: Option<Vec<f32>>,
    similar: Vec<WorkflowExecution>,
}

impl EnhancedExecutionContext {
    /// Runs `workflow` durably until the run ends. While the run waits, it is parked.
    ///
    /// # Errors
    /// Returns an error if the workflow is invalid, the run failed, or the run was paused and can be resumed.
    pub async fn execute(
        &self,
        workflow: Arc<dyn AdvancedWorkflow>,
        input: WorkflowInput,
    ) -> Result<AdvancedWorkflowOutput, AdvancedError> {
        workflow.validate()?;
        let mut options = StartOptions::default();
        if let Some(session) = &self.session_id {
            self.session_manager.check_active(session).await?;
            options.labels.insert(SESSION.to_owned(), session.clone());
        }
        let memory = self.remember(&*workflow, &input).await?;
        let executor = self.executor();
        let (definition, recipe) = self.register_with(&executor, &workflow);
        let data = input.initial_data.clone();
        let run = executor.start_as(&recipe, &definition, input, options).await?;
        if let Some(session) = &self.session_id {
            self.session_manager.add_run(session, run.id()).await?;
        }
        self.finish(&executor, &*workflow, run, (data, memory)).await
    }

    /// Resumes `run`, which must be a run of `workflow`, and drives it until it ends.
    ///
    /// # Errors
    /// Fails like [`Self::execute`]. Also fails if the run has ended or another process owns it.
    pub async fn resume(
        &self,
        workflow: Arc<dyn AdvancedWorkflow>,
        run: &KnownRun,
    ) -> Result<AdvancedWorkflowOutput, AdvancedError> {
        let executor = self.executor();
        self.register_with(&executor, &workflow);
        let run = executor.resume(run).await?;
        let data = run.run().input().clone();
        let memory = self.remember(&*workflow, &WorkflowInput::new(data.clone())).await?;
        self.finish(&executor, &*workflow, run, (data, memory)).await
    }

    /// Registers `workflow` with [`Self::executor`] so that its runs can resume with its closures, code and methods.
    pub fn register(&self, workflow: &Arc<dyn AdvancedWorkflow>) {
        self.register_with(&self.executor(), workflow);
    }

    fn register_with(&self, executor: &Executor, workflow: &Arc<dyn AdvancedWorkflow>) -> (Arc<Definition>, Recipe) {
        let lifecycle = Lifecycle {
            workflow: workflow.clone(),
            sessions: self.session_storage.clone(),
            executor: executor.downgrade(),
        };
        let hooks = match lifecycle.registration() {
            Some(lifecycle) => Arc::new(self.hook_dispatcher.with([lifecycle])),
            None => self.hook_dispatcher.clone(),
        };
        let services = Services { hooks: Some(hooks), events: Some((*self.event_bus).clone()) };
        executor.register(workflow.clone(), &services)
    }

    async fn finish(
        &self,
        executor: &Executor,
        workflow: &dyn AdvancedWorkflow,
        run: DurableRun,
        (input, memory): (Value, Memory),
    ) -> Result<AdvancedWorkflowOutput, AdvancedError> {
        let (id, plan) = (run.id(), run.plan().clone());
        let info = run.run().extension::<RunInfo>();
        if let Some(session) = info.as_ref().and_then(|info| info.labels.get(SESSION)) {
            self.event_bus.correlations().set(id, session.as_str());
        }
        let end = executor.finish(run).await;
        self.event_bus.correlations().forget(id);
        let finished = match end? {
            DurableEnd::Finished(finished) => finished,
            DurableEnd::Stuck(steps) => return Err(AdvancedError::Stuck { run: id, steps }),
            DurableEnd::Paused | DurableEnd::Released => return Err(AdvancedError::Paused { run: id }),
            DurableEnd::Waiting(wait) => return Err(AdvancedError::Waiting { run: id, wait }),
        };
        let status = finished.status;
        let records = executor.records(id).await?;
        let output = AdvancedWorkflowOutput::of(*finished, &plan, &records, info.and_then(|info| info.cpu));
        self.keep(workflow, (id, status), input, memory.embedding).await?;
        let output = AdvancedWorkflowOutput { similar_executions: memory.similar, ..output? };
        self.keep_state(workflow, &output).await?;
        Ok(output)
    }

    /// Looks up past runs similar to a run on `input`.
    async fn remember(&self, workflow: &dyn AdvancedWorkflow, input: &WorkflowInput) -> Result<Memory, AdvancedError> {
        if !workflow.context_embedding() {
            return Ok(Memory::default());
        }
        let embedding = workflow.get_context_embeddings(input, &*self.embedding_service).await?;
        let similar = workflow.find_similar_executions(&embedding, &*self.vector_storage).await?;
        Ok(Memory { embedding: Some(embedding), similar })
    }

    async fn keep(
        &self,
        workflow: &dyn AdvancedWorkflow,
        (run, status): (Uuid, RunStatus),
        input: Value,
        embedding: Option<Vec<f32>>,
    ) -> Result<(), AdvancedError> {
        if let Some(embedding) = embedding {
            similar::keep((run, workflow.name(), status), input, embedding, &*self.vector_storage).await?;
        }
        Ok(())
    }

    async fn keep_state(
        &self,
        workflow: &dyn AdvancedWorkflow,
        output: &AdvancedWorkflowOutput,
    ) -> Result<(), AdvancedError> {
        let Some(state) = &output.state_snapshot else { return Ok(()) };
        if workflow.state_persistence() {
            workflow.save_state(state, &*self.state_storage).await?;
        }
        if let Some(session) = output.session_id.as_ref().filter(|_| workflow.supports_session_persistence()) {
            self.session_manager.set_state(session, workflow.name(), state.to_value()).await?;
        }
        Ok(())
    }
}
