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

/// Keeps what steps were given and gave, to look at; the oldest makes room.
#[derive(Debug, Clone)]
pub struct Capture {
    kept: Arc<Mutex<VecDeque<Captured>>>,
    captures_max: usize,
}

/// What was seen of a step at one point.
#[derive(Debug, Clone, PartialEq)]
pub struct Captured {
    /// The point.
    pub point: HookPoint,
    /// The run.
    pub run_id: Option<Uuid>,
    /// Where the step stands.
    pub path: String,
    /// What its activity was given, with secrets masked.
    pub input: Option<Arc<Value>>,
    /// What it gave.
    pub output: Option<Value>,
    /// Why it failed.
    pub error: Option<Error>,
    /// The state as it saw it, with its changes.
    pub state: Value,
}

impl Capture {
    /// Keeps the last `captures_max`.
    #[must_use]
    pub fn new(captures_max: usize) -> Self {
        Self { kept: Arc::default(), captures_max: captures_max.max(1) }
    }

    /// Around steps; say which by `select`.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let registration = Registration::new("capture");
        registration.at(BeforeStep, self.clone()).at(AfterStep, self.clone()).at(StepError, self.clone())
    }

    /// What was captured, oldest first.
    #[must_use]
    pub fn captured(&self) -> Vec<Captured> {
        lock(&self.kept).iter().cloned().collect()
    }

    fn keep(&self, context: &HookContext) -> Result<(), HookError> {
        let captured = Captured {
            point: context.point(),
            run_id: context.run_id(),
            path: context.path(),
            input: context.input()?,
            output: context.output().cloned(),
            error: context.error().cloned(),
            state: context.state().to_value(),
        };
        let mut kept = lock(&self.kept);
        if kept.len() >= self.captures_max {
            kept.pop_front();
        }
        kept.push_back(captured);
        Ok(())
    }
}

#[async_trait]
impl Hook<BeforeStep> for Capture {
    async fn call(&self, context: &HookContext) -> Result<Before, HookError> {
        self.keep(context)?;
        Ok(Before::Continue)
    }
}

#[async_trait]
impl Hook<AfterStep> for Capture {
    async fn call(&self, context: &HookContext) -> Result<After, HookError> {
        self.keep(context)?;
        Ok(After::Continue)
    }
}

#[async_trait]
impl Hook<StepError> for Capture {
    async fn call(&self, context: &HookContext) -> Result<OnError, HookError> {
        self.keep(context)?;
        Ok(OnError::Continue)
    }
}
