use std::sync::Arc;

use llmspell_workflows_basic::{
    ErrorClass, StepError,
    engine::{Call, CancelReason, Cancelled, Next, Outcome, Output, Role},
    model::ActivityName,
    state::Change,
};
use serde_json::Value;

use super::{
    HookLayer,
    ask::{answer_key, cancel_run, or_cancelled},
    enter::{StepEntry, failed_outcome, skipped},
    fork::fork,
    point_set::PointSet,
};
use crate::{Course, HookPoint, Verdict, context::Details};

/// The maximum number of times that hooks can make a step run again.
pub const HOOK_ROUNDS_MAX: u64 = 100;

/// The result of the hooks after a round.
enum RoundResult {
    /// The step ends with this outcome.
    Ends(Outcome),
    /// The step runs again.
    Reentry(Reentry),
}

struct Reentry {
    wake_at: Option<jiff::Timestamp>,
    activity: Option<ActivityName>,
}

/// Recorded answers with their points.
type RecordedAnswers = Vec<(HookPoint, Verdict)>;

impl HookLayer {
    /// Runs a step and then asks hooks, innermost first; repeats this as long as a hook makes the step run again.
    pub(super) async fn rounds(&self, entry: StepEntry, point_sets: &[PointSet], next: Next) -> Outcome {
        let first = entry.call.clone();
        let (mut call, mut round) = (entry.call.clone(), 0);
        loop {
            let after = match self.recorded_round(&first, point_sets, round).await {
                Err(error) => return *failed_outcome(&first, error),
                // The answer that started the next round is recorded, so this round is over.
                Ok((Some(reentry), _)) => RoundResult::Reentry(reentry),
                Ok((None, recorded)) => {
                    let outcome = self.run(&first, call.clone(), &entry, &next).await;
                    self.after((&first, &call), point_sets, round, recorded, outcome).await
                }
            };
            let reentry = match after {
                RoundResult::Ends(outcome) => return self.end(&entry, outcome),
                RoundResult::Reentry(reentry) => reentry,
            };
            round += 1;
            call = match self.reenter(&first, call, reentry, round).await {
                Ok(call) => call,
                Err(outcome) => return *outcome,
            };
        }
    }

    /// Returns the recorded answers of the hooks after a round, and the reentry if an answer made the step run again.
    async fn recorded_round(
        &self,
        call: &Call,
        point_sets: &[PointSet],
        round: u64,
    ) -> Result<(Option<Reentry>, RecordedAnswers), StepError> {
        let mut recorded = RecordedAnswers::new();
        for point_set in point_sets.iter().rev() {
            for point in point_set.error.into_iter().chain([point_set.after]) {
                if let Some(verdict) = self.recorded(call, point, answer_key(point, round)).await? {
                    if let Some(reentry) = reentry(&verdict, round) {
                        return Ok((Some(reentry), recorded));
                    }
                    recorded.push((point, verdict));
                }
            }
        }
        Ok((None, recorded))
    }

    async fn run(&self, first: &Call, call: Call, entry: &StepEntry, next: &Next) -> Outcome {
        let outcome = match &entry.fork {
            Some(inputs) => fork(&call, inputs, next).await,
            None => next.clone().run(call).await,
        };
        match or_cancelled(first.cancel(), outcome) {
            Outcome::Completed(output) if !output.state_changes.is_empty() => self.write(first, output).await,
            outcome => outcome,
        }
    }

    /// Asks the hooks about the state changes of a leaf before the changes are made.
    async fn write(&self, call: &Call, mut output: Output) -> Outcome {
        if !call.step().kind.is_leaf() || !matches!(call.role(), Role::Member | Role::Branch) {
            return Outcome::Completed(output);
        }
        let point = HookPoint::BeforeStateWrite;
        let details =
            || Details { changes: call.run().shown_output(output.clone()).state_changes, ..Details::default() };
        match self.ask(call, point, answer_key(point, 0), details).await {
            Ok(None) => {}
            Ok(Some(Verdict { course: Course::Changes(changes), .. })) => {
                output.state_changes = call.run().changes_with_secrets(changes, &output.state_changes);
            }
            Ok(Some(Verdict { course: Course::Cancel(reason), .. })) => return cancel_run(call, point, &reason),
            Ok(Some(_)) => {}
            Err(error) => return *failed_outcome(call, error),
        }
        Outcome::Completed(output)
    }

