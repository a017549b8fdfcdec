use async_trait::async_trait;
use llmspell_workflows_basic::targets;
use tracing::Level;

use crate::{
    Hook, HookContext, HookError, Priority, Registration,
    answer::{After, Before, OnError, OnRetry},
    point::{AfterStep, BeforeStep, StepError, StepRetry},
};

/// Logs to `tracing` when a step starts, is retried, completes or fails; the target is `llmspell_workflows::hook`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logging;

impl Logging {
    /// Returns a registration that calls the hook before all other hooks.
    #[must_use]
    pub fn registration() -> Registration {
        let registration = Registration::new("logging").priority(Priority::HIGHEST);
        registration.at(BeforeStep, Self).at(AfterStep, Self).at(StepRetry, Self).at(StepError, Self)
    }
}

macro_rules! line {
    ($level:expr, $context:expr, $message:literal $(, $field:ident = $value:expr)*) => {
        tracing::event!(
            target: targets::HOOK,
            $level,
            run = $context.run_id().map(tracing::field::display),
            path = %$context.path(),
            attempt = $context.attempt(),
            $($field = $value,)*
            $message
        )
    };
}

#[async_trait]
impl Hook<BeforeStep> for Logging {
    async fn call(&self, context: &HookContext) -> Result<Before, HookError> {
        line!(Level::INFO, context, "started");
        Ok(Before::Continue)
    }
}

#[async_trait]
impl Hook<AfterStep> for Logging {
    async fn call(&self, context: &HookContext) -> Result<After, HookError> {
        line!(Level::INFO, context, "completed");
        Ok(After::Continue)
    }
}

#[async_trait]
impl Hook<StepRetry> for Logging {
    async fn call(&self, context: &HookContext) -> Result<OnRetry, HookError> {
        line!(Level::WARN, context, "retrying", error = context.error().map(tracing::field::display));
        Ok(OnRetry::Continue)
    }
}

#[async_trait]
impl Hook<StepError> for Logging {
    async fn call(&self, context: &HookContext) -> Result<OnError, HookError> {
        line!(Level::ERROR, context, "failed", error = context.error().map(tracing::field::display));
        Ok(OnError::Continue)
    }
}
