use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{choice::holds, list::starting_step, progress::Progress};
use crate::{
    ErrorClass, Order, Problem, ProblemLocation, StepError, StepId,
    engine::{Call, Outcome, Scope, Slots, StepStatus, VisibleResult, choice, decide, execute},
    expr::Expr,
    model::{Route, Step, Transition},
    plan::{Body, Builder, Child, Composite, List, ListKind},
    state::SharedValue,
};

/// A prepared route.
struct RoutePlan {
    list: Arc<List>,
    start: usize,
    /// The transitions of each step: a condition, and the number of the next step or `None` to end the route.
    transitions: Vec<Vec<(Option<Expr>, Option<usize>)>>,
    transitions_max: Option<u32>,
}

impl Builder<'_> {
    pub(crate) fn route(&mut self, route: &Route, path: &str, depth: usize) -> Body {
        self.unique(&route.steps, path);
        self.shadowing(&route.steps, path);
        let start = route.steps.iter().position(|step| step.id == route.start).unwrap_or(0);
        self.enter_list(&route.steps, ListKind::Route { start });
        let (mut nodes, mut transitions) = (Vec::new(), Vec::new());
        for (number, step) in route.steps.iter().enumerate() {
            self.at_step(number);
            let inner = format!("{path}/{}", step.id);
            if !step.dependencies.is_empty() {
                let message =
                    "a step of a route cannot have dependencies: it runs when another step names it as the next step";
                self.error("dependencies_in_route", ProblemLocation::new(&*inner, "dependencies/0"), message);
            }
            nodes.push(self.step(step, &inner, depth + 1));
            let next = step.next.iter().enumerate();
            let read = next.map(|(n, transition)| self.transition(transition, n, &inner, &route.steps));
            transitions.push(read.collect());
        }
        self.leave_list();
        let start = self.target(&route.start, &ProblemLocation::new(path, "start"), &route.steps).unwrap_or(0);
        let list = Arc::new(List::new(nodes, None));
        let plan = RoutePlan { list, start, transitions, transitions_max: route.transitions_max };
        Body::Composite(Box::new(plan))
    }

    fn transition(
        &mut self,
        transition: &Transition,
        number: usize,
        path: &str,
        steps: &[Arc<Step>],
    ) -> (Option<Expr>, Option<usize>) {
        let condition = transition.condition.as_ref().map(|text| {
            let place = ProblemLocation::new(path, format!("next/{number}/condition"));
            self.with_binding("output", |builder| builder.with_binding("result", |b| b.expression(text, &place)))
        });
        let place = ProblemLocation::new(path, format!("next/{number}/target"));
        (condition, transition.target.as_ref().and_then(|id| self.target(id, &place, steps)))
    }

    fn target(&mut self, id: &str, place: &ProblemLocation, steps: &[Arc<Step>]) -> Option<usize> {
        let found = steps.iter().position(|step| step.id == id);
        if found.is_none() {
            let problem = Problem::error("unknown_step", place.clone(), format!("the route has no step `{id}`"));
            self.problems.push(problem.with_known(id, steps.iter().map(|step| step.id.as_str())));
        }
        found
    }
}

impl Composite for RoutePlan {
    fn perform(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(follow(self, call))
    }

    fn children(&self) -> Vec<Child<'_>> {
        self.list.nodes.iter().map(Child::by_id).collect()
    }

    fn order(&self, _: Option<&StepId>) -> Order {
        Order::Sequential
    }

    fn list(&self) -> Option<&Arc<List>> {
        Some(&self.list)
    }
}

/// Runs the steps of a route. A step that is entered again runs under its next generation.
async fn follow(plan: &RoutePlan, call: Call) -> Outcome {
    let limit = plan.transitions_max.unwrap_or(call.run().limits().transitions_max);
    let mut current = match starting_step(&call, &plan.list) {
        Ok(start) => start.unwrap_or(plan.start),
        Err(outcome) => return outcome,
    };
    let (mut progress, mut last) = (Progress::new(&call), SharedValue::default());
    let mut slots = Arc::new(Slots::new(plan.list.nodes.len()));
    let mut entered = vec![false; plan.list.nodes.len()];
    for transition in 0..=u64::from(limit) {
        let scope = Scope::list(call.context.scope.clone(), &plan.list, &slots);
        if call.node().is_root {
            call.run().set_root_scope(&scope);
        }
        let context = call.inside(Some(scope), progress.state.clone());
        let mut child = Call::new(Arc::new(context), &plan.list.nodes[current]);
        if std::mem::replace(&mut entered[current], true) {
            let generation = call.run().next_generation(child.path());
            child = child.with_generation(decide!(call, choice::RouteGeneration(transition), generation));
            call.run().record_entry(child.path());
        }
        let output = match progress.take(&call, execute(child).await) {
            Ok(ended) => {
                let output = ended.value.clone();
                if ended.status == StepStatus::Completed {
                    last = output.clone();
                }
                slots = Arc::new(slots.with(current, ended));
                output
            }
            Err(outcome) => {
                if let (true, Some(ended)) = (call.node().is_root, VisibleResult::of_last(&outcome)) {
                    let slots = Arc::new(slots.with(current, ended));
                    call.run().set_root_scope(&Scope::list(call.context.scope.clone(), &plan.list, &slots));
                }
                return outcome;
            }
        };
        let scope = Scope::list(call.context.scope.clone(), &plan.list, &slots);
        if call.node().is_root {
            call.run().set_root_scope(&scope);
        }
        let output = output.to_arc();
        let names = vec![("output", output.clone()), ("result", output)];
        let inner = call.seeing(Some(Scope::names(Some(scope.clone()), names)), progress.state.clone());
        let next = next(&inner, plan, current).map(|next| plan.list.nodes[next].id.to_string());
        let Some(next) = decide!(call, choice::Transition(transition), next) else {
            return progress.finish(&call, Some(&scope), last);
        };
        current = match plan.list.number(&next) {
            Some(number) => number,
            None => {
                let message = format!("the route has no step `{next}`");
                return call.failed(StepError::configuration("unknown_step", message));
            }
        };
    }
    let message = format!("the route has made more than {limit} transitions, the limit `transitions_max`");
    call.failed(StepError::new(ErrorClass::Resource, "transitions_max", message).retryable(false))
}

fn next(call: &Call, plan: &RoutePlan, current: usize) -> Option<usize> {
    let mut transitions = plan.transitions[current].iter();
    transitions.find(|(condition, _)| condition.as_ref().is_none_or(|condition| holds(call, condition)))?.1
}
