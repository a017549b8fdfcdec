//! Drives runs until they end or wait.

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Driven, Engine, Finished, Plan, Run, RunStatus, StepError,
    engine::{CancelReason, Cancelled, Failure, Outcome, Output, StuckStep},
    secrets::NotRestored,
};
use llmspell_workflows_state::{JournalError, Resumption, RunJournal};
use uuid::Uuid;

use super::{DurableEnd, DurableRun, Executor, Inner, Parking, lock, owned::OwnedRun};
use crate::{ExecutorError, home::Lease};

impl Executor {
    /// Drives `run` until it ends, waits, is paused or is shut down, and then releases it.
    ///
    /// A run that has not ended can be resumed. If the future is dropped, the running steps are stopped and the run is
    /// released, as after a crash.
    ///
    /// # Errors
    /// Returns an error if the journal could not be read or written. The run has then been shut down and can be
    /// resumed.
    pub async fn drive(&self, run: DurableRun) -> Result<DurableEnd, ExecutorError> {
        self.drive_to_rest(run).await.map(|(end, _owned)| end)
    }

    /// Drives `run` like [`Self::drive`], but keeps ownership of the run. A waiting run that is
    /// already due continues at once.
    pub(super) async fn drive_to_rest(&self, run: DurableRun) -> Result<(DurableEnd, OwnedRun), ExecutorError> {
        let (mut end, mut owned) = self.drive_once(run).await?;
        loop {
            let is_due = |wake_at: Timestamp| wake_at <= self.inner.engine.clock().now();
            match &end {
                DurableEnd::Waiting(wait) if wait.wake_at.is_some_and(is_due) && !owned.live.is_paused() => {
                    let next = Box::pin(self.reopen(owned)).await?;
                    (end, owned) = self.drive_once(next).await?;
                }
                DurableEnd::Waiting(_) | DurableEnd::Paused if owned.live.take_revoked_pause() => {
                    let next = Box::pin(self.reopen(owned)).await?;
                    (end, owned) = self.drive_once(next).await?;
                }
                _ => break,
            }
        }
        Ok((end, owned))
    }

    /// Brings an owned run back into memory and delivers the messages that arrived in the meantime.
    pub(super) async fn reopen(&self, owned: OwnedRun) -> Result<DurableRun, ExecutorError> {
        let lease = self.inner.lease_of(owned.live.id, &owned.live.journal).await?;
        let run = self.open(owned, &lease, Resumption::Woken).await?;
        self.read_inbox(&run, false).await?;
        Ok(run)
    }

    async fn drive_once(&self, run: DurableRun) -> Result<(DurableEnd, OwnedRun), ExecutorError> {
        let end = self.drive_in_memory(&run).await;
        let DurableRun { owned, .. } = run;
        owned.live.leave_memory();
        end.map(|end| (end, owned))
    }

    async fn drive_in_memory(&self, run: &DurableRun) -> Result<DurableEnd, ExecutorError> {
        let live = &run.owned.live;
        if let Some(reason) = run.journal.not_restored() {
            return Err(not_restored(reason).into());
        }
        let mut driven = std::pin::pin!(run.run.engine().drive(&run.run));
        let driven = tokio::select! {
            biased;
            driven = &mut driven => driven,
            // Stop the run so that it can be dropped from memory.
            () = self.until_parkable(&run.run) => {
                run.run.park();
                driven.await
            }
        };
        if let Some(fault) = live.take_fault() {
            return Err(fault);
        }
        let finished = match driven {
            Driven::Parked(_) if live.is_paused() => return Ok(DurableEnd::Paused),
            Driven::Parked(wait) => return Ok(DurableEnd::Waiting(wait)),
            Driven::Stuck { steps, .. } => {
                note_stuck(&run.journal, &steps, run.run.now()).await?;
                let with_path = |step: StuckStep| {
                    let path = step.to_string();
                    (path.clone(), step.error.at(path))
                };
                return Ok(DurableEnd::Stuck(steps.into_iter().map(with_path).collect()));
            }
            Driven::Done(finished) => finished,
        };
        if let Some(fault) = run.journal.fault() {
            return Err(fault.clone().into());
        }
        if run.run.is_shut_down() && finished.status == RunStatus::Cancelled {
            return Ok(DurableEnd::Paused);
        }
        run.journal.close(&outcome(&finished), finished.ended_at, finished.status == RunStatus::Compensated).await?;
        self.inner.registry.note_ended(&live.journal, &[run.id()]);
        self.inner.archive_ended(&live.journal);
        Ok(DurableEnd::Finished(finished))
    }

