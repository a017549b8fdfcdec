use std::collections::BTreeMap;

use llmspell_workflows_basic::{
    expr::{Expr, Template},
    model::Definition,
};
use serde_json::{Map, Value};

/// The maximum depth of references between named conditions.
const DEPTH_MAX: usize = 16;

/// Facts known before a run: the input and the variables.
#[derive(Debug, Default)]
pub(super) struct Facts {
    scope: Map<String, Value>,
    conditions: BTreeMap<String, String>,
}

impl Facts {
    pub(super) fn new(definition: &Definition, given: &Value, environment: Option<&str>) -> Self {
        let mut input = given.as_object().cloned().unwrap_or_default();
        for (name, spec) in &definition.inputs {
            if let (None, Some(default)) = (input.get(name), &spec.default) {
                input.insert(name.clone(), default.clone());
            }
        }
        let mut scope = Map::new();
        let mut variables = Map::new();
        scope.insert("input".to_owned(), input.clone().into());
        scope.insert("task".to_owned(), input.clone().into());
        let overrides = environment.and_then(|name| definition.environments.get(name));
        for (name, value) in &definition.variables {
            let value = overrides.and_then(|overrides| overrides.get(name)).unwrap_or(value);
            scope.insert("variables".to_owned(), variables.clone().into());
            // Input fields shadow variables, as they do in a run.
            let mut here = scope.clone();
            here.extend(variables.clone());
            here.extend(input.clone());
            // A variable that reads the clock or a secret has a value only during a run.
            if let Ok(value) = Template::parse(value).map_err(drop).and_then(|value| value.render(&here).map_err(drop))
            {
                variables.insert(name.clone(), (*value).clone());
            }
        }
        scope.insert("variables".to_owned(), variables.clone().into());
        for (name, value) in variables.into_iter().chain(input) {
            scope.entry(name.clone()).or_insert(Value::Null);
            if !matches!(name.as_str(), "input" | "task" | "variables") {
                scope.insert(name, value);
            }
        }
        let conditions = definition.conditions.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        Self { scope, conditions }
    }

    /// Evaluates a condition if it depends only on known facts.
    pub(super) fn decide(&self, condition: &str) -> Option<bool> {
        let mut condition = condition;
        for _ in 0..DEPTH_MAX {
            match self.conditions.get(condition.trim()) {
                Some(named) if !self.scope.contains_key(condition.trim()) => condition = named,
                _ => break,
            }
        }
        let expression = Expr::parse(condition).ok()?;
        let is_known = |name: &str| self.scope.contains_key(name);
        if self.scope.is_empty() || !expression.references().iter().all(|reference| is_known(&reference.name)) {
            return None;
        }
        expression.test(&self.scope).ok()
    }
}

#[cfg(test)]
mod tests {
    use llmspell_workflows_definition::{StepTypes, read};
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_decided_only_from_known_facts() {
        let text = "
name: x
variables: {big: \"{{ count > limit }}\", limit: 3}
environments: {live: {limit: 1}}
conditions: {is_big: count > 3}
steps: [{id: a, type: set, params: {k: 1}}]
";
        let definition = read(text, "x", &StepTypes::new()).unwrap().definition;
        let facts = Facts::new(&definition, &json!({"count": 2}), Some("live"));
        for (condition, expected) in [
            ("count == 2", Some(true)),
            ("input.count > 2", Some(false)),
            ("variables.limit == 1", Some(true)),
            ("is_big", Some(false)),
            ("a.ok", None),
            ("count == 2 && state.k", None),
            ("loop.index == 0", None),
        ] {
            assert_eq!(facts.decide(condition), expected, "{condition}");
        }
        assert_eq!(Facts::default().decide("true"), None);
    }
}
