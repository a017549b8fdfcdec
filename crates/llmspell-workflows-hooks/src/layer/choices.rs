use llmspell_workflows_basic::{
    StepError,
    engine::{Attempt, Call, Decision, DecisionPoint, Received, choice},
};

use super::{HookLayer, ask::cancelling};
use crate::{Course, HookPoint, Verdict, cache::later, context::About};

impl HookLayer {
    /// The choice as hooks make it.
    pub(super) async fn chosen(&self, at: DecisionPoint<'_>, decision: Decision) -> Result<Decision, StepError> {
        let Some(point) = asked_at(&decision) else { return Ok(decision) };
        let about = || {
            let error = match &decision {
                Decision::Attempt(_, Attempt::Failed { error, .. }) => Some(error.clone()),
                _ => None,
            };
            About { choice: Some(decision.clone()), error, ..About::default() }
        };
        let verdict = match &decision {
            // A step can refuse several signals, and each is asked about once.
            Decision::Received(_, Received::Signal(signal)) => {
                self.ask(at.call, point, choice::HookAnswerToSignal(signal.number), about).await?
            }
            _ => self.ask(at.call, point, choice::HookAnswerTo(Box::new(at.key.clone())), about).await?,
        };
        let Some(Verdict { course, .. }) = verdict else { return Ok(decision) };
        Ok(match (course, decision) {
            (Course::Cancel(reason), Decision::Received(attempt, Received::Signal(signal))) => {
                let message = format!("a hook at {point} refused the signal `{}`: {reason}", signal.name);
                warn(at.call, "signal_refused", message);
                Decision::Received(attempt, Received::Refused)
            }
            (Course::Cancel(reason), _) => return Err(cancelling(at.call, point, &reason)),
            (Course::Branch(branch), Decision::Branch(_)) => Decision::Branch(branch),
            (Course::Items(items), Decision::Items(_)) => Decision::Items(items),
            (Course::GoOn(goes_on), Decision::While(n, _)) => Decision::While(n, goes_on),
            (Course::GoOn(goes_on), Decision::Until(n, _)) => Decision::Until(n, !goes_on),
            (Course::Step(step), Decision::Transition(n, _)) => Decision::Transition(n, step),
            (Course::Enter, Decision::Enter(_)) => Decision::Enter(None),
            (Course::GiveUp, Decision::Attempt(n, _)) => Decision::Attempt(n, Attempt::GivenUp),
            (Course::Retry { delay, .. }, Decision::Attempt(n, Attempt::Failed { error, .. })) => {
                Decision::Attempt(n, Attempt::Failed { error, wake_at: later(at.call.run().now(), delay) })
            }
            (Course::Value(value), Decision::Resolved(n, _)) => Decision::Resolved(n, value),
            (_, decision) => decision,
        })
    }
}

/// The point at which hooks are asked about a choice, if they are.
fn asked_at(decision: &Decision) -> Option<HookPoint> {
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