    /// Waits until all live branches of `run` are waiting, and will wait long enough to park the
    /// run.
    async fn until_parkable(&self, run: &Run) {
        loop {
            let times = run.until_waiting().await;
            let far = |wake: Timestamp, after: std::time::Duration| {
                wake.duration_since(self.inner.engine.clock().now()).unsigned_abs() >= after
            };
            let leaves = match *lock(&self.inner.parking) {
                Parking::Never => false,
                Parking::ForSignals => times.next_timer().is_none(),
                Parking::After(after) => {
                    times.next_wake().is_none_or(|wake| wake > self.inner.engine.clock().now() && far(wake, after))
                }
            };
            if leaves {
                return;
            }
            run.until_active().await;
        }
    }

    /// Opens a run that this executor owns, from the run's journal.
    pub(super) async fn open(
        &self,
        owned: OwnedRun,
        lease: &Lease,
        why: Resumption,
    ) -> Result<DurableRun, ExecutorError> {
        let id = owned.live.id;
        let journal = std::sync::Arc::new(self.inner.journal_in(lease.journal.clone(), id).await?);
        // The former owner may have finished the run after it was looked up.
        if journal.has_ended() {
            return Err(ExecutorError::Ended { run: id });
        }
        let unknown = || ExecutorError::UnknownRun(id.to_string());
        let started = journal.started().ok_or_else(unknown)?;
        let ready = self.inner.prepared_by_hash(&started.definition).await?;
        self.inner.end_leftovers((&ready.engine, &ready.plan), &journal).await?;
        let mut input = llmspell_workflows_basic::WorkflowInput::new(started.input.clone());
        input.starting_step.clone_from(&started.starting_step);
        let resume = journal.resume().ok_or_else(unknown)?;
        let resume = self.inner.with_signals_of_children(resume, &ready.plan, &journal).await?;
        journal.set_resumption(why);
        let run = self.run((&ready.engine, &ready.plan), input, &started, resume, &journal)?;
        owned.live.enter_memory(&run);
        Ok(DurableRun { run, plan: ready.plan, journal, owned })
    }
}

impl Inner {
    /// Ends the leftovers of steps that were executing when the run's former process died.
    pub(super) async fn end_leftovers(
        &self,
        (engine, plan): (&Engine, &Plan),
        journal: &RunJournal,
    ) -> Result<(), ExecutorError> {
        let mut interrupted = journal.interrupted();
        interrupted.retain(|path| plan.may_leave_leftovers(path));
        if interrupted.is_empty() {
            return Ok(());
        }
        let run = journal.run();
        let left = engine.activities().end_leftovers(run, &interrupted).await;
        if left.is_empty() { Ok(()) } else { Err(ExecutorError::StillRunning { run, left }) }
    }

    /// Returns the current records of a run, including records that this process has not written
    /// yet.
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

/// Returns the error of a run that cannot be driven because a secret is missing from its records.
pub(super) fn not_restored(reason: &NotRestored) -> StepError {
    let message = format!("the records of the run contain a masked secret that cannot be restored: {reason}");
    StepError::configuration("secret_not_restored", message)
}

/// Records the stuck steps of the run itself. Stuck steps in a sub-workflow are recorded in the sub-workflow's run.
pub(super) async fn note_stuck(journal: &RunJournal, steps: &[StuckStep], at: Timestamp) -> Result<(), JournalError> {
    for step in steps.iter().filter(|step| step.around.is_empty()) {
        journal.note_stuck(step.path.clone(), (*step.error).clone(), at).await?;
    }
    Ok(())
}

/// Returns the outcome of the root step in its recorded form.
pub(super) fn outcome(finished: &Finished) -> Outcome {
    let error = || finished.error.clone().unwrap_or_else(|| unreachable!("a run that did not complete has an error"));
    match (finished.status, &finished.skipped) {
        (RunStatus::Completed, Some(reason)) => Outcome::Skipped(reason.clone()),
        (RunStatus::Completed, None) => {
            let state_changes = finished.state_changes.clone();
            Outcome::Completed(Output { value: finished.output.clone(), state_changes })
        }
        (RunStatus::Cancelled, _) => {
            let later_errors = finished.later_errors.clone();
            Outcome::cancelled(Cancelled { later_errors, ..Cancelled::new(CancelReason::Requested) })
        }
        (_, _) => Outcome::Failed(Failure::new(error()).with_later_errors(finished.later_errors.clone())),
    }
}
