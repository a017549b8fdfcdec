//! Runs at work, parked, and at their end.

use std::future::pending;

use jiff::Timestamp;
use llmspell_workflows_basic::{
    Driven, Finished, Run, RunStatus,
    engine::{CancelReason, Cancelled, Failure, Outcome, Output, StuckStep, Wait},
};
use llmspell_workflows_state::{JournalError, Resumption, RunJournal};
use uuid::Uuid;

use super::{DurableEnd, DurableRun, Executor, Live, Parking, lock};
use crate::{ExecutorError, home::Claim};

/// How many runs that have ended stay in a journal before they are moved to the store.
const ENDED_MAX: usize = 32;

impl Executor {
    /// Drives `run` until it ends, waits, or is paused or shut down.
    ///
    /// # Errors
    /// The journal could not be written or read, so the run was shut down; it can be resumed.
    pub async fn drive(&self, run: &DurableRun) -> Result<DurableEnd, ExecutorError> {
        let end = self.drive_on(run).await;
        if !matches!(end, Ok(DurableEnd::Waiting(_))) {
            lock(&self.inner.live).remove(&run.id());
        }
        lock(&run.live.run).take();
        end
    }

    /// Where a message comes while it leaves memory it goes on at once.
    async fn drive_on(&self, run: &DurableRun) -> Result<DurableEnd, ExecutorError> {
        let mut end = self.drive_once(run).await?;
        loop {
            let is_due = |wake_at: Timestamp| wake_at <= self.inner.engine.clock().now();
            match &end {
                DurableEnd::Waiting(wait) if wait.wake_at.is_some_and(is_due) && !run.live.is_paused() => {
                    let claim = self.claim_of(run.id(), &run.folder)?;
                    let next = Box::pin(self.reopen(run.id(), &claim)).await?;
                    end = self.drive_once(&next).await?;
                }
                _ => return Ok(end),
            }
        }
    }

    /// Drives `run` until it ends, or is paused or shut down: while it waits it is parked, and woken when it goes on.
    ///
    /// # Errors
    /// The journal could not be written or read; the run can be resumed.
    pub async fn finish(&self, run: DurableRun) -> Result<DurableEnd, ExecutorError> {
        let (live, folder) = (run.live.clone(), run.folder.clone());
        let mut run = Some(run);
        loop {
            let next = match run.take() {
                Some(run) => run,
                None => {
                    let claim = self.claim_of(live.id, &folder)?;
                    Box::pin(self.reopen(live.id, &claim)).await?
                }
            };
            // Boxed, and gone before it waits: a parked run holds little.
            let end = Box::pin(self.drive(&next)).await?;
            drop(next);
            let DurableEnd::Waiting(wait) = end else { return Ok(end) };
            self.parked(&live, wait).await;
            if live.is_paused() {
                lock(&self.inner.live).remove(&live.id);
                return Ok(DurableEnd::Paused);
            }
        }
    }

    async fn reopen(&self, run: Uuid, claim: &Claim) -> Result<DurableRun, ExecutorError> {
        let run = self.open(run, claim, Resumption::Woken).await?;
        self.read_inbox(&run, false).await?;
        Ok(run)
    }

    /// Ends when a parked run may go on.
    async fn parked(&self, live: &Live, wait: Wait) {
        let time = async {
            match wait.wake_at {
                Some(wake_at) => self.inner.engine.clock().sleep_until(wake_at).await,
                None => pending().await,
            }
        };
        // One that came while it parked was for nobody.
        if wait.inbox_after.is_some_and(|after| lock(&live.seen).last_signal > after) {
            return;
        }
        tokio::select! {
            biased;
            () = live.arrival.notified() => {}
            () = time => {}
        }
    }

    async fn drive_once(&self, run: &DurableRun) -> Result<DurableEnd, ExecutorError> {
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
            Driven::Parked(_) if run.live.is_paused() => return Ok(DurableEnd::Paused),
            Driven::Parked(wait) => return Ok(DurableEnd::Waiting(wait)),
            Driven::Stuck { steps, .. } => {
                note_stuck(&run.journal, &steps, self.inner.engine.clock().now()).await?;
                let told = |step: StuckStep| {
                    let path = step.to_string();
                    (path.clone(), step.error.at(path))
                };
                return Ok(DurableEnd::Stuck(steps.into_iter().map(told).collect()));
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
        let claim = self.claim_of(run.id(), &run.folder)?;
        lock(&self.inner.claims).by_folder.entry(claim.folder.clone()).or_insert(claim.clone()).ended.push(run.id());
        self.archive_ended(&claim);
        Ok(DurableEnd::Finished(finished))
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

    /// Moves runs that have ended from the journal to the store, in the background, once there are many.
    pub(super) fn archive_ended(&self, claim: &Claim) {
        let ended = {
            let mut claims = lock(&self.inner.claims);
            let Some(claim) = claims.by_folder.get_mut(&claim.folder) else { return };
            if claim.ended.len() < ENDED_MAX {
                return;
            }
            std::mem::take(&mut claim.ended)
        };
        let (home, claim, archiving) = (self.inner.home.clone(), claim.clone(), self.inner.archiving.clone());
        tokio::task::spawn_blocking(move || {
            let _archiving = archiving.blocking_lock();
            let moved = tokio::runtime::Handle::current().block_on(home.archive(&claim, &ended));
            // They stay where they are, and are moved by whoever has the journal next.
            if let Err(error) = moved {
                tracing::warn!(target: "spellflow", %error, "runs that have ended stay in the journal");
            }
        });
    }
}

/// Notes the stuck steps of a run itself; those of the runs inside of it are on record there.
pub(super) async fn note_stuck(journal: &RunJournal, steps: &[StuckStep], at: Timestamp) -> Result<(), JournalError> {
    for step in steps.iter().filter(|step| step.around.is_empty()) {
        journal.note_stuck(step.path.clone(), (*step.error).clone(), at).await?;
    }
    Ok(())
}

/// How the root step ended, as far as anyone asks later.
pub(super) fn outcome(finished: &Finished) -> Outcome {
    let error = || finished.error.clone().unwrap_or_else(|| unreachable!("what did not complete says why"));
    match (finished.status, &finished.skipped) {
        (RunStatus::Completed, Some(reason)) => Outcome::Skipped(reason.clone()),
        (RunStatus::Completed, None) => {
            let state_changes = finished.state_changes.clone();
            Outcome::Completed(Output { value: finished.output.clone(), state_changes })
        }
        (RunStatus::Cancelled, _) => Outcome::Cancelled(Cancelled::new(CancelReason::Requested)),
        (_, _) => Outcome::Failed(Failure { error: Box::new(error()), handled: false }),
    }
}
