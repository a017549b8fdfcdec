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
    ask::{answer_at, cancelled, stopped},
    enter::{Entered, ended, skipped},
    fork::fork,
    passage::Passage,
};
use crate::{Course, HookPoint, Verdict, context::About};

/// How often the answers of hooks may make a step run again.
pub const HOOK_ROUNDS_MAX: u64 = 100;

/// What the hooks after a round come to.
enum After {
    /// The step ends so.
    Ends(Outcome),
    /// It is entered again.
    Again(Again),
}

struct Again {
    wake_at: Option<jiff::Timestamp>,
    activity: Option<ActivityName>,
}

/// Recorded answers by their points.
type Known = Vec<(HookPoint, Verdict)>;

impl HookLayer {
    /// Runs a step and asks the hooks after it, innermost first, until they are content.
    pub(super) async fn rounds(&self, entered: Entered, passages: &[Passage], next: Next) -> Outcome {
        let first = entered.call.clone();
        let (mut call, mut round) = (entered.call.clone(), 0);
        loop {
            let after = match self.recorded(&first, passages, round).await {
                Err(error) => return *ended(&first, error),
                // What made it go on to the next round is known, so this one is over.
                Ok((Some(again), _)) => After::Again(again),
                Ok((None, known)) => {
                    let outcome = self.run(&first, call.clone(), &entered, &next).await;
                    self.after((&first, &call), passages, round, known, outcome).await
                }
            };
            let again = match after {
                After::Ends(outcome) => return self.end(&entered, outcome),
                After::Again(again) => again,
            };
            round += 1;
            call = match self.again(&first, call, again, round).await {
                Ok(call) => call,
                Err(outcome) => return *outcome,
            };
        }
    }

    /// What is recorded of the hooks after a round, and whether that was to enter the step again.
    async fn recorded(
        &self,
        call: &Call,
        passages: &[Passage],
        round: u64,
    ) -> Result<(Option<Again>, Known), StepError> {
        let mut known = Known::new();
        for passage in passages.iter().rev() {
            for point in passage.error.into_iter().chain([passage.after]) {
                if let Some(verdict) = self.known(call, point, answer_at(point, round)).await? {
                    if let Some(again) = again(&verdict, round) {
                        return Ok((Some(again), known));
                    }
                    known.push((point, verdict));
                }
            }
        }
        Ok((None, known))
    }

    async fn run(&self, first: &Call, call: Call, entered: &Entered, next: &Next) -> Outcome {
        let outcome = match &entered.fork {
            Some(inputs) => fork(&call, inputs, next).await,
            None => next.clone().run(call).await,
        };
        match stopped(first.cancel(), outcome) {
            Outcome::Completed(output) if !output.state_changes.is_empty() => self.write(first, output).await,
            outcome => outcome,
        }
    }

    /// Asks the hooks about what a leaf is about to change in the state.
    async fn write(&self, call: &Call, mut output: Output) -> Outcome {
        if !call.step().kind.is_leaf() || !matches!(call.role(), Role::Member | Role::Branch) {
            return Outcome::Completed(output);
        }
        let point = HookPoint::BeforeStateWrite;
        let about = || About { changes: output.state_changes.clone(), ..About::default() };
        match self.ask(call, point, answer_at(point, 0), about).await {
            Ok(None) => {}
            Ok(Some(Verdict { course: Course::Changes(changes), .. })) => output.state_changes = changes,
            Ok(Some(Verdict { course: Course::Cancel(reason), .. })) => return cancelled(call, point, &reason),
            Ok(Some(_)) => {}
            Err(error) => return *ended(call, error),
        }
        Outcome::Completed(output)
    }

