use llmspell_workflows_basic::{ErrorClass, StepError};
use serde_json::Value;

use super::{Fields, Reader, join};
use crate::workflow_test::{Answer, Mock, MockEntry, Pattern, format::Target};

impl Reader {
    pub(super) fn mocks(&mut self, fields: &Fields, at: &str) -> Vec<MockEntry> {
        let all = join(at, "mocks");
        let mut mocks = Vec::new();
        for (key, value) in self.entries(fields, at, "mocks") {
            let at = join(&all, key);
            let target = match key.split_once(':') {
                Some((kind, name)) => Target::Activity { kind: kind.to_owned(), name: name.to_owned() },
                None => Target::Step(Pattern::new(key)),
            };
            if let Some(mock) = self.mock(value, &at) {
                mocks.push(MockEntry { key: key.clone(), at, target, mock });
            }
        }
        mocks
    }

    fn mock(&mut self, value: &Value, at: &str) -> Option<Mock> {
        let fields = self.fields(value, at, "a mock", &["output", "state", "error", "outputs", "calls", "real"])?;
        let ways = ["output", "error", "outputs", "calls", "real"];
        let given: Vec<_> = ways.into_iter().filter(|name| fields.contains_key(*name)).collect();
        match given.as_slice() {
            ["output" | "error"] => self.answer(value, at).map(Mock::Always),
            ["outputs"] => {
                let items = self.items(fields, at, "outputs").iter();
                Some(Mock::Sequence(
                    items.map(|output| Answer::Output { output: output.clone(), state: Vec::new() }).collect(),
                ))
            }
            ["calls"] => {
                let items = self.items(fields, at, "calls").iter().enumerate();
                let answers: Vec<_> =
                    items.map(|(number, item)| self.answer(item, &format!("{at}/calls/{number}"))).collect();
                answers.into_iter().collect::<Option<_>>().map(Mock::Sequence)
            }
            ["real"] if fields["real"] == true => Some(Mock::Real),
            _ => {
                let message = "a mock must have one of `output`, `error`, `outputs` (a list, one per call), \
                               `calls` (a list of outputs and errors) or `real: true`";
                self.error_at("wrong_mock", at, message);
                None
            }
        }
    }

    /// Reads `{output, state}` or `{error}`.
    fn answer(&mut self, value: &Value, at: &str) -> Option<Answer> {
        let fields = self.fields(value, at, "an answer", &["output", "state", "error"])?;
        match (fields.get("output"), fields.get("error")) {
            (Some(output), None) => {
                let state = self.entries(fields, at, "state");
                let state = state.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                Some(Answer::Output { output: output.clone(), state })
            }
            (None, Some(error)) => self.error(error, &join(at, "error")).map(|error| Answer::Error(Box::new(error))),
            _ => {
                self.error_at("wrong_mock", at, "an answer must have either `output` or `error`");
                None
            }
        }
    }

    /// Reads `{class, code, message, retryable, details}`, or just a message.
    fn error(&mut self, value: &Value, at: &str) -> Option<StepError> {
        if let Some(message) = value.as_str() {
            return Some(StepError::transient("mocked_error", message));
        }
        let fields = self.fields(value, at, "an error", &["class", "code", "message", "retryable", "details"])?;
        let class = match fields.get("class") {
            None => ErrorClass::Transient,
            Some(class) => match serde_json::from_value(class.clone()) {
                Ok(class) => class,
                Err(error) => {
                    self.error_at("bad_value", &join(at, "class"), error.to_string());
                    return None;
                }
            },
        };
        let code = self.text(fields, at, "code").unwrap_or_else(|| "mocked_error".to_owned());
        let message = self.text(fields, at, "message").unwrap_or_else(|| "a mocked error".to_owned());
        let error = StepError::new(class, code, message);
        let error = match fields.get("retryable") {
            None => error,
            Some(Value::Bool(retryable)) => error.retryable(*retryable),
            Some(_) => {
                self.error_at("wrong_type", &join(at, "retryable"), "`retryable` must be true or false");
                return None;
            }
        };
        Some(fields.get("details").into_iter().fold(error, |error, details| error.with_details(details.clone())))
    }
}
