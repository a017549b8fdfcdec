use std::sync::Arc;

use llmspell_workflows_basic::{StepError, activity::ActivityContext};
use serde_json::Value;

/// What an activity does each time it is called.
#[derive(Clone)]
pub struct Script {
    /// How many attempts of each step fail first, and with which code.
    fails: Option<(u32, String)>,
    does: Does,
}

/// Makes an answer of an input.
type Compute = dyn Fn(&Value) -> Result<Value, StepError> + Send + Sync;

#[derive(Clone)]
enum Does {
    Answers(Value),
    Fails(String),
    Computes(Arc<Compute>),
}

impl Script {
    /// It answers with `value`.
    #[must_use]
    pub fn answers(value: Value) -> Self {
        Self { fails: None, does: Does::Answers(value) }
    }

    /// It fails with `code`, in a way that another attempt does not help.
    #[must_use]
    pub fn fails_for_good(code: &str) -> Self {
        Self { fails: None, does: Does::Fails(code.to_owned()) }
    }

    /// The first `attempts` attempts of each step fail with `code`; see [`Self::then`].
    #[must_use]
    pub fn fails(attempts: u32, code: &str) -> Self {
        Self { fails: Some((attempts, code.to_owned())), does: Does::Answers(Value::Null) }
    }

    /// After that, it answers with `value`.
    #[must_use]
    pub fn then(mut self, value: Value) -> Self {
        self.does = Does::Answers(value);
        self
    }

    /// It answers with what `compute` makes of its input.
    #[must_use]
    pub fn computes(compute: impl Fn(&Value) -> Result<Value, StepError> + Send + Sync + 'static) -> Self {
        Self { fails: None, does: Does::Computes(Arc::new(compute)) }
    }

    pub(super) fn answer(&self, context: &ActivityContext) -> Result<Value, StepError> {
        if let Some((attempts, code)) = &self.fails
            && context.attempt() <= *attempts
        {
            let message = format!("attempt {} fails, as its script says", context.attempt());
            return Err(StepError::transient(code.clone(), message));
        }
        match &self.does {
            Does::Answers(value) => Ok(value.clone()),
            Does::Fails(code) => Err(StepError::configuration(code.clone(), "it fails, as its script says")),
            Does::Computes(compute) => compute(context.input()),
        }
    }
}
