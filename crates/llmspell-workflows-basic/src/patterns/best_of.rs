use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;

use super::{join::limit, progress::Progress};
use crate::{
    ErrorClass, Order, Place, StepError, StepId,
    engine::{Call, Outcome, Output, Scope, Tasks, Unended, choice, decide, execute},
    expr::Expr,
    model::BestOf,
    plan::{Body, Builder, Child, Composite, List, Node, Role},
};

/// Branches of which the best counts.
struct BestOfPlan {
    branches: Vec<Arc<Node>>,
    score: Expr,
    max_parallelism: Option<u32>,
}

impl Builder<'_> {
    pub(crate) fn best_of(&mut self, best: &BestOf, path: &str, depth: usize) -> Body {
        self.unique(&best.steps, path);
        if best.steps.is_empty() {
            self.error("empty_block", Place::new(path, ""), "a `best_of` block needs branches");
        }
        if best.max_parallelism == Some(0) {
            self.error("invalid_number", Place::new(path, "max_parallelism"), "`max_parallelism` must be at least 1");
        }
        let branches = best.steps.iter().map(|step| {
            let inner = format!("{path}/{}", step.id);
            if !step.dependencies.is_empty() {
                let message = "branches of a `best_of` block run at the same time, so none can wait for another";
                self.error("dependencies_in_parallel", Place::new(&*inner, "dependencies/0"), message);
            }
            self.next_without_route(step, &inner);
            let node = self.node(step, &inner, depth + 1);
            self.add(Node { role: Role::Branch, ..node })
        });
        let branches = branches.collect();
        let score = self.with_binding("output", |builder| builder.expression(&best.score, &Place::new(path, "score")));
        Body::Composite(Box::new(BestOfPlan { branches, score, max_parallelism: best.max_parallelism }))
    }
}

impl Composite for BestOfPlan {
    fn perform(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(best_of(self, call))
    }

    fn children(&self) -> Vec<Child<'_>> {
        self.branches.iter().map(Child::by_id).collect()
    }

    fn order(&self, _: Option<&StepId>) -> Order {
        Order::Apart
    }

    fn list(&self) -> Option<&List> {
        None
    }
}

/// Runs all branches to their end, then keeps the one with the highest score.
async fn best_of(plan: &BestOfPlan, call: Call) -> Outcome {
    let mut tasks = Tasks::new(&call);
    let around = Arc::new(tasks.around(call.around.scope.clone(), call.around.state.clone()));
    let limit = limit(&call, plan.max_parallelism);
    let mut waiting = plan.branches.iter().enumerate();
    let mut outputs: Vec<Option<Output>> = vec![None; plan.branches.len()];
    let (mut unended, mut failed, mut cancelled) = (Unended::default(), BTreeMap::new(), None);
    loop {
        while tasks.len() < limit && !call.cancel().is_cancelled() {
            let Some((number, branch)) = waiting.next() else { break };
            tasks.spawn(number, Call::new(around.clone(), branch), execute);
        }
        let Some((number, outcome)) = tasks.next().await else { break };
        match unended.take(outcome) {
            Some(Outcome::Completed(output)) => outputs[number] = Some(output),
            Some(Outcome::Failed(failure)) if !failure.handled => drop(failed.insert(number, failure.error)),
            Some(stopped @ Outcome::Cancelled(_)) => drop(cancelled.get_or_insert(stopped)),
            _ => {}
        }
    }
    if call.cancel().is_cancelled() {
        return unended.over(cancelled.unwrap_or_else(|| call.cancelled()));
    }
    if let Some(outcome) = unended.outcome() {
        return outcome;
    }
    let best = match best(&call, &plan.score, &outputs) {
        Ok(best) => best,
        Err(error) => return call.failed(error),
    };
    let best = decide!(call, choice::Branch, best);
    match best.map(|number| outputs.get_mut(number).and_then(Option::take)) {
        Some(Some(output)) => {
            let mut progress = Progress::new(&call);
            match progress.apply(&call, output.state_changes) {
                Ok(()) => progress.finish(&call, None, output.value),
                Err(outcome) => outcome,
            }
        }
        Some(None) => call.failed(StepError::configuration("wrong_decision", "the chosen branch did not complete")),
        None => match failed.pop_first() {
            Some((_, error)) => call.failed(*error),
            None => call.failed(StepError::new(ErrorClass::Agent, "no_best", "no branch completed")),
        },
    }
}

/// The branch with the highest score; the first of several with the same one.
fn best(call: &Call, score: &Expr, outputs: &[Option<Output>]) -> Result<Option<usize>, StepError> {
    let mut best: Option<(usize, f64)> = None;
    for (number, output) in outputs.iter().enumerate() {
        let Some(output) = output else { continue };
        let scope = Scope::names(call.around.scope.clone(), vec![("output", output.value.to_arc())]);
        let inner = call.seeing(Some(scope), call.around.state.clone());
        let view = inner.view();
        let value = score.evaluate_strict(&view)?;
        let Some(found) = value.as_f64() else {
            let message = format!("the score `{}` must be a number, got {value}", score.source());
            return Err(StepError::validation("not_a_number", message));
        };
        if best.is_none_or(|(_, highest)| found > highest) {
            best = Some((number, found));
        }
    }
    Ok(best.map(|(number, _)| number))
}
