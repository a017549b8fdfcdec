//! Builds sub-workflows, and checks steps that run at most once.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Body, Builder, SubPlan, names::join};
use crate::{
    Problem, ProblemLocation, Severity,
    expr::Template,
    model::{Definition, Effect, Step, SubWorkflow},
};

impl Builder<'_> {
    pub(super) fn sub_workflow(&mut self, sub: &SubWorkflow, path: &str) -> Body {
        let input = self.template(&sub.input, path, "input");
        let Some(definition) = self.sub_definition(sub, path) else { return Self::invalid_body() };
        self.sub_input(sub, &definition, path);
        let limit = self.engine.limits().sub_workflow_depth_max as usize;
        let mut chain = self.chain.clone();
        chain.push(self.definition.name.clone());
        if chain.contains(&definition.name) {
            let around = format!("{} → {}", chain.join(" → "), definition.name);
            self.error(
                "workflow_cycle",
                ProblemLocation::new(path, "workflow"),
                format!("these workflows run each other: {around}"),
            );
            return Self::invalid_body();
        }
        if chain.len() > limit {
            let message = format!("sub-workflows are nested deeper than {limit}, the limit `sub_workflow_depth_max`");
            self.error("sub_workflow_depth_max", ProblemLocation::new(path, "workflow"), message);
            return Self::invalid_body();
        }
        match Builder::plan_in(self.engine, definition, chain) {
            Ok(plan) => {
                let place = ProblemLocation::new(path, "workflow");
                let inner = |warning: &Problem| Problem {
                    message: format!("in the workflow `{}`, {}: {}", sub.workflow, warning.place, warning.message),
                    place: place.clone(),
                    ..warning.clone()
                };
                self.problems.extend(plan.warnings.iter().map(inner));
                Body::SubWorkflow(SubPlan { name: sub.workflow.clone(), plan: Arc::new(plan), input })
            }
            Err(invalid) => {
                let first = invalid.0.iter().find(|problem| problem.severity == Severity::Error);
                if let Some(cycle) = invalid.0.iter().find(|problem| problem.code == "workflow_cycle") {
                    // Any step of the cycle can be changed, not only the step that closes it.
                    self.error("workflow_cycle", ProblemLocation::new(path, "workflow"), cycle.message.clone());
                    return Self::invalid_body();
                }
                let first = first.map(ToString::to_string).unwrap_or_default();
                let message = format!("the workflow `{}` is invalid: {first}", sub.workflow);
                self.error("invalid_sub_workflow", ProblemLocation::new(path, "workflow"), message);
                Self::invalid_body()
            }
        }
    }

    /// Reports definite problems with the input of a sub-workflow that declares its inputs.
    fn sub_input(&mut self, sub: &SubWorkflow, definition: &Definition, path: &str) {
        let (declared, none) = (&definition.inputs, Map::new());
        let given = match &sub.input {
            _ if declared.is_empty() => return,
            Value::Object(fields) => fields,
            Value::Null => &none,
            // An expression may evaluate to any value.
            input if Template::parse(input).is_ok_and(|input| input.fixed().is_none()) => return,
            _ => {
                let message = format!("the input of `{}` must be an object", sub.workflow);
                return self.error("invalid_input", ProblemLocation::new(path, "input"), message);
            }
        };
        for name in given.keys().filter(|name| !declared.contains_key(*name)) {
            let message = format!("`{}` has no input `{name}`", sub.workflow);
            let problem = Problem::error(
                "invalid_input",
                ProblemLocation::new(path, join("input", &format!("/{name}"))),
                message,
            );
            self.problems.push(problem.with_known(name, declared.keys().map(String::as_str)));
        }
        for (name, spec) in declared {
            let place = |field: String| ProblemLocation::new(path, field);
            match (given.get(name), spec.kind) {
                (None, _) if spec.required && spec.default.is_none() => {
                    let message = format!("`{}` requires the input `{name}`", sub.workflow);
                    self.error("invalid_input", place("input".to_owned()), message);
                }
                (Some(value), Some(kind)) => {
                    let template = Template::parse(value).ok();
                    let fixed = template.as_ref().and_then(Template::fixed).filter(|value| !kind.admits(value));
                    if let Some(value) = fixed {
                        let message = format!(
                            "the input `{name}` of `{}` must be of type {}, got {value}",
                            sub.workflow,
                            kind.as_str()
                        );
                        self.error("invalid_input", place(format!("input/{name}")), message);
                    }
                }
                _ => {}
            }
        }
    }

    /// Reports a sub-workflow step that holds a permit of an engine limit which its inner steps
    /// also need, because these steps would wait forever.
    pub(super) fn check_enclosing_limits(&mut self, step: &Step, sub: &SubPlan, path: &str) {
        for (position, limit) in step.limits.iter().enumerate() {
            if self.engine.permits().declared(limit).is_some() && sub.plan.takes_permit(limit) {
                let message = format!(
                    "the steps of `{}` also need permits of the engine's limit `{limit}`, so this step would hold a permit \
                     and wait for them forever",
                    sub.name
                );
                self.error("limit_on_block", ProblemLocation::new(path, format!("limits/{position}")), message);
            }
        }
    }

    /// Returns the definition of a sub-workflow step.
    fn sub_definition(&mut self, sub: &SubWorkflow, path: &str) -> Option<Arc<Definition>> {
        let own = self.definition.clone();
        let found = own.workflows.get(&sub.workflow).or_else(|| self.engine.workflows().get(&sub.workflow));
        let Some(found) = found else {
            let message = format!("unknown workflow `{}`", sub.workflow);
            let problem = Problem::error("unknown_workflow", ProblemLocation::new(path, "workflow"), message);
            let known: Vec<_> =
                own.workflows.keys().chain(self.engine.workflows().keys()).map(String::as_str).collect();
            self.problems.push(problem.with_known(&sub.workflow, known.iter().copied()));
            return None;
        };
        if let Some(version) = sub.version.as_ref().filter(|version| **version != found.version) {
            let message = format!("the workflow `{}` has version `{}`, not `{version}`", sub.workflow, found.version);
            self.error("unknown_workflow_version", ProblemLocation::new(path, "version"), message);
        }
        Some(found.clone())
    }

    pub(super) fn at_most_once(&mut self, step: &Step, path: &str) {
        let place = || ProblemLocation::new(path, "at_most_once");
        if step.kind.traits().effect != Effect::Activity {
            let message = format!("a `{}` step has no effect that could happen twice", step.kind.as_str());
            self.error("at_most_once_without_effect", place(), message);
        }
        if step.retry.as_ref().is_some_and(|retry| retry.attempts_max > 1) {
            let message = "an `at_most_once` step cannot be retried";
            let help = "remove its `retries`; or remove `at_most_once` if repeating the step does no harm";
            self.problems.push(Problem::error("at_most_once_with_retry", place(), message).with_help(help));
        }
    }
}
