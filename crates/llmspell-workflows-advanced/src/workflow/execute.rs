//! How workflows run in a context.

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
    executor::{RunInfo, Recipe},
    services::Services,
};

/// What is known of a run's past before it begins.
#[derive(Default)]
struct Memory {
    embedding: Option<Vec<f32>>,
    similar: Vec<WorkflowExecution>,
}

impl EnhancedExecutionContext {
    /// Runs `workflow` durably to its end; while it waits it is parked.
    ///
    /// # Errors
    /// It cannot run, it did not do what it should, or it was paused and can be gone on with.
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

    /// Goes on with `run`, which is one of `workflow`, to its end.
    ///
    /// # Errors
    /// As [`Self::execute`]; or the run has ended, or another process has it.
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

    /// Makes `workflow` known to [`Self::executor`], whose runs of it then go on with its closures, its code and its
    /// methods, whoever resumes them.
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
            Some(own) => Arc::new(self.hook_dispatcher.with([own])),
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
        let begun = run.run().extension::<RunInfo>();
        if let Some(session) = begun.as_ref().and_then(|begun| begun.labels.get(SESSION)) {
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
        let output = AdvancedWorkflowOutput::of(*finished, &plan, &records, begun.and_then(|begun| begun.cpu));
        self.keep(workflow, (id, status), input, memory.embedding).await?;
        let output = AdvancedWorkflowOutput { similar_executions: memory.similar, ..output? };
        self.keep_state(workflow, &output).await?;
        Ok(output)
    }

    /// What is known of runs like the one that begins.
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
