use std::sync::Arc;

use llmspell_workflows_basic::{StepError, activity::ActivityContext};
use serde_json::Value;

/// The behaviour of a scripted activity.
#[derive(Clone)]
pub struct Script {
    /// The number of failing attempts of each step before the first success, and their error code.
    fails: Option<(u32, String)>,
    action: Action,
}

/// A function that computes an output from an input.
type Compute = dyn Fn(&Value) -> Result<Value, StepError> + Send + Sync;

#[derive(Clone)]
enum Action {
    Return(Value),
    Fail(String),
    Compute(Arc<Compute>),
}

impl Script {
    /// Returns `value` from every call.
    #[must_use]
    pub fn returns(value: Value) -> Self {
        Self { fails: None, action: Action::Return(value) }
    }

    /// Fails every call with `code`; the error is not retryable.
    #[must_use]
    pub fn fails_permanently(code: &str) -> Self {
        Self { fails: None, action: Action::Fail(code.to_owned()) }
    }

    /// Fails the first `attempts` attempts of each step with `code`; [`Self::then`] sets the result of later attempts.
    #[must_use]
    pub fn fails(attempts: u32, code: &str) -> Self {
        Self { fails: Some((attempts, code.to_owned())), action: Action::Return(Value::Null) }
    }

    /// Returns `value` after the failures.
    #[must_use]
    pub fn then(mut self, value: Value) -> Self {
        self.action = Action::Return(value);
        self
    }

    /// Calls `compute` with the input and returns the result.
    #[must_use]
    pub fn computes(compute: impl Fn(&Value) -> Result<Value, StepError> + Send + Sync + 'static) -> Self {
        Self { fails: None, action: Action::Compute(Arc::new(compute)) }
    }

    /// Simulates a language model: returns the first answer in `answers` whose text occurs in the input.
    ///
    /// A request that contains none of the texts fails with `unscripted`, and the message shows the
    /// request. The text `""` matches every request. The same request always receives the same
    /// answer, so crash tests work.
    ///
    /// ```
    /// use llmspell_workflows_testing::harness::{Script, WorkflowTest, prelude::*};
    ///
    /// let writer = Script::model([
    ///     ("Translate", json!("Ein Satz.")),
    ///     ("Summarise", json!("A sentence.")),
    /// ]);
    /// let brief = Definition::sequence("brief", [
    ///     Step::activity("short", "agent", "writer", json!({"prompt": "Summarise: {{ text }}"})),
    ///     Step::activity("german", "agent", "writer", json!({"prompt": "Translate: {{ short }}"})),
    /// ]);
    /// let test = WorkflowTest::new(brief).input(json!({"text": "A long story."})).activity("agent", "writer", writer);
    ///
    /// let result = test.run();
    /// result.completed_with(&json!("Ein Satz."));
    /// assert_eq!(result.calls("writer")[1], json!({"prompt": "Translate: A sentence."}));
    /// test.crash_everywhere();
    /// ```
    #[must_use]
    pub fn model<T: Into<String>>(answers: impl IntoIterator<Item = (T, Value)>) -> Self {
        let answers: Vec<(String, Value)> = answers.into_iter().map(|(text, answer)| (text.into(), answer)).collect();
        Self::computes(move |input| {
            let found = answers.iter().find(|(text, _)| contains_text(input, text));
            let unscripted = || {
                let texts: Vec<_> = answers.iter().map(|(text, _)| format!("`{text}`")).collect();
                let message = format!("expected a request that contains {}, got {input}", texts.join(" or "));
                StepError::configuration("unscripted", message)
            };
            found.map(|(_, answer)| answer.clone()).ok_or_else(unscripted)
        })
    }

    pub(super) fn answer(&self, context: &ActivityContext) -> Result<Value, StepError> {
        if let Some((attempts, code)) = &self.fails
            && context.attempt() <= *attempts
        {
            let message = format!("attempt {} fails as scripted", context.attempt());
            return Err(StepError::transient(code.clone(), message));
        }
        match &self.action {
            Action::Return(value) => Ok(value.clone()),
            Action::Fail(code) => Err(StepError::configuration(code.clone(), "scripted failure")),
            Action::Compute(compute) => compute(context.input()),
        }
    }
}

/// Returns whether `text` occurs in one of the strings in `value`.
fn contains_text(value: &Value, text: &str) -> bool {
    text.is_empty()
        || match value {
            Value::String(whole) => whole.contains(text),
            Value::Array(items) => items.iter().any(|item| contains_text(item, text)),
            Value::Object(fields) => fields.values().any(|field| contains_text(field, text)),
            _ => false,
        }
}