    /// Asks the hooks after a round, innermost first. `call` is the first round's call, and
    /// `current` is this round's call.
    async fn after(
        &self,
        (call, current): (&Call, &Call),
        point_sets: &[PointSet],
        round: u64,
        recorded: RecordedAnswers,
        mut outcome: Outcome,
    ) -> RoundResult {
        for point_set in point_sets.iter().rev() {
            let (point, details) = match (&outcome, point_set.error) {
                (Outcome::Completed(output), _) => {
                    let shown = call.run().shown_output(output.clone());
                    let (changes, output) = (shown.state_changes, Some(shown.value.to_arc()));
                    (point_set.after, Details { output, changes, ..Details::default() })
                }
                (Outcome::Failed(failure), Some(point)) => {
                    (point, Details { error: Some(failure.error.clone()), ..Details::default() })
                }
                (Outcome::Cancelled(cancelled), _) if is_run_cancelled(point_set, cancelled.reason) => {
                    (HookPoint::WorkflowCancelled, Details::default())
                }
                _ => continue,
            };
            let verdict = match recorded.iter().find(|(other, _)| *other == point) {
                Some((_, verdict)) => Ok(Some(verdict.clone())),
                None if self.0.has_engine_hooks_at(point) => {
                    self.ask_now((call, current), point, answer_key(point, round), details).await
                }
                None => Ok(None),
            };
            match verdict {
                Ok(None) => {}
                Ok(Some(verdict)) => match obey(call, point, verdict, round, outcome) {
                    RoundResult::Ends(changed) => outcome = changed,
                    reentry => return reentry,
                },
                Err(error) => return RoundResult::Ends(*failed_outcome(call, error)),
            }
        }
        RoundResult::Ends(outcome)
    }

    /// Waits if necessary, and returns the call of the next round.
    async fn reenter(&self, first: &Call, last: Call, reentry: Reentry, round: u64) -> Result<Call, Box<Outcome>> {
        if round > HOOK_ROUNDS_MAX {
            let message =
                format!("hooks made the step run again more than {HOOK_ROUNDS_MAX} times, the limit `HOOK_ROUNDS_MAX`");
            let error = StepError::new(ErrorClass::Resource, "hook_rounds_max", message).retryable(false);
            return Err(failed_outcome(first, error));
        }
        if let Some(wake_at) = reentry.wake_at
            && let Some(outcome) = first.wait_until(wake_at).await
        {
            return Err(Box::new(outcome));
        }
        if first.cancel().is_cancelled() {
            let reason = first.cancel().reason().unwrap_or(CancelReason::Requested);
            return Err(Box::new(Outcome::cancelled(Cancelled::new(reason))));
        }
        // The first call counts the generations; the last call has the hooks' modifications, which are kept.
        let entry = first.enter_again(round).await.map_err(|error| failed_outcome(first, error))?;
        match reentry.activity {
            Some(activity) => entry.with_activity(activity).map_err(|error| failed_outcome(first, error)),
            None => Ok(last.in_generation_of(&entry)),
        }
    }

    /// Adds the changes that hooks made before the step to `outcome`, and caches the output if a
    /// hook requested it.
    fn end(&self, entry: &StepEntry, outcome: Outcome) -> Outcome {
        let Outcome::Completed(mut output) = outcome else { return outcome };
        if let Some((key, ttl)) = &entry.cache {
            self.0.cache.put(key.clone(), output.clone(), entry.call.run().now(), *ttl);
        }
        if !entry.changes.is_empty() {
            output.state_changes.splice(0..0, entry.changes.iter().cloned());
        }
        Outcome::Completed(output)
    }
}

fn is_run_cancelled(point_set: &PointSet, reason: CancelReason) -> bool {
    point_set.before == HookPoint::BeforeWorkflowStart && reason == CancelReason::Requested
}

/// Returns the reentry that `verdict` asks for, unless its attempts are used up.
fn reentry(verdict: &Verdict, round: u64) -> Option<Reentry> {
    match &verdict.course {
        Course::Retry { attempts, .. } => {
            (round < u64::from(*attempts)).then_some(Reentry { wake_at: verdict.wake_at, activity: None })
        }
        Course::Redirect(activity) => Some(Reentry { wake_at: None, activity: Some(activity.clone()) }),
        _ => None,
    }
}

fn obey(call: &Call, point: HookPoint, verdict: Verdict, round: u64, outcome: Outcome) -> RoundResult {
    if let Some(reentry) = reentry(&verdict, round) {
        return RoundResult::Reentry(reentry);
    }
    RoundResult::Ends(match verdict.course {
        Course::Cancel(reason) => cancel_run(call, point, &reason),
        Course::Skip(reason) => skipped(call, reason),
        Course::Replace(value) => changed(call, outcome, Some(value), verdict.state),
        _ => changed(call, outcome, verdict.output, verdict.state),
    })
}

/// Adds `value` and `changes` to `outcome`; a failed outcome becomes completed only if there is a value.
fn changed(call: &Call, outcome: Outcome, value: Option<Arc<Value>>, changes: Vec<Change>) -> Outcome {
    match (outcome, value) {
        (Outcome::Completed(mut output), value) => {
            if let Some(value) = value {
                output.value = Arc::new(call.run().with_secrets(&value, &output.value.read())).into();
            }
            output.state_changes.extend(changes);
            Outcome::Completed(output)
        }
        (_, Some(value)) => Outcome::Completed(Output { value: value.into(), state_changes: changes }),
        (outcome, None) => outcome,
    }
}
