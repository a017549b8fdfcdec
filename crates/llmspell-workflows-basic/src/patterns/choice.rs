use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{
    Order, ProblemLocation, StepError, StepId,
    engine::{Call, Outcome, choice, decide, execute},
    expr::Expr,
    model::{Conditional, Switch},
    plan::{Body, Builder, Child, ChildAt, Composite, List, Node},
};

/// A prepared conditional or switch.
struct ChoicePlan {
    cases: Vec<(Expr, Arc<Node>)>,
    default: Option<Arc<Node>>,
    /// Whether the path of a case contains its number.
    is_numbered: bool,
}

impl Builder<'_> {
    pub(crate) fn conditional(&mut self, conditional: &Conditional, path: &str, depth: usize) -> Body {
        let condition = self.expression(&conditional.condition, &ProblemLocation::new(path, "condition"));
        let then = self.block("then", &conditional.then, &format!("{path}/then"), depth + 1);
        let otherwise = (!conditional.otherwise.is_empty())
            .then(|| self.block("else", &conditional.otherwise, &format!("{path}/else"), depth + 1));
        let plan = ChoicePlan { cases: vec![(condition, then)], default: otherwise, is_numbered: false };
        Body::Composite(Box::new(plan))
    }

    pub(crate) fn switch(&mut self, switch: &Switch, path: &str, depth: usize) -> Body {
        let mut cases = Vec::with_capacity(switch.cases.len());
        for (number, case) in switch.cases.iter().enumerate() {
            let when = self.expression(&case.when, &ProblemLocation::new(path, format!("cases/{number}/when")));
            cases.push((when, self.block("case", &case.steps, &format!("{path}/case[{number}]"), depth + 1)));
        }
        if cases.is_empty() {
            self.error("empty_block", ProblemLocation::new(path, "cases"), "a switch needs at least one case");
        }
        let default = (!switch.default.is_empty())
            .then(|| self.block("default", &switch.default, &format!("{path}/default"), depth + 1));
        Body::Composite(Box::new(ChoicePlan { cases, default, is_numbered: true }))
    }
}

impl Composite for ChoicePlan {
    fn perform(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(choose(self, call))
    }

    fn children(&self) -> Vec<Child<'_>> {
        let at = |number| if self.is_numbered { ChildAt::Number(number) } else { ChildAt::Id };
        let cases = self.cases.iter().enumerate().map(|(number, (_, node))| Child { node, at: at(number) });
        cases.chain(self.default.as_ref().map(Child::by_id)).collect()
    }

    fn order(&self, _: Option<&StepId>) -> Order {
        Order::Independent
    }

    fn list(&self) -> Option<&Arc<List>> {
        None
    }
}

/// Runs the list of the first case whose condition is true, or the default list.
async fn choose(plan: &ChoicePlan, call: Call) -> Outcome {
    let default = plan.default.as_ref().map(|_| plan.cases.len());
    let chosen = first(&call, plan).or(default);
    let Some(chosen) = decide!(call, choice::Branch, chosen) else { return Outcome::completed(Value::Null) };
    let child = match (plan.cases.get(chosen), &plan.default) {
        (Some((_, branch)), _) if plan.is_numbered => call.child(branch).with_iteration(chosen),
        (Some((_, branch)), _) => call.child(branch),
        (None, Some(branch)) if chosen == plan.cases.len() => call.child(branch),
        (None, _) => {
            let message = format!("branch {chosen} does not exist");
            return call.failed(StepError::configuration("wrong_decision", message));
        }
    };
    execute(child).await
}

fn first(call: &Call, plan: &ChoicePlan) -> Option<usize> {
    plan.cases.iter().position(|(condition, _)| holds(call, condition))
}

/// Returns whether a condition is true; a condition that cannot be evaluated counts as false, with a warning.
pub(super) fn holds(call: &Call, condition: &Expr) -> bool {
    condition.test(&call.view()).unwrap_or_else(|error| {
        let message =
            format!("the condition `{}` cannot be evaluated and counts as false: {error}", condition.source());
        call.run().warn("condition_unevaluable", call.path(), message);
        false
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::model::{Case, Definition, Step, StepKind, Switch};

    #[test]
    fn steps_of_cases_are_found_by_path() {
        let leaf = |id: &str| vec![Step::function(id, "f", json!(null)).into()];
        let case = |when: &str, id: &str| Case { when: when.into(), steps: leaf(id) };
        let choice = Switch { cases: vec![case("a", "x"), case("b", "y")], default: leaf("z") };
        let definition = Definition::sequence("d", [Step::new("cases", StepKind::Switch(choice))]);
        for (path, id) in
            [("case[0]/x", Some("x")), ("case[1]/y", Some("y")), ("default/z", Some("z")), ("case[0]/y", None)]
        {
            let path = format!("/main/cases/{path}").parse().unwrap();
            assert_eq!(definition.step_at(&path).map(|step| step.id.as_str()), id, "{path}");
        }
    }
}
