use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};

use super::{BasicWorkflow, ExecutionContext, Finished, WorkflowError, WorkflowInput, WorkflowOutput};
use crate::{
    Engine, StepError,
    engine::{Call, CancelReason, Cancelled, Driven, Outcome, Output, Run, RunOptions},
    plan::Plan,
};

/// The additional time that code has to end after the grace period of its steps.
const MARGIN: Duration = Duration::from_millis(500);

/// Runs code as the body of a step.
pub(crate) fn code(workflow: Arc<dyn BasicWorkflow>, call: Call) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let input = call.run().input.clone();
        let context = ExecutionContext::inside(call.clone());
        let result = run_until_cancelled(&call, &*workflow, input, &context).await;
        let (state_changes, unfinished, cancelled) = context.conclude();
        let stopped = || Cancelled::new(call.cancel().reason().unwrap_or(CancelReason::Requested));
        let Some(result) = result else {
            let mut cancelled = cancelled.unwrap_or_else(stopped);
            cancelled.aborted.push(call.path().to_string());
            return unfinished.stuck_or(Outcome::cancelled(cancelled));
        };
        // Even if the code ignores the cancellation of a step, the run is cancelled.
        if let Some(cancelled) = cancelled.filter(|_| call.cancel().is_cancelled()) {
            return unfinished.stuck_or(Outcome::cancelled(cancelled));
        }
        // Even if the code ignores the error of a waiting or stuck step, the run has not ended.
        if let Some(outcome) = unfinished.outcome() {
            return outcome;
        }
        match result {
            Ok(output) => Outcome::Completed(Output { value: output.final_result.into(), state_changes }),
            Err(WorkflowError::Failed(error)) => call.failed(error),
            Err(WorkflowError::Cancelled(_)) => Outcome::cancelled(stopped()),
            Err(WorkflowError::Parked(wait)) => Outcome::Parked(wait),
            Err(WorkflowError::Stuck(steps)) => Outcome::Stuck(steps),
            Err(WorkflowError::Invalid(invalid)) => {
                call.failed(StepError::configuration("invalid_definition", invalid.to_string()))
            }
        }
    })
}

/// Runs the code; returns `None` if it was dropped because it did not stop within the grace period.
async fn run_until_cancelled(
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
            // A step in flight has its own grace period, so the code gets slightly more time.
            let grace = call.run().limits().cancel_grace + MARGIN;
            tokio::time::timeout(grace, &mut running).await.ok()?
        }
    };
    Some(ended.unwrap_or_else(|panic| Err(WorkflowError::Failed(StepError::panicked(&*panic)))))
}

impl Engine {
    /// Creates a plan for a workflow written in code, which is its root step.
    #[must_use]
    pub fn prepare_code(&self, workflow: Arc<dyn BasicWorkflow>) -> Arc<Plan> {
        Arc::new(Plan::code(self, workflow))
    }

    /// Starts a run of `workflow` and drives it to its end.
    ///
    /// # Errors
    /// Fails if the workflow is invalid or parks. The error of a failed run is in
    /// [`Finished::error`] instead.
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
