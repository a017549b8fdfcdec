use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};

use super::{BasicWorkflow, ExecutionContext, Finished, WorkflowError, WorkflowInput};
use crate::{
    Engine, StepError,
    engine::{Call, CancelReason, Cancelled, Driven, Outcome, Output, Run, RunOptions},
    plan::Plan,
};

/// Runs code as the body of a step.
pub(crate) fn code(workflow: Arc<dyn BasicWorkflow>, call: Call) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let input = call.run().input.clone();
        let context = ExecutionContext::inside(call.clone());
        let running = AssertUnwindSafe(workflow.execute_basic(input, &context)).catch_unwind();
        let ended = running.await.unwrap_or_else(|panic| Err(WorkflowError::Failed(StepError::panicked(&*panic))));
        let (state_changes, parked) = context.conclude();
        // Code that swallows the error of a step that waits has not ended all the same.
        if let Some(wait) = parked {
            return Outcome::Parked(wait);
        }
        match ended {
            Ok(output) => Outcome::Completed(Output { value: Arc::new(output.final_result), state_changes }),
            Err(WorkflowError::Failed(error)) => call.failed(error),
            Err(WorkflowError::Cancelled(_)) => {
                Outcome::Cancelled(Cancelled::new(call.cancel().reason().unwrap_or(CancelReason::Requested)))
            }
            Err(WorkflowError::Parked(wait)) => Outcome::Parked(wait),
            Err(WorkflowError::Invalid(invalid)) => {
                call.failed(StepError::configuration("invalid_definition", invalid.to_string()))
            }
        }
    })
}

impl Engine {
    /// A plan whose root step is code.
    #[must_use]
    pub fn prepare_code(&self, workflow: Arc<dyn BasicWorkflow>) -> Arc<Plan> {
        Arc::new(Plan::code(self, workflow))
    }

    /// Starts a run of `workflow` and drives it to its end.
    ///
    /// # Errors
    /// The workflow itself is wrong, or it parks; a failed run is no error here but [`Finished::error`].
    pub async fn run_code(
        &self,
        workflow: Arc<dyn BasicWorkflow>,
        input: WorkflowInput,
    ) -> Result<Finished, WorkflowError> {
        workflow.validate()?;
        let plan = self.prepare_code(workflow);
        let run: Arc<Run> = self.start(&plan, input, &RunOptions::default())?;
        match self.drive(&run).await {
            Driven::Done(finished) => Ok(*finished),
            Driven::Parked(wait) => Err(WorkflowError::Parked(wait)),
        }
    }
}
