use std::sync::{PoisonError, atomic::Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use llmspell_workflows_basic::{
    ErrorClass, Run, StepError,
    engine::{
        Asker, Call, CancelReason, Decision, DecisionPoint, Failure, Happening, Interceptor, Next, NextDecision,
        NextRecall, Outcome, StuckStep, Warning, Who,
    },
    model::{Durability, Effect, Step},
};

use super::{RunJournal, StepState};
use crate::{
    journal::JournalError,
    record::{Record, Request, Resumption, Suspension, poison, unknown_effect},
};

/// The interceptor that replays recorded results from the journal and records each step.
///
/// It handles only runs with a [`RunJournal`] among their extensions. Leaf outcomes and
/// nondeterministic choices are synced before they become visible. Everything else is
/// appended without waiting; a sync also covers everything appended before it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Journaling;

#[async_trait]
impl Interceptor for Journaling {
    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        let Some(journal) = call.run().extension::<RunJournal>() else { return next.run(call).await };
        let run = call.run().clone();
        match journal.intercept_recorded(call, next).await {
            Ok(outcome) => outcome,
            Err(_) => {
                run.shut_down();
                RunJournal::stopped()
            }
        }
    }

    async fn recall(&self, point: DecisionPoint<'_>, next: NextRecall<'_>) -> Result<Option<Decision>, StepError> {
        let Some(journal) = point.call.run().extension::<RunJournal>() else { return next.run(point).await };
        match journal.decided(&point.call.path().to_string(), point.key) {
            Some(known) => Ok(Some(known)),
            None => next.run(point).await,
        }
    }

    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        let Some(journal) = point.call.run().extension::<RunJournal>() else { return next.run(point, decision).await };
        let path = point.call.path().to_string();
        if let Some(known) = journal.decided(&path, point.key) {
            return Ok(known);
        }
        let asked = decision.clone();
        let decision = next.run(point, decision).await?;
        if decision.is_withheld() {
            return Ok(decision);
        }
        let run = point.call.run();
        if !run.masker().is_empty() && !decision.has_data() {
            let recorded = serde_json::to_value(&decision).unwrap_or_default();
            run.check_recorded(&format!("the choice `{}`", point.key), &recorded)?;
        }
        let is_changed = decision != asked;
        let record = Record::Decided { path, decision: decision.clone(), masks: Vec::new(), time_us: time_us(run) };
        journal.decide(&record, is_changed, point.call.run().definition().durability).await.map_err(|error| {
            point.call.run().shut_down();
            RunJournal::step_error(&error)
        })?;
        Ok(decision)
    }

    fn recorded(&self, run: &Run, path: &str) -> Option<Outcome> {
        run.extension::<RunJournal>()?.past_outcome(path)
    }

    fn observe(&self, run: &Run, happening: Happening<'_>) {
        if let Some(journal) = run.extension::<RunJournal>() {
            journal.observe(run, happening);
        }
    }
}

/// Returns the time since the start of the run, in microseconds.
fn time_us(run: &Run) -> u64 {
    u64::try_from(run.now().duration_since(run.started_at()).as_micros()).unwrap_or(0)
}

/// The interceptor inside the retry layer that records the beginning of each attempt of an
/// activity after the first.
///
/// If such an attempt crashes its process, the crash counts against the step, as a crash
/// during the first attempt does.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttemptJournaling;

#[async_trait]
impl Interceptor for AttemptJournaling {
    fn applies(&self, step: &Step) -> bool {
        step.retry.is_some() && step.kind.traits().effect == Effect::Activity
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        if call.attempt() == 1 {
            return next.run(call).await;
        }
        let Some(journal) = call.run().extension::<RunJournal>() else { return next.run(call).await };
        let record = Record::Began { path: call.path().to_string(), time_us: time_us(call.run()) };
        let written = match (journal.append(&record), call.run().definition().durability) {
            (Ok(_), Durability::None) => Ok(()),
            (Ok(receipt), _) => journal.write(receipt).await,
            (Err(error), _) => Err(error),
        };
        match written {
            Ok(()) => next.run(call).await,
            Err(_) => {
                call.run().shut_down();
                RunJournal::stopped()
            }
        }
    }
}

impl RunJournal {
    async fn intercept_recorded(&self, call: Call, next: Next) -> Result<Outcome, JournalError> {
        let is_leaf = call.step().kind.is_leaf();
        let is_activity = call.step().kind.traits().effect == Effect::Activity;
        let (path, run) = (call.path().to_string(), call.run().clone());
        self.check_secrets()?;
        let past = self.past(&path)?;
        if let Some(outcome) = past.outcome {
            // A cancelled run stays cancelled; the cancellation of the run itself is recorded only when the run ends.
            if matches!(&outcome, Outcome::Cancelled(cancelled) if cancelled.reason == CancelReason::Requested) {
                run.cancel_by(&Asker::new(Who::Record));
            }
            return Ok(outcome);
        }
        if let Some(error) = past.stuck {
            return Ok(Outcome::Stuck(vec![StuckStep::new(path, error)]));
        }
        let runs_once = is_activity && call.step().at_most_once;
        let crashes = if is_activity { past.crashes } else { 0 };
        let outcome = if runs_once && crashes > 0 {
            return self.mark_stuck(path, unknown_effect("the process ended").at(call.path()), run.now()).await;
        } else if crashes >= run.engine().limits().crash_cuts_max {
            let error = Box::new(poison(crashes).at(call.path()));
            Outcome::Failed(Failure::new(error))
        } else {
            // Later attempts are recorded as they begin, by the interceptor inside the retry layer.
            if is_activity && !past.is_between_attempts {
                // Written before the activity begins so that a crash caused by the activity counts
                // against it.
                let receipt = self.append(&Record::Began { path: path.clone(), time_us: time_us(&run) })?;
                match run.definition().durability {
                    _ if runs_once => self.sync(receipt).await?,
                    Durability::None => {}
                    _ => self.write(receipt).await?,
                }
            }
            next.run(call).await
        };
        if runs_once {
            match &outcome {
                // As after a crash, nothing is recorded.
                Outcome::Cancelled(cancelled) if cancelled.reason == CancelReason::Shutdown => return Ok(outcome),
                Outcome::Cancelled(cancelled) => {
                    let error = unknown_effect(&format!("it was stopped ({})", cancelled.reason.as_str()));
                    return self.mark_stuck(path, error, run.now()).await;
                }
                Outcome::Failed(failure) if failure.error.class == ErrorClass::Timeout => {
                    let error = unknown_effect("it was stopped (a timeout passed)");
                    return self.mark_stuck(path, error, run.now()).await;
                }
                _ => {}
            }
        }
        self.conclude(&run, path, is_leaf, is_activity, outcome).await
    }

