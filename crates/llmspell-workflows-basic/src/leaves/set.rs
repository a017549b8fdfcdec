use serde_json::{Map, Value};

use crate::{
    Problem, ProblemLocation,
    engine::{Call, Outcome, Output},
    expr::Template,
    plan::{Body, Builder, Leaf, Work},
    state::{Change, SharedValue},
};

/// A step that sets keys of the state, prepared to run.
struct SetPlan(Vec<(String, Template)>);

impl Builder<'_> {
    pub(crate) fn set(&mut self, values: &Map<String, Value>, path: &str) -> Body {
        let templates = values.iter().map(|(key, value)| {
            let field = format!("set/{key}");
            if key.is_empty() || key.starts_with('$') {
                let message = format!("invalid state key `{key}`: it must not be empty or start with `$`");
                self.problems.push(Problem::error("invalid_state_key", ProblemLocation::new(path, &*field), message));
            }
            (key.clone(), self.template(value, path, &field))
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
fn set(call: &Call, values: &[(String, Template)]) -> Outcome {
    let mut output = Vec::with_capacity(values.len());
    let mut state_changes = Vec::with_capacity(values.len());
    for (key, template) in values {
        let value = match template.render(&call.view()) {
            Ok(value) => value,
            Err(error) => return call.failed(error.into()),
        };
        let whole = SharedValue::from(value.clone());
        let change = call.state().shortened(Change::key(key.clone(), value));
        // If the value is a growing list, the output shares the list with the state.
        output.push((key.clone(), change.after().unwrap_or(whole)));
        state_changes.push(change);
    }
    Outcome::Completed(Output { value: SharedValue::object(output), state_changes })
}
