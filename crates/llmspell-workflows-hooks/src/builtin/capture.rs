use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use llmspell_workflows_basic::{StepError as Error, sync::lock};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Hook, HookContext, HookError, HookPoint, Registration,
    answer::{After, Before, OnError},
    point::{AfterStep, BeforeStep, StepError},
};

/// Records the inputs and outputs of steps for inspection. When the capture is full, the oldest record is dropped.
#[derive(Debug, Clone)]
pub struct Capture {
    captures: Arc<Mutex<VecDeque<CapturedStep>>>,
    captures_max: usize,
}

/// The data of a step at the time of a hook call.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturedStep {
    /// The point at which the hook was called.
    pub point: HookPoint,
    /// The run.
    pub run_id: Option<Uuid>,
    /// The path of the step.
    pub path: String,
    /// The input of the step's activity, with secrets masked.
    pub input: Option<Arc<Value>>,
    /// The output of the step.
    pub output: Option<Value>,
    /// Why the step failed.
    pub error: Option<Error>,
    /// The state visible to the step, including its own changes.
    pub state: Value,
}

impl Capture {
    /// Creates a capture of the last `captures_max` calls.
    #[must_use]
    pub fn new(captures_max: usize) -> Self {
        Self { captures: Arc::default(), captures_max: captures_max.max(1) }
    }

    /// Returns a registration that calls the hook before and after steps; call `select` on it to restrict the steps.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let registration = Registration::new("capture");
        registration.at(BeforeStep, self.clone()).at(AfterStep, self.clone()).at(StepError, self.clone())
    }

    /// Returns the captured steps, oldest first.
    pub fn captured(&self) -> Vec<CapturedStep> {
        lock(&self.captures).iter().cloned().collect()
    }

    fn record(&self, context: &HookContext) -> Result<(), HookError> {
        let captured = CapturedStep {
            point: context.point(),
            run_id: context.run_id(),
            path: context.path(),
            input: context.input()?,
            output: context.output().cloned(),
            error: context.error().cloned(),
            state: context.state().to_value(),
        };
        let mut captures = lock(&self.captures);
        if captures.len() >= self.captures_max {
            captures.pop_front();
        }
        captures.push_back(captured);
        Ok(())
    }
}

#[async_trait]
impl Hook<BeforeStep> for Capture {
    async fn call(&self, context: &HookContext) -> Result<Before, HookError> {
        self.record(context)?;
        Ok(Before::Continue)
    }
}

#[async_trait]
impl Hook<AfterStep> for Capture {
    async fn call(&self, context: &HookContext) -> Result<After, HookError> {
        self.record(context)?;
        Ok(After::Continue)
    }
}

#[async_trait]
impl Hook<StepError> for Capture {
    async fn call(&self, context: &HookContext) -> Result<OnError, HookError> {
        self.record(context)?;
        Ok(OnError::Continue)
    }
}
