//! Runs at work, and at their end.

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Driven, Finished, Run, RunStatus, StepError,
    engine::{CancelReason, Cancelled, Failure, Outcome, Output, StepStatus},
};
use llmspell_workflows_hooks::event::Entry;
use llmspell_workflows_state::{JournalError, RunJournal};
use uuid::Uuid;

use super::{DurableEnd, DurableRun, Executor, Inner, Parking, lock, owned::Owned, resolve::StuckStep};
use crate::{ExecutorError, home::Lease};

impl Executor {
    /// Drives `run` until it ends, waits, or is paused or shut down. Then nobody owns it any more, so that it can be
    /// resumed if it has not ended.
    ///
    /// If the future is dropped, what runs of it is stopped and the run is released, as after a crash.
    ///
    /// # Errors
    /// The journal could not be written or read, so the run was shut down; it can be resumed.
    pub async fn drive(&self, run: DurableRun) -> Result<DurableEnd, ExecutorError> {
        self.drive_to_rest(run).await.map(|(end, _owned)| end)
    }

    /// The same, with the ownership of the run; one whose time has come while it left memory continues at once.
    pub(super) async fn drive_to_rest(&self, run: DurableRun) -> Result<(DurableEnd, Owned), ExecutorError> {
        let id = run.id();
        let (mut end, mut owned) = self.drive_once(run).await?;
        loop {
            let is_due = |wake_at: Timestamp| wake_at <= self.inner.engine.clock().now();
            match &end {
                DurableEnd::Waiting(wait) if wait.wake_at.is_some_and(is_due) && !owned.live.is_paused() => {
                    let next = Box::pin(self.reopen(owned, Entry::Woken)).await?;
                    (end, owned) = self.drive_once(next).await?;
                }
                _ => break,
            }
        }
        if let DurableEnd::Stuck(steps) = &end {
            self.inner.services.tell_stuck(id, self.inner.engine.clock().now(), steps);
        }
        Ok((end, owned))
    }

    /// Brings a run that is owned already back into memory, with the messages that have come.
    pub(super) async fn reopen(&self, owned: Owned, entry: Entry) -> Result<DurableRun, ExecutorError> {
        let lease = self.inner.lease_of(owned.live.id, &owned.live.journal).await?;
        let run = self.open(owned, &lease, entry).await?;
        self.read_inbox(&run, false).await?;
        Ok(run)
    }

    async fn drive_once(&self, run: DurableRun) -> Result<(DurableEnd, Owned), ExecutorError> {
        let end = self.drive_in_memory(&run).await;
        let DurableRun { owned, .. } = run;
        owned.live.leaves_memory();
        end.map(|end| (end, owned))
    }

    async fn drive_in_memory(&self, run: &DurableRun) -> Result<DurableEnd, ExecutorError> {
        let live = &run.owned.live;
        let mut driven = std::pin::pin!(run.run.engine().drive(&run.run));
        let driven = tokio::select! {
            biased;
            driven = &mut driven => driven,
            // Held, it parks.
            () = self.leaves_memory(&run.run) => {
                run.run.hold();
                driven.await
            }
        };
        let finished = match driven {
            Driven::Parked(_) if live.is_paused() => return Ok(DurableEnd::Paused),
            // Whatever else there is may still go on by itself.
            Driven::Parked(wait) if wait == Default::default() && !run.journal.stuck().is_empty() => {
                return Ok(DurableEnd::Stuck(run.journal.stuck()));
            }
            Driven::Parked(wait) if wait == Default::default() => return self.stuck_inside(run).await,
            Driven::Parked(wait) => return Ok(DurableEnd::Waiting(wait)),
            Driven::Done(finished) => finished,
        };
        if let Some(fault) = run.journal.fault() {
            return Err(fault.clone().into());
        }
        if run.run.is_shut_down() && finished.status == RunStatus::Cancelled {
            return Ok(DurableEnd::Paused);
        }
        if finished.status == RunStatus::Stuck || !run.journal.stuck().is_empty() {
            self.inner.note_stuck(&run.journal, &finished).await?;
            return Ok(DurableEnd::Stuck(run.journal.stuck()));
        }
        run.journal.close(&outcome(&finished), finished.ended_at, finished.status == RunStatus::Compensated).await?;
        self.inner.registry.have_ended(&live.journal, &[run.id()]);
        self.inner.archive_ended(&live.journal);
        Ok(DurableEnd::Finished(finished))
    }

