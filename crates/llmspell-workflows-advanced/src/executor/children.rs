//! Sub-workflows as durable child runs.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Driven, Engine, ErrorClass, Plan, Run, RunOptions, RunStatus, StepError, WorkflowInput,
    engine::{
        Asker, Call, Child, ChildEnd, ChildUndo, Children, Extensions, InProcess, Outcome, Resume, Who, drive_child,
        drive_child_in_cleanup,
    },
};
use llmspell_workflows_state::{Parent, Rewound, RunJournal, RunState, Started, StepState};
use uuid::Uuid;

use super::{
    Inner,
    drive::{note_stuck, outcome},
    owned::OwnedRun,
};
use crate::{ExecutorError, home::Lease};

/// Runs sub-workflows as durable child runs, in the journal of their parent.
pub(super) struct DurableChildren(pub(super) Weak<Inner>);

#[async_trait]
impl Children for DurableChildren {
    async fn run(&self, call: &Call, child: Child) -> Result<ChildEnd, StepError> {
        let (Some(inner), Some(journal)) = (self.0.upgrade(), call.run().extension::<RunJournal>()) else {
            return InProcess.run(call, child).await;
        };
        // When the run is shut down, its step is cancelled too.
        let ended = inner.clone().child(call, child, &journal).await;
        ended.or_else(|error| inner.step_error(call.run(), error, ChildEnd::Cancelled))
    }

    async fn end(&self, run: &Arc<Run>, compensates: bool) -> Result<Option<ChildEnd>, StepError> {
        let (Some(inner), Some(journal)) = (self.0.upgrade(), run.extension::<RunJournal>()) else {
            return InProcess.end(run, compensates).await;
        };
        let ended = inner.clone().end_children(run, &journal, compensates).await;
        ended.or_else(|error| inner.step_error(run, error, None))
    }

    async fn undo(&self, run: &Arc<Run>, child: Uuid) -> Result<ChildUndo, StepError> {
        let (Some(inner), Some(journal)) = (self.0.upgrade(), run.extension::<RunJournal>()) else {
            return InProcess.undo(run, child).await;
        };
        let undone = inner.clone().undo_child(run, &journal, child).await;
        undone.or_else(|error| inner.step_error(run, error, ChildUndo::ShutDown))
    }
}

/// Why a child could not be driven.
enum ChildError {
    /// The step of the parent fails with this error.
    Step(StepError),
    /// The child cannot be driven because of the store or its owner, so the parent must stop too.
    Fault(ExecutorError),
}

impl<E: Into<ExecutorError>> From<E> for ChildError {
    fn from(error: E) -> Self {
        match error.into() {
            ExecutorError::Refused(error) => Self::Step(error),
            error => Self::Fault(error),
        }
    }
}

/// An open child run that can be driven.
struct OpenChild {
    id: Uuid,
    journal: Arc<RunJournal>,
    engine: Engine,
    run: Arc<Run>,
}

impl Inner {
    /// Returns the error with which a parent's step fails. A fault instead shuts the parent down
    /// and returns `stopped`; the task that drives the parent receives the fault.
    fn step_error<T>(&self, parent: &Run, error: ChildError, stopped: T) -> Result<T, StepError> {
        match error {
            ChildError::Step(error) => Err(error),
            ChildError::Fault(fault) => {
                if let Some(live) = self.registry.find(parent.id()) {
                    live.fail(fault);
                }
                parent.shut_down();
                Ok(stopped)
            }
        }
    }

    async fn child(self: Arc<Self>, call: &Call, child: Child, parent: &RunJournal) -> Result<ChildEnd, ChildError> {
        let may_exist = parent.may_have_child(child.id);
        let journal = self.child_journal(parent, child.id, may_exist).await?;
        if let Some((outcome, _)) = journal.outcome()? {
            return Ok(recorded(outcome));
        }
        let (engine, plan, started, is_new) = match journal.started() {
            Some(started) => {
                let ready = self.prepared_by_hash(&started.definition).await?;
                (ready.engine, ready.plan, started, false)
            }
            None => (call.run().engine().clone(), child.plan.clone(), self.started(call, &child).await?, true),
        };
        let child = self.start_child(journal, (engine, plan), &started, call.run()).await?;
        if is_new {
            let env = child.run.variable_env().clone();
            child.journal.start(Started { env, ..started }).await?;
        }
        let owned = self.enter(&child, parent).await?;
        let driven = drive_child(call, &child.run, child.engine.drive(&child.run)).await;
        self.leave(&child, owned, driven).await
    }

