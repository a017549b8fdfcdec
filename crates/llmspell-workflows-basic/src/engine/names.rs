//! The values of the names that a run's expressions can read: its input, variables, environment and
//! secrets.

use std::{
    borrow::Cow::{self, Borrowed, Owned},
    collections::BTreeMap,
};

use serde_json::Value;

use super::{Run, scope::object};
use crate::{
    StepError,
    expr::{self, Key, Segment, Template},
    plan::circles::variable_order,
};

impl Run {
    /// Computes the run's variables, each after the variables that it refers to. An environment
    /// variable in `recorded` has its recorded value.
    pub(super) fn with_variables(
        mut self,
        environment: Option<&str>,
        recorded: BTreeMap<String, Option<String>>,
    ) -> Result<Self, StepError> {
        let plan = self.plan.clone();
        let overrides = match environment {
            None => None,
            Some(name) => Some(plan.environments.get(name).ok_or_else(|| {
                let mut known: Vec<_> = plan.environments.keys().map(String::as_str).collect();
                known.sort_unstable();
                let known = if known.is_empty() {
                    "the workflow has no environments".to_owned()
                } else {
                    format!("known environments: {}", known.join(", "))
                };
                let message = format!("unknown environment `{name}` ({known})");
                StepError::configuration("unknown_environment", message)
            })?),
        };
        let order = variable_order(&plan.variables, overrides).map_err(|circle| {
            let message = format!("the variables {} refer to each other in a cycle", circle.join(", "));
            StepError::configuration("circular_reference", message)
        })?;
        let mut names: Vec<&str> = Vec::new();
        if !plan.definition.env.is_empty() {
            let templates =
                order.iter().filter_map(|name| overrides.and_then(|it| it.get(*name)).or(plan.variables.get(*name)));
            for found in templates.flat_map(Template::references).filter(|found| found.reference.name == "env") {
                match found.reference.keys.first() {
                    Some(Key::Name(name)) => names.push(name),
                    // The variable's name is computed, so any listed variable may be read.
                    _ => names.extend(plan.definition.env.iter().map(String::as_str)),
                }
            }
        }
        for name in names {
            let current = || self.env(name).and_then(Value::as_str).map(str::to_owned);
            let value = recorded.get(name).cloned().unwrap_or_else(current);
            self.variable_env.insert(name.to_owned(), value);
        }
        for name in order {
            let template = overrides.and_then(|overrides| overrides.get(name)).unwrap_or(&plan.variables[name]);
            let value = template.render(&InitialScope(&self)).map_err(|error| {
                let error = StepError::from(error);
                StepError { message: format!("variable `{name}`: {}", error.message), ..error }
            })?;
            self.variables.insert(name.to_owned(), (*value).clone());
        }
        Ok(self)
    }

    /// Returns the value of `task`, an older name for the input: the input's field `task` if it
    /// exists, otherwise the whole input.
    pub(crate) fn task(&self) -> &Value {
        self.input.initial_data.get("task").unwrap_or(&self.input.initial_data)
    }

    /// Returns the value of `context.KEY`, except for `context.state`.
    pub(crate) fn context_value(&self, key: &str) -> Option<Cow<'_, Value>> {
        match key {
            "workflowId" | "run_id" => Some(Owned(self.id().to_string().into())),
            "task" | "input" => Some(Borrowed(self.task())),
            _ => self.definition().context.get(key).or_else(|| self.input().get(key)).map(Borrowed),
        }
    }

    /// Returns the value of `workflow.KEY`.
    pub(crate) fn workflow_value(&self, key: &str) -> Option<Cow<'_, Value>> {
        match key {
            "input" => Some(Borrowed(self.input())),
            "name" => Some(Owned(self.definition().name.clone().into())),
            "version" => Some(Owned(self.definition().version.clone().into())),
            "id" => Some(Owned(self.id().to_string().into())),
            _ => None,
        }
    }

    /// Returns the value of `run.KEY`.
    pub(crate) fn run_value(&self, key: &str) -> Option<Cow<'_, Value>> {
        match key {
            "id" => Some(Owned(self.id().to_string().into())),
            "started_at" => Some(Owned(self.started_at().to_string().into())),
            _ => None,
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&Value> {
        self.input.parameters.get(name)
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    pub(crate) fn variable_names(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
    }

    pub(crate) fn variables_value(&self) -> Value {
        object(self.variables.iter().map(|(name, value)| (name.as_str(), value)))
    }

    pub(crate) fn env(&self, name: &str) -> Option<&Value> {
        self.env.get(name)
    }

    pub(crate) fn secret(&self, name: &str) -> Option<&Value> {
        self.secrets.get(name)
    }

    /// Returns the environment variables from which the run's variables were computed; a variable
    /// that was not set is `None`.
    ///
    /// A resumed run computes its variables from the same values; see
    /// [`Resume::with_env`](super::Resume::with_env).
    #[must_use]
    pub fn variable_env(&self) -> &BTreeMap<String, Option<String>> {
        &self.variable_env
    }
}

/// The scope before any step has run: the input, and the variables computed so far.
struct InitialScope<'a>(&'a Run);

impl expr::Scope for InitialScope<'_> {
    fn find<'s>(&'s self, name: &str, keys: &[Segment<'_>]) -> Option<(Cow<'s, Value>, usize)> {
        let key = keys.first().and_then(Segment::name);
        match name {
            "input" => Some((Borrowed(self.0.input()), 0)),
            "task" => Some((Borrowed(self.0.task()), 0)),
            "workflow" => Some((self.0.workflow_value(key?)?, 1)),
            "context" => Some((self.0.context_value(key?)?, 1)),
            "variables" => Some((Borrowed(self.0.variable(key?)?), 1)),
            "env" => Some((Owned(self.0.variable_env.get(key?)?.clone()?.into()), 1)),
            "run" => Some((self.0.run_value(key?)?, 1)),
            _ => {
                let found =
                    self.0.input().get(name).or_else(|| self.0.parameter(name)).or_else(|| self.0.variable(name));
                found.map(|value| (Borrowed(value), 0))
            }
        }
    }

    fn available(&self) -> Vec<String> {
        let fields = self.0.input().as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        fields.into_iter().chain(self.0.variable_names()).collect()
    }
}
