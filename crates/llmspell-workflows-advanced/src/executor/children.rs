//! Sub-workflows as durable child runs.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Driven, Engine, Plan, Run, RunOptions, RunStatus, StepError, WorkflowInput,
    engine::{
        Asker, Call, Child, ChildEnd, ChildUndo, Children, Extensions, InProcess, Outcome, Resume, Who, drive_child,
        drive_child_in_cleanup,
    },
};
use llmspell_workflows_state::{JournalError, Parent, Rewound, RunJournal, RunState, Started, StepState};
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
        match (self.0.upgrade(), call.run().extension::<RunJournal>()) {
            (Some(inner), Some(journal)) => inner.child(call, child, &journal).await,
            _ => InProcess.run(call, child).await,
        }
    }

    async fn end(&self, run: &Arc<Run>, compensates: bool) -> Result<Option<ChildEnd>, StepError> {
        match (self.0.upgrade(), run.extension::<RunJournal>()) {
            (Some(inner), Some(journal)) => inner.end_children(run, &journal, compensates).await,
            _ => InProcess.end(run, compensates).await,
        }
    }

    async fn undo(&self, run: &Arc<Run>, child: Uuid) -> Result<ChildUndo, StepError> {
        match (self.0.upgrade(), run.extension::<RunJournal>()) {
            (Some(inner), Some(journal)) => inner.undo_child(run, &journal, child).await,
            _ => InProcess.undo(run, child).await,
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
    async fn child(self: Arc<Self>, call: &Call, child: Child, parent: &RunJournal) -> Result<ChildEnd, StepError> {
        let may_exist = parent.may_have_child(child.id);
        let journal = self.child_journal(parent, child.id, may_exist).await?;
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
        let child = self.start_child(journal, (engine, plan), &started, call.run()).await?;
        if is_new {
            child.journal.start(started).await.map_err(journal_error)?;
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
    ) -> Result<Option<ChildEnd>, StepError> {
        let records = parent.shared().records(run.id()).await.map_err(journal_error)?;
        let state = RunState::read_outline(&records);
        let of_open = state.steps().filter(|(_, step)| step.end().is_none());
        let mut open: Vec<(&str, Uuid)> =
            of_open.filter_map(|(path, step)| Some((path, StepState::child(step)?))).collect();
        open.sort_unstable();
        for (path, id) in open {
            let journal = self.child_journal(parent, id, true).await?;
            let Some(started) = journal.started().filter(|_| !journal.has_ended()) else { continue };
            let ready = self.prepared_by_hash(&started.definition).await.map_err(child_error)?;
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
                ChildEnd::Completed(_) | ChildEnd::Failed(_) | ChildEnd::Cancelled => {}
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
    ) -> Result<ChildUndo, StepError> {
        let journal = self.child_journal(parent, id, true).await?;
        let Some(started) = journal.started() else { return Ok(ChildUndo::NothingToUndo) };
        if journal.is_compensated() {
            return Ok(ChildUndo::Undone);
        }
        let ready = self.prepared_by_hash(&started.definition).await.map_err(child_error)?;
        let child = self.start_child(journal, (ready.engine, ready.plan), &started, run).await?;
        if !child.run.has_undos() {
            return Ok(ChildUndo::NothingToUndo);
        }
        if child.journal.has_ended() {
            let time_us = child.journal.time_us(run.now());
            child.journal.rewind(Rewound { time_us, ..Rewound::default() }).await.map_err(journal_error)?;
        }
        let owned = self.enter(&child, parent).await?;
        child.run.undo_ended_by(&Asker::new(Who::Parent));
        let driven = drive_child_in_cleanup(run, &child.run, child.engine.drive(&child.run)).await;
        Ok(match self.leave(&child, owned, driven).await? {
            ChildEnd::Parked(wait) => ChildUndo::Parked(wait),
            ChildEnd::Stuck(steps) => ChildUndo::Stuck(steps),
            _ if run.is_shut_down() => ChildUndo::ShutDown,
            _ if child.run.is_compensated() => ChildUndo::Undone,
            _ => ChildUndo::NothingToUndo,
        })
    }

    /// Opens the journal of a child, next to the journal of its parent. A child that may exist
    /// elsewhere is first moved to its parent, because it must not be started twice.
    async fn child_journal(
        self: &Arc<Self>,
        parent: &RunJournal,
        id: Uuid,
        may_exist: bool,
    ) -> Result<Arc<RunJournal>, StepError> {
        let journal = self.journal_in(parent.shared(), id).await.map_err(journal_error)?;
        if !may_exist || journal.started().is_some() || !self.bring_child(parent, id).await.map_err(child_error)? {
            return Ok(Arc::new(journal));
        }
        Ok(Arc::new(self.journal_in(parent.shared(), id).await.map_err(journal_error)?))
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

    /// Returns the lease on the journal of a child's parent.
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
    ) -> Result<OpenChild, StepError> {
        let id = journal.run();
        self.end_leftovers(&engine, &journal).await.map_err(child_error)?;
        let resume = journal.resume().unwrap_or_else(|| Resume::new(id, started.at));
        let resume = resume.with_clock_ahead(around.clock_ahead());
        let extensions = self.mark_recorded_events(Extensions::new().with_shared(journal.clone()));
        let options =
            RunOptions { resume: Some(resume), extensions, depth: around.depth() + 1, ..RunOptions::default() };
        let run = engine.start(&plan, WorkflowInput::new(started.input.clone()), &options)?;
        Ok(OpenChild { id, journal, engine, run })
    }

    /// Makes this process the owner of the child, which is then in memory, and reads the child's messages.
    async fn enter(self: &Arc<Self>, child: &OpenChild, parent: &RunJournal) -> Result<OwnedRun, StepError> {
        let id = parent.run();
        let around = self.registry.find(id).ok_or_else(|| child_error(ExecutorError::UnknownRun(id.to_string())))?;
        let owned = self.own_child(child.id, &around.journal).map_err(child_error)?;
        owned.live.enter_memory(&child.run);
        self.read(&owned.live).await.map_err(child_error)?;
        Ok(owned)
    }

    /// Records how the child ended or paused, and releases it.
    async fn leave(
        self: &Arc<Self>,
        child: &OpenChild,
        owned: OwnedRun,
        driven: Driven,
    ) -> Result<ChildEnd, StepError> {
        owned.live.leave_memory();
        drop(owned);
        let OpenChild { journal, run, .. } = child;
        let finished = match driven {
            Driven::Parked(wait) => return Ok(ChildEnd::Parked(wait)),
            Driven::Stuck { steps, .. } => {
                note_stuck(journal, &steps, run.now()).await.map_err(journal_error)?;
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
        // The child is moved to the store together with its parent.
        journal
            .close(&outcome(&finished), finished.ended_at, finished.status == RunStatus::Compensated)
            .await
            .map_err(journal_error)?;
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