    /// Cancels the unfinished children of `run` and drives them to their end.
    async fn end_children(
        self: Arc<Self>,
        run: &Arc<Run>,
        parent: &RunJournal,
        compensates: bool,
    ) -> Result<Option<ChildEnd>, ChildError> {
        let records = parent.shared().records(run.id()).await?;
        let state = RunState::read_outline(&records);
        let of_open = state.steps().filter(|(_, step)| step.end().is_none());
        let mut open: Vec<(&str, Uuid)> =
            of_open.filter_map(|(path, step)| Some((path, StepState::child(step)?))).collect();
        open.sort_unstable();
        for (path, id) in open {
            let journal = self.child_journal(parent, id, true).await?;
            let Some(started) = journal.started() else { continue };
            if journal.has_ended() {
                run.record_ended_child(path, id);
                continue;
            }
            let ready = self.prepared_by_hash(&started.definition).await?;
            let child = self.start_child(journal, (ready.engine, ready.plan), &started, run).await?;
            let owned = self.enter(&child, parent).await?;
            let by = Asker::new(Who::Parent);
            if compensates {
                child.run.cancel_and_compensate_by(&by)
            } else {
                child.run.cancel_by(&by)
            }
            let driven = drive_child_in_cleanup(run, &child.run, child.engine.drive(&child.run)).await;
            match self.leave(&child, owned, driven).await? {
                ChildEnd::Stuck(steps) => {
                    let steps = steps.into_iter().map(|step| step.inside(path.to_owned())).collect();
                    return Ok(Some(ChildEnd::Stuck(steps)));
                }
                parked @ ChildEnd::Parked(_) => return Ok(Some(parked)),
                ChildEnd::Completed(_) | ChildEnd::Failed(_) | ChildEnd::Cancelled => run.record_ended_child(path, id),
            }
        }
        Ok(None)
    }

    /// Undoes the steps of an ended child.
    async fn undo_child(
        self: Arc<Self>,
        run: &Arc<Run>,
        parent: &RunJournal,
        id: Uuid,
    ) -> Result<ChildUndo, ChildError> {
        let journal = self.child_journal(parent, id, true).await?;
        let Some(started) = journal.started() else { return Ok(ChildUndo::NothingToUndo) };
        if journal.is_compensated() {
            // A failed child has undone its steps itself.
            let outcome = journal.outcome()?;
            let error = outcome.as_ref().and_then(|(outcome, _)| outcome.error());
            return Ok(match error {
                Some(error) if error.class != ErrorClass::Cancelled => ChildUndo::NothingToUndo,
                _ => ChildUndo::Undone,
            });
        }
        let ready = self.prepared_by_hash(&started.definition).await?;
        let child = self.start_child(journal, (ready.engine, ready.plan), &started, run).await?;
        // A reopened child ends again, even if all its compensation steps were given up.
        if child.journal.has_ended() {
            if !child.run.has_undos() {
                return Ok(child.run.undo_result());
            }
            let time_us = child.journal.time_us(run.now());
            child.journal.rewind(Rewound { time_us, ..Rewound::default() }).await?;
        }
        let owned = self.enter(&child, parent).await?;
        child.run.undo_ended_by(&Asker::new(Who::Parent));
        let driven = drive_child_in_cleanup(run, &child.run, child.engine.drive(&child.run)).await;
        Ok(match self.leave(&child, owned, driven).await? {
            ChildEnd::Parked(wait) => ChildUndo::Parked(wait),
            ChildEnd::Stuck(steps) => ChildUndo::Stuck(steps),
            _ if run.is_shut_down() => ChildUndo::ShutDown,
            _ => child.run.undo_result(),
        })
    }

    /// Opens the journal of a child, next to the journal of its parent. A child that may exist
    /// elsewhere is first moved to its parent, because it must not be started twice.
    async fn child_journal(
        self: &Arc<Self>,
        parent: &RunJournal,
        id: Uuid,
        may_exist: bool,
    ) -> Result<Arc<RunJournal>, ChildError> {
        let journal = self.journal_in(parent.shared(), id).await?;
        if !may_exist || journal.started().is_some() || !self.bring_child(parent, id).await? {
            return Ok(Arc::new(journal));
        }
        Ok(Arc::new(self.journal_in(parent.shared(), id).await?))
    }

