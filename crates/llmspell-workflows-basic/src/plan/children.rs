//! Builds sub-workflows, and checks steps that run at most once.

use std::sync::Arc;

use super::{Body, Builder, SubPlan};
use crate::{
    Problem, ProblemLocation, Severity,
    model::{Definition, Effect, Step, SubWorkflow},
};

impl Builder<'_> {
    pub(super) fn sub_workflow(&mut self, sub: &SubWorkflow, path: &str) -> Body {
        let input = self.template(&sub.input, path, "input");
        let Some(definition) = self.sub_definition(sub, path) else { return Self::invalid_body() };
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
                    // Any step of the cycle can be changed, not only the one that closes it.
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

    /// Reports a sub-workflow step that holds a permit of an engine limit which steps inside it need too: they would
    /// wait forever.
    pub(super) fn check_enclosing_limits(&mut self, step: &Step, sub: &SubPlan, path: &str) {
        for (position, limit) in step.limits.iter().enumerate() {
            if self.engine.permits().declared(limit).is_some() && sub.plan.takes_permit(limit) {
                let message = format!(
                    "the steps of `{}` need permits of the engine's limit `{limit}` too, so this step would wait for them \
                     forever while it holds one",
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
            let message = "a step cannot run at most once and also be retried";
            self.error("at_most_once_with_retry", place(), message);
        }
    }
}
