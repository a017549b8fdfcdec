//! The definition as a whole: its settings, its root step, and the templates
//! evaluated after the root step.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    Builder, ListKind, Node, Plan, Role,
    circles::{in_order, referred, variable_order},
};
use crate::{
    Problem, ProblemLocation,
    expr::{Expr, Template},
    model::{Definition, InputType, OnError, Step, StepKind},
};

impl Builder<'_> {
    pub(super) fn definition(&mut self, main: Arc<Step>) -> Plan {
        let definition = self.definition.clone();
        self.declared_names(&definition);
        let conditions = self.conditions();
        self.names.in_variable = true;
        let variables: IndexMap<String, Template> = definition
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), self.template(value, "", &format!("variables/{name}"))))
            .collect();
        self.variable_circle("variables", &variables, None);
        let mut environments = HashMap::new();
        for (environment, overrides) in &definition.environments {
            let templates = overrides.iter().map(|(name, value)| {
                let field = format!("environments/{environment}/{name}");
                if !definition.variables.contains_key(name) {
                    let known = definition.variables.keys().map(String::as_str);
                    let problem = Problem::error(
                        "unknown_variable",
                        ProblemLocation::new("", &*field),
                        format!("cannot override unknown variable `{name}`"),
                    );
                    self.problems.push(problem.with_known(name, known));
                }
                (name.clone(), self.template(value, "", &field))
            });
            let templates: IndexMap<String, Template> = templates.collect();
            self.variable_circle(&format!("environments/{environment}"), &variables, Some(&templates));
            environments.insert(environment.clone(), templates);
        }
        self.names.in_variable = false;
        let trigger =
            definition.trigger.as_ref().map(|text| self.expression(text, &ProblemLocation::new("", "trigger")));
        self.root_settings(&definition);
        let migrations = self.migrations(&definition);
        let root = self.root_node(&main);
        let finally = (!definition.finally.is_empty()).then(|| {
            self.names.in_finally = true;
            let finally = self.with_binding("error", |builder| {
                builder.after_root(ListKind::Ended, |builder| builder.finally(&definition.finally))
            });
            self.names.in_finally = false;
            finally
        });
        let fields_read = std::mem::take(&mut self.fields_read);
        let (nodes, warnings) = (std::mem::take(&mut self.nodes), Vec::new());
        Plan {
            definition,
            nodes,
            root,
            finally,
            trigger,
            variables,
            environments,
            conditions,
            migrations,
            fields_read,
            hash: std::sync::OnceLock::new(),
            warnings,
        }
    }

    fn conditions(&mut self) -> HashMap<String, Expr> {
        let definition = self.definition.clone();
        let named = definition.conditions.iter();
        let conditions: HashMap<String, Expr> = named
            .map(|(name, text)| {
                (name.clone(), self.expression(text, &ProblemLocation::new("", format!("conditions/{name}"))))
            })
            .collect();
        let refers = |name: &str| {
            let references = conditions.get(name).into_iter().flat_map(Expr::references);
            references.filter_map(|reference| referred(reference, "conditions")).collect()
        };
        if let Err(circle) = in_order(definition.conditions.keys().map(String::as_str), refers) {
            self.circle("conditions", &circle);
        }
        conditions
    }

    /// Reports variables that refer to each other in a cycle, using the values from an environment.
    fn variable_circle(
        &mut self,
        field: &str,
        variables: &IndexMap<String, Template>,
        overrides: Option<&IndexMap<String, Template>>,
    ) {
        // A cycle that also exists without the environment is reported only once.
        if overrides.is_some() && variable_order(variables, None).is_err() {
            return;
        }
        if let Err(circle) = variable_order(variables, overrides) {
            self.circle(field, &circle);
        }
    }

    fn circle(&mut self, field: &str, circle: &[&str]) {
        let (first, last) = (circle.first().copied().unwrap_or_default(), circle.last().copied().unwrap_or_default());
        let message = match circle {
            [_] => format!("`{first}` refers to itself"),
            _ => format!("`{first}` refers to itself through {}", listed(&circle[1..])),
        };
        let problem =
            Problem::error("circular_reference", ProblemLocation::new("", format!("{field}/{last}")), message);
        self.problems
            .push(problem.with_help("break the cycle: give one of them a value that refers to none of the others"));
    }

    fn root_settings(&mut self, definition: &Definition) {
        if definition.name.trim().is_empty() {
            self.error("name_missing", ProblemLocation::new("", "name"), "a workflow needs a name");
        }
        for (position, tool) in definition.required_tools.iter().enumerate() {
            let place = ProblemLocation::new("", format!("required_tools/{position}"));
            self.check_activity(&crate::model::ActivityName::new("tool", tool), &place);
        }
        for (name, holders) in &definition.concurrency {
            if *holders == 0 {
                let place = ProblemLocation::new("", format!("concurrency/{name}"));
                self.error("invalid_number", place, format!("the limit `{name}` must be at least 1"));
            }
            if let Some(engine) = self.engine.permits().declared(name).filter(|engine| engine != holders) {
                let place = ProblemLocation::new("", format!("concurrency/{name}"));
                let message = format!(
                    "the limit `{name}` is {holders} here and {engine} in the engine; the engine's value takes \
                     precedence"
                );
                let problem = Problem::warning("limit_differs", place, message);
                self.problems.push(problem.with_help("give both the same number, or rename the workflow's own limit"));
            }
        }
        for (name, spec) in &definition.inputs {
            if let (Some(kind), Some(default)) = (spec.kind, &spec.default)
                && !kind.admits(default)
            {
                let place = ProblemLocation::new("", format!("inputs/{name}/default"));
                let message = format!("the default {default} is not of type {}", kind.as_str());
                let problem = Problem::error("wrong_type", place, message);
                self.problems.push(match default_help(kind, default) {
                    Some(help) => problem.with_help(help),
                    None => problem,
                });
            }
        }
    }

    fn root_node(&mut self, main: &Arc<Step>) -> Arc<Node> {
        let definition = self.definition.clone();
        let outputs = definition.outputs.as_ref();
        // In a route, steps not reached by any transition have not run.
        let is_route = matches!(self.definition.body, StepKind::Route(_));
        let kind = if is_route { ListKind::Ended } else { ListKind::Ordered };
        let outputs = outputs.map(|outputs| self.after_root(kind, |builder| builder.template(outputs, "", "outputs")));
        let node = self.node(main, "/main", 0);
        // Each run can have its own time limit, set when it is started.
        let slice = self.bounded_slice(main);
        self.add(Node { outputs, is_root: true, role: Role::Root, slice, ..node })
    }

    /// Calls `build` with the names of all steps of the root list, which are visible after the list
    /// has ended.
    pub(super) fn after_root<T>(&mut self, kind: ListKind, build: impl FnOnce(&mut Self) -> T) -> T {
        let definition = self.definition.clone();
        let none = Vec::new();
        let steps = definition.body.list().unwrap_or(&none);
        self.enter_list(steps, kind);
        self.at_step(steps.len());
        let built = build(self);
        self.leave_list();
        built
    }
}

/// Returns the root step of a definition.
pub(super) fn main(definition: &Definition) -> Step {
    let mut main = Step::new("main", definition.body.clone());
    main.total_timeout = definition.total_timeout.clone();
    if !definition.on_error.is_empty() {
        main.on_error = OnError::Steps(definition.on_error.clone());
    }
    main
}

/// Suggests a replacement for a default of the wrong type.
fn default_help(kind: InputType, default: &Value) -> Option<&'static str> {
    match (kind, default) {
        (InputType::Boolean, Value::String(_)) => {
            Some("write `true` or `false` without quotes; in YAML 1.2, `yes` and `no` are strings")
        }
        (InputType::Integer | InputType::Number, Value::String(_)) => {
            Some("write the number alone, without a unit or quotes")
        }
        (InputType::String, Value::Number(_) | Value::Bool(_)) => Some("write it in quotes if it is a string"),
        _ => None,
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
