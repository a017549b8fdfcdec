//! The interceptor that calls hooks before and after steps and at decisions, and applies their answers.

mod ask;
mod choices;
mod enter;
mod fork;
mod point_set;
mod rounds;

pub use rounds::HOOK_ROUNDS_MAX;

use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_basic::{
    StepError,
    engine::{Call, Decision, DecisionPoint, Interceptor, Next, NextDecision, Outcome},
    model::Step,
};

use crate::HookDispatcher;

/// Calls the hooks of a dispatcher, at [`Position::Hooks`](llmspell_workflows_basic::engine::Position::Hooks).
///
/// Each answer other than `Continue` becomes a decision of the run before it takes effect. A journal outside this layer
/// records the answer, and a resumed run applies it without asking again. A step that no hook selects costs nothing.
#[derive(Clone)]
pub struct HookLayer(Arc<HookDispatcher>);

impl HookLayer {
    /// Creates a layer that calls the hooks of `dispatcher`.
    #[must_use]
    pub fn new(dispatcher: Arc<HookDispatcher>) -> Self {
        Self(dispatcher)
    }
}

#[async_trait]
impl Interceptor for HookLayer {
    fn applies(&self, step: &Step) -> bool {
        self.0.concerns(step)
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        let point_sets = point_set::of_call(&self.0, &call);
        if point_sets.is_empty() {
            let cancel = call.cancel().clone();
            return ask::or_cancelled(&cancel, next.run(call).await);
        }
        match self.enter(call, &point_sets).await {
            Ok(entry) => self.rounds(entry, &point_sets, next).await,
            Err(outcome) => *outcome,
        }
    }

    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        let decision = self.decide_with_hooks(point, decision).await?;
        next.run(point, decision).await
    }
}