    /// Asks the hooks after a round, innermost first; the second call is the one of this round.
    async fn after(
        &self,
        (call, current): (&Call, &Call),
        passages: &[Passage],
        round: u64,
        known: Known,
        mut outcome: Outcome,
    ) -> After {
        for passage in passages.iter().rev() {
            let (point, about) = match (&outcome, passage.error) {
                (Outcome::Completed(output), _) => {
                    let (changes, output) = (output.state_changes.clone(), Some(output.value.to_arc()));
                    (passage.after, About { output, changes, ..About::default() })
                }
                (Outcome::Failed(failure), Some(point)) => {
                    (point, About { error: Some(failure.error.clone()), ..About::default() })
                }
                (Outcome::Cancelled(cancelled), _) if is_run_cancelled(passage, cancelled.reason) => {
                    (HookPoint::WorkflowCancelled, About::default())
                }
                _ => continue,
            };
            let verdict = match known.iter().find(|(other, _)| *other == point) {
                Some((_, verdict)) => Ok(Some(verdict.clone())),
                None if self.0.stands_at(point) => {
                    self.fresh((call, current), point, answer_at(point, round), about).await
                }
                None => Ok(None),
            };
            match verdict {
                Ok(None) => {}
                Ok(Some(verdict)) => match obey(call, point, verdict, round, outcome) {
                    After::Ends(changed) => outcome = changed,
                    again => return again,
                },
                Err(error) => return After::Ends(*ended(call, error)),
            }
        }
        After::Ends(outcome)
    }

    /// The call of the next round, once its time has come.
    async fn again(&self, first: &Call, last: Call, again: Again, round: u64) -> Result<Call, Box<Outcome>> {
        if round > HOOK_ROUNDS_MAX {
            let message = format!("hooks had it entered again {HOOK_ROUNDS_MAX} times, the limit `HOOK_ROUNDS_MAX`");
            let error = StepError::new(ErrorClass::Resource, "hook_rounds_max", message).retryable(false);
            return Err(ended(first, error));
        }
        if let Some(wake_at) = again.wake_at
            && let Some(outcome) = first.wait_until(wake_at).await
        {
            return Err(Box::new(outcome));
        }
        if first.cancel().is_cancelled() {
            let reason = first.cancel().reason().unwrap_or(CancelReason::Requested);
            return Err(Box::new(Outcome::Cancelled(Cancelled::new(reason))));
        }
        // The generation is counted at the first entry; what hooks made of the call stays.
        let entered = first.enter_again(round).await.map_err(|error| ended(first, error))?;
        match again.activity {
            Some(activity) => entered.with_activity(activity).map_err(|error| ended(first, error)),
            None => Ok(last.in_generation_of(&entered)),
        }
    }

    /// How the step ends, with what hooks changed before it, and kept where they asked for it.
    fn end(&self, entered: &Entered, outcome: Outcome) -> Outcome {
        let Outcome::Completed(mut output) = outcome else { return outcome };
        if let Some((key, ttl)) = &entered.cache {
            self.0.cache.put(key.clone(), output.clone(), entered.call.run().now(), *ttl);
        }
        if !entered.changes.is_empty() {
            output.state_changes.splice(0..0, entered.changes.iter().cloned());
        }
        Outcome::Completed(output)
    }
}

fn is_run_cancelled(passage: &Passage, reason: CancelReason) -> bool {
    passage.before == HookPoint::BeforeWorkflowStart && reason == CancelReason::Requested
}

/// The step is entered again over `verdict`, unless it has been often enough.
fn again(verdict: &Verdict, round: u64) -> Option<Again> {
    match &verdict.course {
        Course::Retry { attempts, .. } => {
            (round < u64::from(*attempts)).then_some(Again { wake_at: verdict.wake_at, activity: None })
        }
        Course::Redirect(activity) => Some(Again { wake_at: None, activity: Some(activity.clone()) }),
        _ => None,
    }
}

fn obey(call: &Call, point: HookPoint, verdict: Verdict, round: u64, outcome: Outcome) -> After {
    if let Some(again) = again(&verdict, round) {
        return After::Again(again);
    }
    After::Ends(match verdict.course {
        Course::Cancel(reason) => cancelled(call, point, &reason),
        Course::Skip(reason) => skipped(reason),
        Course::Replace(value) => changed(outcome, Some(value), verdict.state),
        _ => changed(outcome, verdict.output, verdict.state),
    })
}

/// `outcome` with another value and more changes of the state; one that failed completes only by a value.
fn changed(outcome: Outcome, value: Option<Arc<Value>>, changes: Vec<Change>) -> Outcome {
    match (outcome, value) {
        (Outcome::Completed(mut output), value) => {
            if let Some(value) = value {
                output.value = value.into();
            }
            output.state_changes.extend(changes);
            Outcome::Completed(output)
        }
        (_, Some(value)) => Outcome::Completed(Output { value: value.into(), state_changes: changes }),
        (outcome, None) => outcome,
    }
}
