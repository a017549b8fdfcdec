//! Sub-workflows as durable child runs.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Driven, RunOptions, RunStatus, StepError, WorkflowInput,
    engine::{Call, Child, ChildEnd, Children, Extensions, InProcess, Outcome, Resume, drive_child},
};
use llmspell_workflows_state::{JournalError, Parent, RunJournal, Started};

use super::{
    Inner,
    drive::{note_stuck, outcome},
};
use crate::ExecutorError;

/// Runs sub-workflows as durable child runs, in the journal of their parent.
pub(super) struct DurableChildren(pub(super) Weak<Inner>);

#[async_trait]
impl Children for DurableChildren {
    async fn run(&self, call: &Call, child: Child) -> Result<ChildEnd, StepError> {
        match (self.0.upgrade(), call.run().extension::<RunJournal>()) {
            (Some(inner), Some(journal)) => inner.child(call, child, &journal).await,
            _ => InProcess.run(call, child).await,
        }
    }
}

impl Inner {
    async fn child(self: Arc<Self>, call: &Call, child: Child, parent: &RunJournal) -> Result<ChildEnd, StepError> {
        let journal = Arc::new(self.journal_in(parent.shared(), child.id).await.map_err(journal_error)?);
        if let Some((outcome, _)) = journal.outcome().map_err(journal_error)? {
            return Ok(recorded(outcome));
        }
        let (engine, plan, started, is_new) = match journal.started() {
            Some(started) => {
                let ready = self.prepared_by_hash(&started.definition).await.map_err(child_error)?;
                (ready.engine, ready.plan, started, false)
            }
            None => (call.run().engine().clone(), child.plan.clone(), self.started(call, &child).await?, true),
        };
        let input = WorkflowInput::new(started.input.clone());
        let resume = journal.resume().unwrap_or_else(|| Resume::new(child.id, started.at));
        let extensions = self.mark_recorded_events(Extensions::new().with_shared(journal.clone()));
        let options = RunOptions { resume: Some(resume), extensions, depth: child.depth, ..RunOptions::default() };
        let run = engine.start(&plan, input, &options)?;
        if is_new {
            journal.start(started).await.map_err(journal_error)?;
        }
        let id = parent.run();
        let around = self.registry.find(id).ok_or_else(|| child_error(ExecutorError::UnknownRun(id.to_string())))?;
        let owned = self.own_child(child.id, &around.journal).map_err(child_error)?;
        owned.live.enter_memory(&run);
        self.read(&owned.live).await.map_err(child_error)?;
        let driven = drive_child(call, &run, engine.drive(&run)).await;
        owned.live.leave_memory();
        drop(owned);
        let finished = match driven {
            Driven::Parked(wait) => return Ok(ChildEnd::Parked(wait)),
            Driven::Stuck { steps, .. } => {
                note_stuck(&journal, &steps, self.engine.clock().now()).await.map_err(journal_error)?;
                return Ok(ChildEnd::Stuck(steps));
            }
            Driven::Done(finished) => finished,
        };
        if let Some(fault) = journal.fault() {
            return Err(journal_error(fault.clone()));
        }
        if run.is_shut_down() && finished.status == RunStatus::Cancelled {
            return Ok(ChildEnd::Cancelled);
        }
        journal
            .close(&outcome(&finished), finished.ended_at, finished.status == RunStatus::Compensated)
            .await
            .map_err(journal_error)?;
        // The child is moved to the store together with its parent.
        self.registry.note_ended(&around.journal, &[child.id]);
        Ok(ChildEnd::from(*finished))
    }

    async fn started(&self, call: &Call, child: &Child) -> Result<Started, StepError> {
        call.run().check_recorded("the input of a workflow", &child.input)?;
        let definition = child.plan.definition();
        Ok(Started {
            at: call.run().now(),
            workflow: definition.name.clone(),
            version: definition.version.clone(),
            definition: self.home.keep(definition).await.map_err(child_error)?,
            input: child.input.clone(),
            parent: Some(Parent { run: call.run().id(), path: call.path().to_string() }),
            ..Started::default()
        })
    }
}

/// Converts the recorded outcome of a child run.
fn recorded(outcome: Outcome) -> ChildEnd {
    match outcome {
        Outcome::Completed(output) => ChildEnd::Completed(output.value.to_arc()),
        Outcome::Failed(failure) => ChildEnd::Failed(failure.error),
        Outcome::Skipped(_) => ChildEnd::Completed(Arc::default()),
        Outcome::Cancelled(_) | Outcome::Parked(_) | Outcome::Stuck(_) => ChildEnd::Cancelled,
    }
}

fn journal_error(error: JournalError) -> StepError {
    child_error(error.into())
}

fn child_error(error: ExecutorError) -> StepError {
    match error {
        ExecutorError::Refused(error) => error,
        error => StepError::configuration("child_not_started", error.to_string()),
    }
}