    /// Records that the step is stuck. The run continues at this step only once the step's outcome is resolved
    /// manually.
    async fn mark_stuck(&self, path: String, error: StepError, at: Timestamp) -> Result<Outcome, JournalError> {
        let error = if error.path.is_none() { error.at(&path) } else { error };
        self.note_stuck(path.clone(), error.clone(), at).await?;
        Ok(Outcome::Stuck(vec![StuckStep::new(path, error)]))
    }

    async fn conclude(
        &self,
        run: &Run,
        path: String,
        is_leaf: bool,
        is_activity: bool,
        outcome: Outcome,
    ) -> Result<Outcome, JournalError> {
        let Some(end) = self.end(Some(&path), &outcome, !is_leaf) else {
            if is_activity {
                self.append(&Record::Stopped { path, time_us: time_us(run) })?;
            }
            return Ok(outcome);
        };
        let record = Record::Ended { path, end, time_us: time_us(run) };
        let receipt = self.append(&record)?;
        if is_leaf && matches!(outcome, Outcome::Completed(_) | Outcome::Failed(_)) {
            self.make_durable(receipt, run.definition().durability).await?;
        }
        if let (Outcome::Completed(output), Some(path)) = (&outcome, record.path()) {
            self.known().known.add(path, output);
        }
        Ok(outcome)
    }

    /// Records happenings that concern the run as a whole and are not covered by another record.
    fn observe(&self, run: &Run, happening: Happening<'_>) {
        let time_us = time_us(run);
        match happening {
            Happening::Begins => {
                self.mask_with(run.masker());
                let why = self.resumption.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(why) = why {
                    let ahead_us = u64::try_from(run.clock_ahead().as_micros()).unwrap_or(0);
                    self.append_unsynced(&Record::Resumed { why, ahead_us, time_us });
                }
            }
            Happening::Ends(outcome) => {
                if let Some(why) = self.suspension(run, outcome) {
                    self.append_unsynced(&Record::Suspended { why, time_us });
                    self.set_resumption(Resumption::default());
                }
            }
            Happening::Warns(warning) => {
                let Warning { code, path, message } = warning.clone();
                self.append_unsynced(&Record::Warned { path, code, message, time_us });
            }
            Happening::UndoesChild { .. } | Happening::Cancels { by: Asker { who: Who::Record, .. }, .. } => {}
            Happening::Cancels { by, compensates } => {
                let request = if compensates { Request::CancelAndCompensate } else { Request::Cancel };
                self.record_request(request, by.clone(), run.now());
            }
        }
    }

    /// Returns the number of the last message to the run before it was retried; cancel requests
    /// up to this message no longer count.
    #[must_use]
    pub fn settled_messages(&self) -> u64 {
        self.known().settled_messages
    }

    /// Returns the recorded outcome of the step at `path`, even if the step was skipped by its
    /// own choice.
    fn past_outcome(&self, path: &str) -> Option<Outcome> {
        if let Some(reason) = self.known().step(path).and_then(StepState::skipped) {
            return Some(Outcome::Skipped(reason.clone()));
        }
        self.past(path).ok()?.outcome
    }

    /// Returns why the process stops driving the run; `None` if the run has ended.
    fn suspension(&self, run: &Run, outcome: &Outcome) -> Option<Suspension> {
        // After a pause request, the run counts as paused, no matter how its steps stop.
        let is_paused = self.is_pause_requested.load(Ordering::SeqCst);
        match outcome {
            Outcome::Cancelled(cancelled) if cancelled.reason == CancelReason::Shutdown => {
                Some(if is_paused { Suspension::Paused } else { Suspension::ShutDown })
            }
            Outcome::Parked(_) if is_paused => Some(Suspension::Paused),
            Outcome::Parked(_) if run.is_shut_down() || self.is_shutting_down.load(Ordering::SeqCst) => {
                Some(Suspension::ShutDown)
            }
            Outcome::Parked(wait) => Some(Suspension::Waiting { wake_at: wait.wake_at }),
            Outcome::Completed(_) | Outcome::Skipped(_) | Outcome::Failed(_) | Outcome::Cancelled(_) => None,
            Outcome::Stuck(_) => Some(Suspension::Stuck),
        }
    }

    async fn decide(&self, record: &Record, is_changed: bool, durability: Durability) -> Result<(), JournalError> {
        let receipt = self.append(record)?;
        match record {
            _ if is_changed || record.is_choice_of_chance() => self.make_durable(receipt, durability).await,
            // An attempt that has ended counts even if this process is killed before the next attempt
            // begins.
            Record::Decided { decision: Decision::Attempt(..), .. } if durability != Durability::None => {
                self.write(receipt).await
            }
            _ => Ok(()),
        }
    }
}
