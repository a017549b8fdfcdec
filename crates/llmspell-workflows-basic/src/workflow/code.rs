use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};

use super::{BasicWorkflow, ExecutionContext, Finished, WorkflowError, WorkflowInput, WorkflowOutput};
use crate::{
    Engine, StepError,
    engine::{Call, CancelReason, Cancelled, Driven, Outcome, Output, Run, RunOptions},
    plan::Plan,
};

/// How long after the grace of its steps code may take to end.
const MARGIN: Duration = Duration::from_millis(500);

/// Runs code as the body of a step.
pub(crate) fn code(workflow: Arc<dyn BasicWorkflow>, call: Call) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let input = call.run().input.clone();
        let context = ExecutionContext::inside(call.clone());
        let ended = running(&call, &*workflow, input, &context).await;
        let (state_changes, unended, cancelled) = context.conclude();
        let stopped = || Cancelled::new(call.cancel().reason().unwrap_or(CancelReason::Requested));
        let Some(ended) = ended else {
            let mut cancelled = cancelled.unwrap_or_else(stopped);
            cancelled.aborted.push(call.path().to_string());
            return unended.over(Outcome::Cancelled(cancelled));
        };
        // Code that swallows a request to stop has stopped all the same.
        if let Some(cancelled) = cancelled.filter(|_| call.cancel().is_cancelled()) {
            return unended.over(Outcome::Cancelled(cancelled));
        }
        // Code that swallows the error of a step that waits or is stuck has not ended all the same.
        if let Some(outcome) = unended.outcome() {
            return outcome;
        }
        match ended {
            Ok(output) => Outcome::Completed(Output { value: output.final_result.into(), state_changes }),
            Err(WorkflowError::Failed(error)) => call.failed(error),
            Err(WorkflowError::Cancelled(_)) => Outcome::Cancelled(stopped()),
            Err(WorkflowError::Parked(wait)) => Outcome::Parked(wait),
            Err(WorkflowError::Stuck(steps)) => Outcome::Stuck(steps),
            Err(WorkflowError::Invalid(invalid)) => {
                call.failed(StepError::configuration("invalid_definition", invalid.to_string()))
            }
        }
    })
}

/// Runs the code; `None` where it did not stop within the grace once it was asked to, and was dropped.
async fn running(
    call: &Call,
    workflow: &dyn BasicWorkflow,
    input: WorkflowInput,
    context: &ExecutionContext,
) -> Option<Result<WorkflowOutput, WorkflowError>> {
    let running = AssertUnwindSafe(workflow.execute_basic(input, context)).catch_unwind();
    tokio::pin!(running);
    let ended = tokio::select! {
        biased;
        ended = &mut running => ended,
        () = call.cancel().cancelled() => {
            // A step in flight has its own grace, so the code is left a moment after that.
            let grace = call.run().limits().cancel_grace + MARGIN;
            tokio::time::timeout(grace, &mut running).await.ok()?
        }
    };
    Some(ended.unwrap_or_else(|panic| Err(WorkflowError::Failed(StepError::panicked(&*panic)))))
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
            Driven::Done(finished) | Driven::Stuck { so_far: finished, .. } => Ok(*finished),
            Driven::Parked(wait) => Err(WorkflowError::Parked(wait)),
        }
    }
}