    /// A run that waits for nothing but a stuck sub-workflow.
    async fn stuck_inside(&self, run: &DurableRun) -> Result<DurableEnd, ExecutorError> {
        let known = self.inner.home.get(run.id()).await?;
        let known = known.ok_or_else(|| ExecutorError::UnknownRun(run.id().to_string()))?;
        let stuck = self.inner.stuck_steps(&known).await?;
        if !stuck.is_empty() {
            let told = |step: StuckStep| (step.to_string(), step.error.clone().at(step.to_string()));
            return Ok(DurableEnd::Stuck(stuck.into_iter().map(told).collect()));
        }
        let steps = run.run.steps();
        let child = steps.iter().find(|step| step.is_leaf && step.status == StepStatus::Waiting);
        let path = child.map(|step| step.path.to_string()).unwrap_or_default();
        let error = StepError::configuration("child_stuck", "the step's sub-workflow is stuck at an unknown step");
        Ok(DurableEnd::Stuck(vec![(path.clone(), error.at(path))]))
    }

    /// Ends when `run` waits so long that it need not be in memory.
    async fn leaves_memory(&self, run: &Run) {
        loop {
            run.all_wait().await;
            let far = |wake: Timestamp, after: std::time::Duration| {
                wake.duration_since(self.inner.engine.clock().now()).unsigned_abs() >= after
            };
            let leaves = match (*lock(&self.inner.parking), run.next_wake()) {
                (Parking::Never, _) | (Parking::ForSignals, Some(_)) => false,
                (Parking::ForSignals | Parking::After(_), None) => true,
                (Parking::After(after), Some(wake)) => wake > self.inner.engine.clock().now() && far(wake, after),
            };
            if leaves {
                return;
            }
            run.goes_on().await;
        }
    }

    /// Reads the journal of a run that this executor owns.
    pub(super) async fn open(&self, owned: Owned, lease: &Lease, entry: Entry) -> Result<DurableRun, ExecutorError> {
        let id = owned.live.id;
        let journal = std::sync::Arc::new(RunJournal::open(lease.journal.clone(), id).await?);
        // Its process may have brought it to its end since it was looked up.
        if journal.has_ended() {
            return Err(ExecutorError::Ended { run: id });
        }
        let unknown = || ExecutorError::UnknownRun(id.to_string());
        let started = journal.started().ok_or_else(unknown)?;
        let ready = self.inner.recalled(&started.definition).await?;
        let mut input = llmspell_workflows_basic::WorkflowInput::new(started.input.clone());
        input.starting_step.clone_from(&started.starting_step);
        let resume = journal.resume().ok_or_else(unknown)?;
        let run = self.run((&ready.engine, &ready.plan), input, &started, (resume, entry), &journal)?;
        owned.live.enters_memory(&run);
        Ok(DurableRun { run, plan: ready.plan, journal, owned })
    }
}

impl Inner {
    /// Notes that a run cannot undo what it did.
    pub(super) async fn note_stuck(&self, journal: &RunJournal, finished: &Finished) -> Result<(), JournalError> {
        match &finished.error {
            Some(error) if finished.status == RunStatus::Stuck => {
                let path = error.path.clone().unwrap_or_default();
                // The undoing as a whole is to be resolved, wherever in it the error is.
                let undo = path.find("/$undo").map_or(path.clone(), |at| path[..at + "/$undo".len()].to_owned());
                journal.note_stuck(undo, error.clone()).await
            }
            _ => Ok(()),
        }
    }

    /// The records of a run as they are now, those that only this process has so far among them.
    pub(super) async fn records(&self, run: Uuid) -> Result<Vec<llmspell_workflows_state::Record>, ExecutorError> {
        for lease in self.leased().await {
            let records = lease.journal.records(run).await?;
            if !records.is_empty() {
                return Ok(records);
            }
        }
        let known = self.home.get(run).await?.ok_or_else(|| ExecutorError::UnknownRun(run.to_string()))?;
        self.home.records(&known).await
    }
}

/// How the root step ended, as far as anyone asks later.
pub(super) fn outcome(finished: &Finished) -> Outcome {
    let error = || finished.error.clone().unwrap_or_else(|| unreachable!("a run that did not complete has an error"));
    match finished.status {
        RunStatus::Completed => {
            let state_changes = finished.state_changes.clone();
            Outcome::Completed(Output { value: finished.output.clone(), state_changes })
        }
        RunStatus::Cancelled => Outcome::Cancelled(Cancelled::new(CancelReason::Requested)),
        _ => Outcome::Failed(Failure { error: Box::new(error()), handled: false }),
    }
}
