use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{choice::holds, list::starting_step, progress::Progress};
use crate::{
    ErrorClass, StepError,
    engine::{Call, Outcome, Scope, Slots, StepStatus, choice, decide, execute},
    plan::{Body, RoutePlan},
    state::SharedValue,
};

/// Goes from step to step, each naming the next; a step entered again is its next generation.
pub(crate) fn route(call: Call) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let node = call.node().clone();
        let Body::Route(plan) = &node.body else { unreachable!("`perform` calls this for routes") };
        let limit = plan.transitions_max.unwrap_or(call.run().limits().transitions_max);
        let mut current = match starting_step(&call, &plan.list) {
            Ok(start) => start.unwrap_or(plan.start),
            Err(outcome) => return outcome,
        };
        let (mut progress, mut last) = (Progress::new(&call), SharedValue::default());
        let mut slots = Arc::new(Slots::new(plan.list.nodes.len()));
        let mut entered = vec![false; plan.list.nodes.len()];
        for transition in 0..=u64::from(limit) {
            let scope = Scope::list(call.around.scope.clone(), &plan.list, &slots);
            if call.node().is_root {
                call.run().set_root_scope(&scope);
            }
            let around = call.inside(Some(scope), progress.state.clone());
            let mut child = Call::new(Arc::new(around), &plan.list.nodes[current]);
            if std::mem::replace(&mut entered[current], true) {
                let generation = call.run().next_generation(child.path());
                child = child.with_generation(decide!(call, choice::RouteGeneration(transition), generation));
                call.run().entered_as(child.path());
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
                Err(outcome) => return outcome,
            };
            let scope = Scope::list(call.around.scope.clone(), &plan.list, &slots);
            if call.node().is_root {
                call.run().set_root_scope(&scope);
            }
            let output = output.to_arc();
            let names = vec![("output", output.clone()), ("result", output)];
            let inner = call.seeing(Some(Scope::names(Some(scope.clone()), names)), progress.state.clone());
            let next = way(&inner, plan, current).map(|next| plan.list.nodes[next].id.to_string());
            let Some(next) = decide!(call, choice::Transition(transition), next) else {
                return progress.finish(&call, Some(&scope), last);
            };
            current = match plan.list.number(&next) {
                Some(number) => number,
                None => {
                    let message = format!("no step of this route is called `{next}`");
                    return call.failed(StepError::configuration("unknown_step", message));
                }
            };
        }
        let message =
            format!("the route went from one step to another more than {limit} times, the limit `transitions_max`");
        call.failed(StepError::new(ErrorClass::Resource, "transitions_max", message).retryable(false))
    })
}

fn way(call: &Call, plan: &RoutePlan, current: usize) -> Option<usize> {
    let mut ways = plan.ways[current].iter();
    ways.find(|(condition, _)| condition.as_ref().is_none_or(|condition| holds(call, condition)))?.1
}
