use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    StepError,
    engine::{Call, Outcome, choice, decide, execute},
    expr::Expr,
    model::StepKind,
    plan::{Body, ChoicePlan},
};

/// Runs the list of the first case that holds, else the default.
pub(crate) fn choice(call: Call) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let node = call.node().clone();
        let Body::Choice(plan) = &node.body else { unreachable!("`perform` calls this for choices") };
        let default = plan.default.as_ref().map(|_| plan.cases.len());
        let chosen = first(&call, plan).or(default);
        let Some(chosen) = decide!(call, choice::Branch, chosen) else { return Outcome::completed(Value::Null) };
        let child = match (plan.cases.get(chosen), &plan.default) {
            (Some((_, branch)), _) if matches!(node.step.kind, StepKind::Switch(_)) => {
                call.child(branch).with_iteration(chosen)
            }
            (Some((_, branch)), _) => call.child(branch),
            (None, Some(branch)) if chosen == plan.cases.len() => call.child(branch),
            (None, _) => {
                let message = format!("branch number {chosen} was chosen, which there is none of");
                return call.failed(StepError::configuration("wrong_decision", message));
            }
        };
        execute(child).await
    })
}

fn first(call: &Call, plan: &ChoicePlan) -> Option<usize> {
    plan.cases.iter().position(|(condition, _)| holds(call, condition))
}

/// Whether a condition holds; one that cannot be evaluated counts as false, with a warning.
pub(super) fn holds(call: &Call, condition: &Expr) -> bool {
    condition.test(&call.view()).unwrap_or_else(|error| {
        let message =
            format!("the condition `{}` cannot be evaluated and counts as false: {error}", condition.source());
        call.run().warn("condition_unevaluable", call.path(), message);
        false
    })
}
