//! Sub-workflows: steps that run other definitions as child runs.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Asker, Call, Cancel, CancelReason, Cancelled, Driven, InProcess, Outcome, Resume, Run, RunOptions, StuckStep, Wait,
    Who, call::decide, choice,
};
use crate::{
    ErrorClass, RunStatus, StepError,
    plan::{Plan, SubPlan},
    sync::lock,
    workflow::{Finished, WorkflowInput},
};

/// Runs the sub-workflows of steps, either in memory or as recorded child runs.
#[async_trait]
pub trait Children: Send + Sync {
    /// Starts or resumes the child and drives it until it ends or parks. Use [`drive_child`] to
    /// drive it as part of its parent run.
    ///
    /// # Errors
    /// Fails if the child could not be started.
    async fn run(&self, call: &Call, child: Child) -> Result<ChildEnd, StepError>;

    /// Cancels the waiting children of `run`, which is ending, and drives them until they have
    /// ended. If `compensates` is true, their steps are undone. Returns `None` once all children
    /// have ended; otherwise, returns what they wait for.
    ///
    /// Called after the root step has ended, before the run undoes its own steps and runs its `finally`.
    ///
    /// # Errors
    /// Fails if a child cannot be ended.
    async fn end(&self, run: &Arc<Run>, compensates: bool) -> Result<Option<ChildEnd>, StepError> {
        let _ = (run, compensates);
        Ok(None)
    }

    /// Undoes the steps of an ended child of `run`.
    ///
    /// # Errors
    /// Fails if the child cannot be undone.
    async fn undo(&self, run: &Arc<Run>, child: Uuid) -> Result<ChildUndo, StepError>;
}

/// A child run to be driven.
#[derive(Debug, Clone)]
pub struct Child {
    /// The id of the child run, derived from the parent run and the path of the step.
    pub id: Uuid,
    /// The current plan of the child. A child started with an earlier version of its definition
    /// continues with that version.
    pub plan: Arc<Plan>,
    /// The input of the child.
    pub input: Value,
    /// The number of runs that enclose the child.
    pub depth: u32,
}

/// A recorded child run of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRun {
    /// The id of the child run.
    pub run: Uuid,
    /// The hash of the child's definition.
    pub definition: String,
}

/// How a child run ended or paused.
#[derive(Debug, Clone)]
pub enum ChildEnd {
    /// The child completed with this output.
    Completed(Arc<Value>),
    /// The child failed, or failed and was undone.
    Failed(Box<StepError>),
    /// The child was cancelled.
    Cancelled,
    /// All active branches of the child are waiting; the time is on the engine's clock.
    Parked(Wait),
    /// These steps of the child are stuck.
    Stuck(Vec<StuckStep>),
}

/// The result of undoing a child run.
#[derive(Debug, Clone)]
pub enum ChildUndo {
    /// The steps of the child are undone.
    Undone,
    /// A step was deliberately not undone.
    GivenUp,
    /// There was nothing to undo.
    NothingToUndo,
    /// A compensation step of the child waits; the time is on the engine's clock.
    Parked(Wait),
    /// These steps of the child are stuck.
    Stuck(Vec<StuckStep>),
    /// The process is shutting down.
    ShutDown,
}

impl From<Finished> for ChildEnd {
    fn from(finished: Finished) -> Self {
        match (finished.status, finished.error) {
            (RunStatus::Completed, _) => Self::Completed(finished.output.to_arc()),
            (RunStatus::Cancelled, _) => Self::Cancelled,
            (RunStatus::Compensated, Some(error)) if error.class == ErrorClass::Cancelled => Self::Cancelled,
            (_, Some(error)) => Self::Failed(Box::new(error)),
            (status, None) => {
                Self::Failed(Box::new(StepError::configuration("child_failed", status.as_str().to_owned())))
            }
        }
    }
}

