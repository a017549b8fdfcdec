use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{graph, progress::Progress, until};
use crate::{
    Order, StepId,
    engine::{Begun, Call, Outcome, Scope, SkipReason, Slots, StepStatus, VisibleResult, begin},
    model::TriggerRule,
    plan::{Child, Composite, List},
};

/// Prepared steps that run in order or as a graph.
pub(crate) struct ListPlan(pub(crate) Arc<List>);

impl Composite for ListPlan {
    fn perform(&self, call: Call) -> BoxFuture<'_, Outcome> {
        match call.until().cloned() {
            Some(until) => Box::pin(until::iteration(call, self.0.clone(), until)),
            None => steps(call, self.0.clone(), Arc::new(Slots::new(self.0.nodes.len()))),
        }
    }

    fn children(&self) -> Vec<Child<'_>> {
        self.0.nodes.iter().map(Child::by_id).collect()
    }

    fn order(&self, child: Option<&StepId>) -> Order {
        match (&self.0.graph, child.and_then(|child| self.0.number(child.as_str()))) {
            (Some(graph), Some(child)) => {
                let dependents = self.0.nodes.iter().enumerate().filter(|(number, _)| graph.is_before(child, *number));
                Order::Graph(dependents.map(|(_, node)| node.id.clone()).collect())
            }
            (Some(_), None) => Order::Independent,
            (None, _) => Order::Sequential,
        }
    }

    fn list(&self) -> Option<&Arc<List>> {
        Some(&self.0)
    }
}

/// Runs the steps of `list` and stores their results in `slots`.
pub(super) fn steps(call: Call, list: Arc<List>, slots: Arc<Slots>) -> BoxFuture<'static, Outcome> {
    match &list.graph {
        Some(_) => Box::pin(graph::graph(call, list, slots)),
        None => Box::pin(in_order(call, list, slots)),
    }
}

async fn in_order(call: Call, list: Arc<List>, slots: Arc<Slots>) -> Outcome {
    let scope = Scope::list(call.context.scope.clone(), &list, &slots);
    if call.node().is_root {
        call.run().set_root_scope(&scope);
    }
    let start = match starting_step(&call, &list) {
        Ok(start) => start,
        Err(outcome) => return outcome,
    };
    let mut progress = Progress::new(&call);
    let mut context = Arc::new(call.inside(Some(scope.clone()), progress.state.clone()).in_order());
    let (mut failed, mut last) = (None, None);
    for (number, node) in list.nodes.iter().enumerate() {
        let runs_always =
            list.cleans_up || matches!(node.step.trigger_rule, TriggerRule::Always | TriggerRule::AllDone);
        if failed.is_some() && !runs_always {
            continue;
        }
        if progress.has_changed(&context) {
            Arc::make_mut(&mut context).state = progress.state.clone();
        }
        let mut child = Call::new(context.clone(), node);
        if let Some(start) = start.filter(|start| number < *start) {
            child = child.with_gate(before_start(list.nodes[start].id.as_str()));
        }
        let mut outcome = match begin(child, &context) {
            Begun::Ended(outcome) => outcome,
            Begun::Rest(rest) => rest.finish(&context).await,
        };
        if list.cleans_up {
            outcome = list.ended(call.path(), number, outcome);
        }
        match progress.take(&call, outcome) {
            Ok(ended) => {
                if ended.status == StepStatus::Completed {
                    last = Some(number);
                }
                slots.set(number, ended);
            }
            Err(outcome) => {
                if let Some(ended) = VisibleResult::of_last(&outcome) {
                    slots.set(number, ended);
                }
                let Outcome::Failed(failure) = outcome else { return outcome };
                // The first failure is kept; later steps with the trigger rule `always` or `all_done` still run.
                failed = Some(list.failed(failed, failure));
            }
        }
    }
    match failed {
        Some(failure) => Outcome::Failed(failure),
        None => {
            let last = last.and_then(|number| slots.get(number)).map(|ended| ended.value.clone()).unwrap_or_default();
            progress.finish(&call, Some(&scope), last)
        }
    }
}

/// Returns the number of the step at which the run starts, if a starting step was given and `list` is the root list.
pub(super) fn starting_step(call: &Call, list: &List) -> Result<Option<usize>, Outcome> {
    let Some(id) = call.run().input.starting_step.as_deref().filter(|_| call.node().is_root) else { return Ok(None) };
    list.number(id).map(Some).ok_or_else(|| {
        let known: Vec<_> = list.ids().map(|(_, id)| id).collect();
        let message = format!("cannot start at unknown step `{id}`; the steps are: {}", known.join(", "));
        call.failed(crate::StepError::validation("unknown_starting_step", message))
    })
}

pub(super) fn before_start(id: &str) -> SkipReason {
    SkipReason::new("before_starting_step", format!("the run started at `{id}`"))
}
