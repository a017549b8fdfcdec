use llmspell_workflows_basic::{
    StepError,
    engine::{Attempt, Call, Decision, DecisionPoint, Received},
};

use super::{HookLayer, ask::cancelling};
use crate::{Course, HookPoint, Verdict, cache::later, context::About};

impl HookLayer {
    /// The choice as hooks make it.
    pub(super) async fn chosen(&self, at: DecisionPoint<'_>, decision: Decision) -> Result<Decision, StepError> {
        let point = match &decision {
            Decision::Branch(_) => HookPoint::BranchDecision,
            Decision::Items(_) => HookPoint::LoopItems,
            Decision::Continue(_) => HookPoint::LoopCondition,
            Decision::Transition(_) => HookPoint::WorkflowStageTransition,
            Decision::Enter(Some(_)) => HookPoint::StepSkip,
            Decision::Attempt(Attempt::Failed { .. }) => HookPoint::StepRetry,
            Decision::Resolved(_) => HookPoint::StateConflict,
            Decision::Awaits(awaited) if awaited.signal.is_some() => HookPoint::SignalWait,
            Decision::Received(Received::Signal(_)) => HookPoint::SignalReceived,
            _ => return Ok(decision),
        };
        // A step can refuse several signals, and each is asked about once.
        let ordinal = match &decision {
            Decision::Received(Received::Signal(signal)) => signal.number,
            _ => at.index,
        };
        let about = || {
            let error = match &decision {
                Decision::Attempt(Attempt::Failed { error, .. }) => Some(error.clone()),
                _ => None,
            };
            About { choice: Some(decision.clone()), error, ..About::default() }
        };
        let Some(Verdict { course, .. }) = self.ask(at.call, point, ordinal, about).await? else {
            return Ok(decision);
        };
        Ok(match (course, decision) {
            (Course::Cancel(reason), Decision::Received(Received::Signal(signal))) => {
                let message = format!("a hook at {point} refused the signal `{}`: {reason}", signal.name);
                warn(at.call, "signal_refused", message);
                Decision::Received(Received::Pending)
            }
            (Course::Cancel(reason), _) => return Err(cancelling(at.call, point, &reason)),
            (Course::Branch(branch), Decision::Branch(_)) => Decision::Branch(branch),
            (Course::Items(items), Decision::Items(_)) => Decision::Items(items),
            (Course::GoOn(goes_on), Decision::Continue(_)) => Decision::Continue(goes_on),
            (Course::Step(step), Decision::Transition(_)) => Decision::Transition(step),
            (Course::Enter, Decision::Enter(_)) => Decision::Enter(None),
            (Course::GiveUp, Decision::Attempt(_)) => Decision::Attempt(Attempt::Due),
            (Course::Retry { delay, .. }, Decision::Attempt(Attempt::Failed { error, .. })) => {
                Decision::Attempt(Attempt::Failed { error, wake_at: later(at.call.run().now(), delay) })
            }
            (Course::Value(value), Decision::Resolved(_)) => Decision::Resolved(value),
            (_, decision) => decision,
        })
    }
}

fn warn(call: &Call, code: &str, message: String) {
    call.run().warn(code, call.path(), message);
}