impl Child {
    /// Returns the id of the child run of the step at `path` of the run `parent`: a UUID v8.
    #[must_use]
    pub fn id(parent: Uuid, path: &str) -> Uuid {
        let digest = Sha256::new().chain_update(parent.as_bytes()).chain_update(path).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

#[async_trait]
impl Children for InProcess {
    async fn run(&self, call: &Call, child: Child) -> Result<ChildEnd, StepError> {
        let engine = call.run().engine().clone();
        let resume = Some(Resume::new(child.id, call.run().now()));
        let options = RunOptions { resume, depth: child.depth, ..RunOptions::default() };
        let run = engine.start(&child.plan, WorkflowInput::new(child.input), &options)?;
        Ok(match drive_child(call, &run, engine.drive(&run)).await {
            Driven::Done(finished) => {
                if run.has_undos() {
                    lock(&call.run().ended_children).insert(child.id, run);
                }
                ChildEnd::from(*finished)
            }
            Driven::Parked(wait) => ChildEnd::Parked(wait),
            Driven::Stuck { steps, .. } => ChildEnd::Stuck(steps),
        })
    }

    async fn undo(&self, run: &Arc<Run>, child: Uuid) -> Result<ChildUndo, StepError> {
        let Some(child) = lock(&run.ended_children).remove(&child) else { return Ok(ChildUndo::NothingToUndo) };
        let outcome = child.compensate(Outcome::cancelled(Cancelled::new(CancelReason::Requested))).await;
        Ok(match child.stuck_if_undo_failed(outcome) {
            Outcome::Stuck(steps) => ChildUndo::Stuck(steps),
            Outcome::Parked(wait) => ChildUndo::Parked(child.clock().wait_to_engine(wait)),
            Outcome::Cancelled(cancelled) if cancelled.reason == CancelReason::Shutdown => ChildUndo::ShutDown,
            _ => child.undo_result(),
        })
    }
}

/// Awaits `driven`, the future that drives `child`, as part of the run of `call`. Both runs stop,
/// wait and park together.
pub async fn drive_child<T>(call: &Call, child: &Arc<Run>, driven: impl Future<Output = T>) -> T {
    drive_inside(call.run(), call.cancel(), child, driven).await
}

/// Awaits `driven`, the future that drives `child`, as part of the cleanup of `run`. Only a
/// shutdown stops it.
pub async fn drive_child_in_cleanup<T>(run: &Arc<Run>, child: &Arc<Run>, driven: impl Future<Output = T>) -> T {
    drive_inside(run, &run.cleanup, child, driven).await
}

async fn drive_inside<T>(run: &Arc<Run>, cancel: &Cancel, child: &Arc<Run>, driven: impl Future<Output = T>) -> T {
    child.cancel.set_around(cancel);
    child.share_signals_of(run);
    let mut driven = std::pin::pin!(driven);
    // A child driven only for cleanup does not execute its steps first.
    let mut is_stopped = cancel.is_cancelled();
    if is_stopped {
        stop_child(run, cancel, child);
    }
    let (mut is_parking, mut waiting) = (false, None);
    loop {
        tokio::select! {
            biased;
            driven = &mut driven => break driven,
            () = cancel.cancelled(), if !is_stopped => {
                is_stopped = true;
                stop_child(run, cancel, child);
            }
            () = run.park_requested(), if !is_parking => {
                is_parking = true;
                child.park();
            }
            times = child.until_waiting(), if waiting.is_none() => {
                waiting = Some(run.mark_waiting_for(times));
            }
            () = child.until_active(), if waiting.is_some() => waiting = None,
        }
    }
}

/// Stops `child` because the step of `call` is stopped.
fn stop_child(run: &Run, cancel: &Cancel, child: &Run) {
    match cancel.reason() {
        Some(CancelReason::Shutdown) => child.shut_down(),
        Some(CancelReason::Requested) if run.compensates_when_cancelled() => {
            child.cancel_and_compensate_by(&Asker::new(Who::Parent));
        }
        _ => child.cancel_by(&Asker::new(Who::Parent)),
    }
}

/// Executes a sub-workflow step.
pub(super) async fn sub_workflow(call: Call, plan: &SubPlan) -> Outcome {
    match prepare(&call, plan) {
        Ok(child) => {
            let known = ChildRun { run: child.id, definition: child.plan.definition_hash().to_owned() };
            let known = decide!(call, choice::Child(call.attempt()), known);
            let child = Child { id: known.run, ..child };
            let id = child.id;
            match call.run().engine().children().run(&call, child).await {
                Ok(end) => {
                    let (run, path) = (call.run().clone(), call.path().to_path());
                    let outcome = to_outcome(&call, &plan.name, id, end);
                    run.record_undoable_child(path, id, &outcome);
                    outcome
                }
                Err(error) => {
                    let message = format!("cannot start the run {id} of `{}`: {}", plan.name, error.message);
                    call.failed(StepError { message, ..error })
                }
            }
        }
        Err(error) => call.failed(error),
    }
}

fn prepare(call: &Call, plan: &SubPlan) -> Result<Child, StepError> {
    let run = call.run();
    let (depth, limit) = (run.depth + 1, run.limits().sub_workflow_depth_max);
    if depth > limit {
        let message = format!("sub-workflows are nested deeper than {limit}, the limit `sub_workflow_depth_max`");
        return Err(StepError::new(ErrorClass::Resource, "sub_workflow_depth_max", message).retryable(false));
    }
    let input = match call.input() {
        Some(input) => input.clone(),
        None => plan.input.render(&call.view())?,
    };
    // Each attempt has its own run.
    let attempt = if call.attempt() > 1 { format!("#{}", call.attempt()) } else { String::new() };
    let id = Child::id(run.id(), &format!("{}{attempt}", call.path()));
    Ok(Child { id, plan: plan.plan.clone(), input: Arc::unwrap_or_clone(input), depth })
}

/// Returns the outcome of the step whose child run ended with `end`.
fn to_outcome(call: &Call, name: &str, run: Uuid, end: ChildEnd) -> Outcome {
    match end {
        ChildEnd::Completed(output) => Outcome::completed(output),
        ChildEnd::Parked(wait) => Outcome::Parked(call.run().clock().wait_to_run(wait)),
        ChildEnd::Stuck(steps) => {
            let path = call.path().to_string();
            Outcome::Stuck(steps.into_iter().map(|step| step.inside(path.clone())).collect())
        }
        ChildEnd::Cancelled if call.cancel().is_cancelled() => call.cancelled(),
        ChildEnd::Cancelled => {
            // The child itself was cancelled. This also cancels the parent, which
            // needs the child's output.
            call.run().cancel_by(&Asker::new(Who::Child));
            Outcome::cancelled(Cancelled::new(CancelReason::Requested))
        }
        ChildEnd::Failed(cause) => {
            let message = format!("the run {run} of `{name}` failed: {}", cause.message);
            let error = StepError::new(cause.class, "child_failed", message).retryable(cause.retryable);
            call.failed(error.with_first_cause(*cause))
        }
    }
}
