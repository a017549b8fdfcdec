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

    /// It is a language model that answers by what it is asked: with the first answer whose text is found in its input.
    ///
    /// A request in which none is found fails with `unscripted`, and says what was asked; the text `""` fits all. The
    /// same request has the same answer always, so workflows with it can be crashed.
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
    /// let ended = test.run();
    /// ended.completed_with(&json!("Ein Satz."));
    /// assert_eq!(ended.calls("writer")[1], json!({"prompt": "Translate: A sentence."}));
    /// test.crash_everywhere();
    /// ```
    #[must_use]
    pub fn model<T: Into<String>>(answers: impl IntoIterator<Item = (T, Value)>) -> Self {
        let answers: Vec<(String, Value)> = answers.into_iter().map(|(text, answer)| (text.into(), answer)).collect();
        Self::computes(move |input| {
            let found = answers.iter().find(|(text, _)| says(input, text));
            let unscripted = || {
                let texts: Vec<_> = answers.iter().map(|(text, _)| format!("`{text}`")).collect();
                let message =
                    format!("the script answers what holds {}, and this does not: {input}", texts.join(" or "));
                StepError::configuration("unscripted", message)
            };
            found.map(|(_, answer)| answer.clone()).ok_or_else(unscripted)
        })
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

/// Whether `text` is found in one of the texts of `value`.
fn says(value: &Value, text: &str) -> bool {
    text.is_empty()
        || match value {
            Value::String(whole) => whole.contains(text),
            Value::Array(items) => items.iter().any(|item| says(item, text)),
            Value::Object(fields) => fields.values().any(|field| says(field, text)),
            _ => false,
        }
}
