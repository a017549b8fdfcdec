use serde_json::{Map, Value};

use crate::{
    Problem, ProblemLocation,
    engine::{Call, Outcome, Output},
    expr::{EvalError, Template},
    plan::{Body, Builder, Leaf, Work},
    state::{Change, List, SharedValue},
};

/// A prepared step that sets keys of the state.
struct SetPlan(Vec<Setting>);

struct Setting {
    key: String,
    value: Template,
    /// Whether the value is `state.KEY.concat(…)`, where `KEY` is the key to set.
    extends: bool,
}

impl Builder<'_> {
    pub(crate) fn set(&mut self, values: &Map<String, Value>, path: &str) -> Body {
        let templates = values.iter().map(|(key, value)| {
            let field = format!("set/{key}");
            if key.is_empty() || key.starts_with('$') {
                let message = format!("invalid state key `{key}`: it must not be empty or start with `$`");
                self.problems.push(Problem::error("invalid_state_key", ProblemLocation::new(path, &*field), message));
            }
            let value = self.template(value, path, &field);
            let extends = value.whole_expression().is_some_and(|expression| expression.extends_state(key));
            Setting { key: key.clone(), value, extends }
        });
        let plan = SetPlan(templates.collect());
        Body::Leaf(Box::new(plan))
    }
}

impl Leaf for SetPlan {
    fn perform(&self, call: Call) -> Work<'_> {
        Work::Done(set(&call, &self.0))
    }
}

/// Sets keys of the state; all values are evaluated before the first key is set.
fn set(call: &Call, settings: &[Setting]) -> Outcome {
    let mut output = Vec::with_capacity(settings.len());
    let mut state_changes = Vec::with_capacity(settings.len());
    for setting in settings {
        let (value, change) = match setting.evaluate(call) {
            Ok(evaluated) => evaluated,
            Err(error) => return call.failed(error.into()),
        };
        output.push((setting.key.clone(), value));
        state_changes.push(change);
    }
    Outcome::Completed(Output { value: SharedValue::object(output), state_changes })
}

impl Setting {
    /// Returns the value and the change that sets it.
    fn evaluate(&self, call: &Call) -> Result<(SharedValue, Change), EvalError> {
        if let Some(list) = self.extended(call)? {
            return Ok((list.clone().into(), Change::extend(self.key.clone(), list)));
        }
        let value = self.value.render(&call.view())?;
        let whole = SharedValue::from(value.clone());
        let change = call.state().shortened(Change::key(self.key.clone(), value));
        // If the value is a growing list, the output shares the list with the state.
        Ok((change.after().unwrap_or(whole), change))
    }

    /// Returns the state's list, extended by the items that the value adds; `None` for any other
    /// value. The time this takes does not depend on the list's length.
    fn extended(&self, call: &Call) -> Result<Option<List>, EvalError> {
        let Some(expression) = self.value.whole_expression().filter(|_| self.extends) else { return Ok(None) };
        // If the state contains any other value, evaluating the whole
        // expression reports the error.
        let Some(before) = call.state().shared(&self.key).filter(|before| before.has_items()) else { return Ok(None) };
        let added = expression.added_items(&call.view())?;
        Ok(List::after(before, added.into()))
    }
}