    /// Brings a child into the journal of its parent; returns whether the child exists.
    async fn bring_child(self: &Arc<Self>, parent: &RunJournal, id: Uuid) -> Result<bool, ExecutorError> {
        let mut bringing = self.bring_in(parent.run()).await?;
        let Some(known) = self.home.get(id).await? else { return Ok(false) };
        let records = bringing.records(&known).await?;
        bringing.add(id, records);
        bringing.finish_in(&self.lease_around(parent.run()).await?).await?;
        Ok(true)
    }

    /// Returns the lease on the journal that contains a child's parent.
    async fn lease_around(&self, parent: Uuid) -> Result<Lease, ExecutorError> {
        let unknown = || ExecutorError::UnknownRun(parent.to_string());
        let around = self.registry.find(parent).ok_or_else(unknown)?;
        self.leased_journal(&around.journal).await.ok_or_else(unknown)
    }

    /// Starts or resumes the child in memory; nothing drives it yet.
    async fn start_child(
        self: &Arc<Self>,
        journal: Arc<RunJournal>,
        (engine, plan): (Engine, Arc<Plan>),
        started: &Started,
        around: &Run,
    ) -> Result<OpenChild, ChildError> {
        let id = journal.run();
        self.end_leftovers((&engine, &plan), &journal).await?;
        let resume = match journal.resume() {
            Some(resume) => self.with_signals_of_children(resume, &plan, &journal).await?,
            None => Resume::new(id, started.at),
        };
        let resume = resume.with_clock_ahead(around.clock_ahead());
        let extensions = self.mark_recorded_events(Extensions::new().with_shared(journal.clone()));
        let options =
            RunOptions { resume: Some(resume), extensions, depth: around.depth() + 1, ..RunOptions::default() };
        let run = engine.start(&plan, WorkflowInput::new(started.input.clone()), &options)?;
        Ok(OpenChild { id, journal, engine, run })
    }

    /// Makes this process the owner of the child in memory, and reads the child's messages.
    async fn enter(self: &Arc<Self>, child: &OpenChild, parent: &RunJournal) -> Result<OwnedRun, ChildError> {
        let id = parent.run();
        let around = self.registry.find(id).ok_or_else(|| ExecutorError::UnknownRun(id.to_string()))?;
        let owned = self.own_child(child.id, &around)?;
        owned.live.enter_memory(&child.run);
        self.read(&owned.live).await?;
        Ok(owned)
    }

    /// Records how the child ended or paused, and releases it.
    async fn leave(
        self: &Arc<Self>,
        child: &OpenChild,
        owned: OwnedRun,
        driven: Driven,
    ) -> Result<ChildEnd, ChildError> {
        owned.live.leave_memory();
        let fault = owned.live.take_fault();
        drop(owned);
        if let Some(fault) = fault {
            return Err(ChildError::Fault(fault));
        }
        let OpenChild { journal, run, .. } = child;
        let finished = match driven {
            Driven::Parked(wait) => return Ok(ChildEnd::Parked(wait)),
            Driven::Stuck { steps, .. } => {
                note_stuck(journal, &steps, run.now()).await?;
                return Ok(ChildEnd::Stuck(steps));
            }
            Driven::Done(finished) => finished,
        };
        if let Some(fault) = journal.fault() {
            return Err(fault.clone().into());
        }
        if run.is_shut_down() && finished.status == RunStatus::Cancelled {
            return Ok(ChildEnd::Cancelled);
        }
        // The child is moved to the store together with its parent.
        journal.close(&outcome(&finished), finished.ended_at, finished.status == RunStatus::Compensated).await?;
        Ok(ChildEnd::from(*finished))
    }

    async fn started(&self, call: &Call, child: &Child) -> Result<Started, ChildError> {
        call.run().check_recorded("the input of a workflow", &child.input)?;
        let definition = child.plan.definition();
        Ok(Started {
            at: call.run().now(),
            workflow: definition.name.clone(),
            version: definition.version.clone(),
            definition: self.home.keep(definition).await?,
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
