//! The interceptor that calls hooks around steps and choices of a run, and obeys what they answer.

mod ask;
mod choices;
mod enter;
mod fork;
mod passage;
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

/// Calls the hooks of a dispatcher; stands at [`Position::Hooks`](llmspell_workflows_basic::engine::Position::Hooks).
///
/// Each answer but `continue` is a decision of the run before it is acted on, so a journal outside of it remembers the
/// answer, and a run that goes on later obeys it without asking again. Steps that no hook concerns cost nothing.
#[derive(Clone)]
pub struct HookLayer(Arc<HookDispatcher>);

impl HookLayer {
    /// The layer of `dispatcher`.
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
        let passages = passage::through(&self.0, &call);
        if passages.is_empty() {
            let cancel = call.cancel().clone();
            return ask::stopped(&cancel, next.run(call).await);
        }
        match self.enter(call, &passages).await {
            Ok(entered) => self.rounds(entered, &passages, next).await,
            Err(outcome) => *outcome,
        }
    }

    async fn decide(
        &self,
        point: DecisionPoint<'_>,
        decision: Decision,
        next: NextDecision<'_>,
    ) -> Result<Decision, StepError> {
        let decision = self.chosen(point, decision).await?;
        next.run(point, decision).await
    }
}
