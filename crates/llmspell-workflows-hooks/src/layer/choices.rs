use std::sync::Arc;

use llmspell_workflows_basic::{
    StepError,
    engine::{Attempt, Call, Decision, DecisionPoint, Received, choice},
};
use serde_json::Value;

use super::{HookLayer, ask::cancel_error};
use crate::{Course, HookPoint, Verdict, cache::later, context::Details};

impl HookLayer {
    /// Returns `decision` as changed by hooks.
    pub(super) async fn decide_with_hooks(
        &self,
        at: DecisionPoint<'_>,
        decision: Decision,
    ) -> Result<Decision, StepError> {
        let Some(point) = hook_point_of(&decision) else { return Ok(decision) };
        let details = || {
            let error = match &decision {
                Decision::Attempt(_, Attempt::Failed { error, .. }) => Some(error.clone()),
                _ => None,
            };
            Details { choice: Some(at.call.run().shown_decision(decision.clone())), error, ..Details::default() }
        };
        let verdict = match &decision {
            // A step can refuse several signals; hooks are asked once about each signal.
            Decision::Received(_, Received::Signal(signal)) => {
                self.ask(at.call, point, choice::HookAnswerToSignal(signal.number), details).await?
            }
            _ => self.ask(at.call, point, choice::HookAnswerTo(Box::new(at.key.clone())), details).await?,
        };
        let Some(Verdict { course, .. }) = verdict else { return Ok(decision) };
        Ok(match (course, decision) {
            (Course::Cancel(reason), Decision::Received(attempt, Received::Signal(signal))) => {
                let message = format!("a hook at {point} refused the signal `{}`: {reason}", signal.name);
                warn(at.call, "signal_refused", message);
                Decision::Received(attempt, Received::Refused)
            }
            (Course::Cancel(reason), _) => return Err(cancel_error(at.call, point, &reason)),
            (Course::Branch(branch), Decision::Branch(_)) => Decision::Branch(branch),
            (Course::Items(items), Decision::Items(real)) => {
                Decision::Items(items_with_secrets(at.call, &items, &real))
            }
            (Course::Iterate(continues), Decision::While(n, _)) => Decision::While(n, continues),
            (Course::Iterate(continues), Decision::Until(n, _)) => Decision::Until(n, !continues),
            (Course::Step(step), Decision::Transition(n, _)) => Decision::Transition(n, step),
            (Course::Enter, Decision::Enter(_)) => Decision::Enter(None),
            (Course::GiveUp, Decision::Attempt(n, _)) => Decision::Attempt(n, Attempt::GivenUp),
            (Course::Retry { delay, .. }, Decision::Attempt(n, Attempt::Failed { error, .. })) => {
                Decision::Attempt(n, Attempt::Failed { error, wake_at: later(at.call.run().now(), delay) })
            }
            (Course::Value(value), Decision::Resolved(n, real)) => {
                Decision::Resolved(n, at.call.run().with_secrets(&value, &real))
            }
            (_, decision) => decision,
        })
    }
}

/// Restores the secrets in items that a hook returned.
fn items_with_secrets(call: &Call, items: &Arc<Vec<Value>>, real: &Arc<Vec<Value>>) -> Arc<Vec<Value>> {
    let whole = |items: &Arc<Vec<Value>>| Value::Array(items.to_vec());
    match call.run().with_secrets(&whole(items), &whole(real)) {
        Value::Array(items) => Arc::new(items),
        _ => items.clone(),
    }
}

/// Returns the point at which hooks are asked about `decision`, if any.
fn hook_point_of(decision: &Decision) -> Option<HookPoint> {
    Some(match decision {
        Decision::Branch(_) => HookPoint::BranchDecision,
        Decision::Items(_) => HookPoint::LoopItems,
        Decision::While(..) | Decision::Until(..) => HookPoint::LoopCondition,
        Decision::Transition(..) => HookPoint::WorkflowStageTransition,
        Decision::Enter(Some(_)) => HookPoint::StepSkip,
        Decision::Attempt(_, Attempt::Failed { .. }) => HookPoint::StepRetry,
        Decision::Resolved(..) => HookPoint::StateConflict,
        Decision::Awaits(_, awaited) if awaited.signal.is_some() => HookPoint::SignalWait,
        Decision::Received(_, Received::Signal(_)) => HookPoint::SignalReceived,
        Decision::Enter(None)
        | Decision::RetryGeneration(..)
        | Decision::RouteGeneration(..)
        | Decision::HookGeneration(..)
        | Decision::EndedNth(..)
        | Decision::FirstFailed(_)
        | Decision::Attempt(_, Attempt::GivenUp)
        | Decision::TotalDeadline(_)
        | Decision::AttemptDeadline(..)
        | Decision::LastBegin(_)
        | Decision::Awaits(..)
        | Decision::Received(_, Received::TimedOut | Received::Refused)
        | Decision::StartedAt(_)
        | Decision::Now(..)
        | Decision::Random(..)
        | Decision::Input(_)
        | Decision::Child(..)
        | Decision::Compensable(_)
        | Decision::HookAnswer(..)
        | Decision::HookAnswerTo(..)
        | Decision::HookAnswerToSignal(..)
        | Decision::ForkPart(_) => return None,
    })
}

fn warn(call: &Call, code: &str, message: String) {
    call.run().warn(code, call.path(), message);
}
