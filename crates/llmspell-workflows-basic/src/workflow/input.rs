use std::collections::HashMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    StepError,
    model::{Definition, InputSpec},
    nearest,
};

/// The input of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WorkflowInput {
    /// The input data, usually an object.
    pub initial_data: Value,
    /// Additional values; fields of the input take precedence.
    #[serde(default)]
    pub parameters: HashMap<String, Value>,
    /// The id of the step at which the run starts, in the root list; earlier steps are skipped.
    #[serde(default)]
    pub starting_step: Option<String>,
}

impl WorkflowInput {
    /// Creates an input.
    #[must_use]
    pub fn new(data: impl Into<Value>) -> Self {
        Self { initial_data: data.into(), parameters: HashMap::new(), starting_step: None }
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Starts the run at the step `id`.
    #[must_use]
    pub fn starting_at(mut self, id: impl Into<String>) -> Self {
        self.starting_step = Some(id.into());
        self
    }

    /// Validates the input against the inputs declared by `definition`, if
    /// any, and adds default values.
    pub(crate) fn declared(mut self, definition: &Definition) -> Result<Self, StepError> {
        let specs = &definition.inputs;
        if specs.is_empty() {
            return self.without_shadowing(definition);
        }
        if self.initial_data.is_null() {
            self.initial_data = Value::Object(Map::new());
        }
        let Value::Object(fields) = &mut self.initial_data else {
            let message = format!("the input must be an object with the fields {}", listed(specs));
            return Err(StepError::validation("invalid_input", message));
        };
        let mut problems: Vec<String> = Vec::new();
        for name in fields.keys().filter(|name| !specs.contains_key(*name)) {
            let near = nearest(name, specs.keys().map(String::as_str));
            let near = near.map_or_else(
                || format!("declared inputs: {}", listed(specs)),
                |near| format!("did you mean `{near}`?"),
            );
            problems.push(format!("unknown input `{name}` ({near})"));
        }
        for (name, spec) in specs {
            match (fields.get(name), &spec.default) {
                (None, Some(default)) => {
                    fields.insert(name.clone(), default.clone());
                }
                (None, None) if spec.required => problems.push(format!("the input `{name}` is required")),
                (Some(value), _) if spec.kind.is_some_and(|kind| !kind.admits(value)) => {
                    let kind = spec.kind.map(crate::model::InputType::as_str).unwrap_or_default();
                    problems.push(format!("the input `{name}` must be of type {kind}, got {value}"));
                }
                _ => {}
            }
        }
        if problems.is_empty() { Ok(self) } else { Err(StepError::validation("invalid_input", problems.join("; "))) }
    }

    /// Checks that no field of an undeclared input silently replaces a variable or a condition of `definition`.
    fn without_shadowing(self, definition: &Definition) -> Result<Self, StepError> {
        let problem = |name: &String| {
            let other = match () {
                () if definition.variables.contains_key(name) => "a variable",
                () if definition.conditions.contains_key(name) => "a condition",
                () => return None,
            };
            Some(format!(
                "the input `{name}` has the same name as {other} of the workflow; rename one of them, or declare `{name}` \
                 under `inputs` instead"
            ))
        };
        let fields = self.initial_data.as_object().into_iter().flat_map(Map::keys);
        let problems: Vec<String> = fields.chain(self.parameters.keys()).filter_map(problem).collect();
        if problems.is_empty() { Ok(self) } else { Err(StepError::validation("invalid_input", problems.join("; "))) }
    }
}

fn listed(specs: &IndexMap<String, InputSpec>) -> String {
    specs.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn undeclared_input_must_not_replace_a_variable_or_a_condition() {
        let mut definition = Definition::sequence("d", []);
        definition.variables.insert("region".into(), json!("eu"));
        definition.conditions.insert("urgent".into(), "true".into());
        let check = |input: WorkflowInput| input.declared(&definition).map_err(|error| error.message);
        for (name, other) in [("region", "a variable"), ("urgent", "a condition")] {
            let expected = format!("the input `{name}` has the same name as {other} of the workflow");
            for input in [WorkflowInput::new(json!({name: 1})), WorkflowInput::default().with_parameter(name, 1)] {
                let message = check(input).unwrap_err();
                assert!(message.starts_with(&expected), "{message}");
            }
        }
        for input in [json!({"other": 1, "nested": {"region": "us"}}), json!(["region"]), json!("region"), json!(null)]
        {
            assert_eq!(check(WorkflowInput::new(input.clone())).map(|input| input.initial_data), Ok(input));
        }
        // A declared input cannot have such a name, because the definition would then be invalid.
        definition.inputs.insert("who".into(), InputSpec::default());
        let message = WorkflowInput::new(json!({"region": "us"})).declared(&definition).unwrap_err().message;
        assert!(message.starts_with("unknown input `region`"), "{message}");
    }
}
