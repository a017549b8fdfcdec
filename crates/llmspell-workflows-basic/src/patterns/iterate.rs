use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    join::{join_changes, limit, resolved_changes},
    loop_plan::{Iterations, LoopPlan},
    progress::Progress,
    range::range,
    until::UntilTest,
};
use crate::{
    ErrorClass, StepError,
    engine::{
        Call, CallContext, CancelReason, Outcome, Scope, Tasks, UnfinishedSteps, choice, decide, execute, recall,
    },
    expr::{Expr, Template},
    model::{IterationErrors, IterationMode},
    state::{SharedValue, Side},
};

/// Runs a list once for each item or number, or while a condition is true.
pub(super) async fn iterate(plan: &LoopPlan, call: Call) -> Outcome {
    let items = match &plan.over {
        Iterations::While(condition) => return while_holds(&call, plan, condition).await,
        Iterations::Items(template) => collection(&call, template),
        Iterations::Range { start, end, step } => range(&call, [start, end, step]),
    };
    let items = match items {
        Ok(items) => Arc::new(items),
        Err(error) => return call.failed(error),
    };
    let items = decide!(call, choice::Items, items);
    let total = items.len();
    let wanted = plan.settings.max_iterations.map_or(total, |max| total.min(usize::try_from(max).unwrap_or(total)));
    if let Err(error) = check_iterations_max(&call, plan, wanted as u64) {
        return call.failed(error);
    }
    match plan.settings.mode {
        IterationMode::Sequential => in_order(&call, plan, &items[..wanted], total).await,
        IterationMode::Parallel => in_parallel(&call, plan, &items[..wanted], total).await,
    }
}

fn collection(call: &Call, template: &Template) -> Result<Vec<Value>, StepError> {
    let value = template.render(&call.view())?;
    match Arc::unwrap_or_clone(value) {
        Value::Array(items) => Ok(items),
        other => {
            let shown: String = call.run().masker().masked(&other.to_string()).chars().take(80).collect();
            let message = format!("`{}`: expected an array, got {shown}", template.source());
            Err(StepError::validation("not_a_collection", message))
        }
    }
}

fn check_iterations_max(call: &Call, plan: &LoopPlan, wanted: u64) -> Result<(), StepError> {
    let limit = call.run().limits().loop_iterations_max;
    if plan.settings.max_iterations.is_some() || wanted <= limit {
        return Ok(());
    }
    let message = format!(
        "the loop needs more than {limit} iterations, the limit `loop_iterations_max`; set `max_iterations` to allow more"
    );
    Err(StepError::new(ErrorClass::Resource, "loop_iterations_max", message).retryable(false))
}

/// Creates the call of iteration `index`.
fn iteration(
    call: &Call,
    plan: &LoopPlan,
    progress: &Progress,
    item: Value,
    index: usize,
    count: Option<usize>,
) -> Call {
    let count = count.map(|count| count as u64);
    let scope = Scope::iteration(call.context.scope.clone(), Arc::new(item), index as u64, count);
    // An iteration's path is its loop's path with a number appended.
    let context = CallContext { state: progress.state.clone(), scope: Some(scope), ..(*call.context).clone() };
    Call::new(Arc::new(context), &plan.body).with_generation(call.generation()).with_iteration(index)
}

/// The results of the iterations so far.
struct LoopResults {
    results: Vec<SharedValue>,
    errors: Vec<(usize, StepError)>,
}

impl LoopResults {
    fn new() -> Self {
        Self { results: Vec::new(), errors: Vec::new() }
    }

    /// Returns the outcome of the loop once its iterations have ended.
    fn conclude(mut self, call: &Call, plan: &LoopPlan, progress: Progress, total: usize) -> Outcome {
        self.errors.sort_by_key(|(index, _)| *index);
        let errors: Vec<Value> =
            self.errors.iter().map(|(index, error)| json!({"index": index, "error": error})).collect();
        if plan.settings.on_error == IterationErrors::Collect && !errors.is_empty() {
            let (_, first) = self.errors.swap_remove(0);
            let message = format!("{} of {} iterations failed; first: {first}", errors.len(), self.results.len());
            let error = StepError::new(first.class, "iterations_failed", message)
                .retryable(first.retryable)
                .with_details(json!({"errors": errors}))
                .with_cause(first);
            return call.failed(error);
        }
        let fields = [
            ("iterations", json!(self.results.len()).into()),
            ("total_count", json!(total).into()),
            ("failed_count", json!(errors.len()).into()),
            ("errors", json!(errors).into()),
            ("results", SharedValue::array(self.results)),
        ];
        let fields = fields.map(|(name, value): (&str, SharedValue)| (name.to_owned(), value));
        progress.finish(call, None, SharedValue::object(fields.into()))
    }

    /// Performs iteration `index`; returns whether it is the last one, or `Err` with the outcome of the loop.
    async fn perform(
        &mut self,
        call: &Call,
        plan: &LoopPlan,
        progress: &mut Progress,
        index: usize,
        child: Call,
    ) -> Result<bool, Outcome> {
        let Some(until) = &plan.until else {
            return self.take(call, plan, progress, index, execute(child).await).map(|()| false);
        };
        let until = UntilTest::new(until, call, index, plan.settings.on_error);
        let outcome = execute(child.with_until(until.clone())).await;
        self.take(call, plan, progress, index, outcome)?;
        until.holds().await.map_err(|error| call.failed(error))
    }

    /// Adds the outcome of iteration `index`; returns `Err` with the outcome of the loop if this iteration ends the
    /// loop.
    fn take(
        &mut self,
        call: &Call,
        plan: &LoopPlan,
        progress: &mut Progress,
        index: usize,
        outcome: Outcome,
    ) -> Result<(), Outcome> {
        if self.results.len() <= index {
            self.results.resize_with(index + 1, SharedValue::default);
        }
        match outcome {
            Outcome::Failed(failure) if !failure.handled && plan.settings.on_error != IterationErrors::Stop => {
                self.errors.push((index, *failure.error));
            }
            outcome => self.results[index] = progress.take(call, outcome)?.value,
        }
        Ok(())
    }
}

async fn in_order(call: &Call, plan: &LoopPlan, items: &[Value], total: usize) -> Outcome {
    let (mut progress, mut collected) = (Progress::new(call), LoopResults::new());
    for (index, item) in items.iter().enumerate() {
        let child = iteration(call, plan, &progress, item.clone(), index, Some(items.len()));
        match collected.perform(call, plan, &mut progress, index, child).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(outcome) => return outcome,
        }
    }
    collected.conclude(call, plan, progress, total)
}

async fn while_holds(call: &Call, plan: &LoopPlan, condition: &Expr) -> Outcome {
    let (mut progress, mut collected) = (Progress::new(call), LoopResults::new());
    let max = plan.settings.max_iterations.unwrap_or(u64::MAX);
    let mut index = 0usize;
    while (index as u64) < max {
        let child = iteration(call, plan, &progress, Value::Null, index, None);
        let holds = match condition.test(&child.view()) {
            Ok(holds) => holds,
            Err(error) => return call.failed(error.into()),
        };
        if !decide!(call, choice::While(index as u64), holds) {
            break;
        }
        if let Err(error) = check_iterations_max(call, plan, index as u64 + 1) {
            return call.failed(error);
        }
        let is_done = match collected.perform(call, plan, &mut progress, index, child).await {
            Ok(is_done) => is_done,
            Err(outcome) => return outcome,
        };
        index += 1;
        if is_done {
            break;
        }
    }
    collected.conclude(call, plan, progress, index)
}

async fn in_parallel(call: &Call, plan: &LoopPlan, items: &[Value], total: usize) -> Outcome {
    let (mut progress, mut collected) = (Progress::new(call), LoopResults::new());
    let base = Progress::new(call);
    let child =
        |parent: &Call, index: usize| iteration(parent, plan, &base, items[index].clone(), index, Some(items.len()));
    // The outcome of the loop depends on which iteration failed first, so the first failure is a recorded decision.
    if plan.settings.on_error == IterationErrors::Stop
        && let Some(index) = recall!(call, choice::FirstFailed)
    {
        if index >= items.len() {
            let total = items.len();
            let message = format!("iteration {index} is recorded as failed, but the loop has only {total} iterations");
            return call.failed(StepError::configuration("wrong_decision", message));
        }
        if let Err(outcome) = collected.take(call, plan, &mut progress, index, execute(child(call, index)).await) {
            return outcome;
        }
        (progress, collected) = (Progress::new(call), LoopResults::new());
    }
    let mut tasks = Tasks::new(call);
    let own = tasks.own();
    let limit = limit(call, plan.settings.max_parallelism);
    let mut waiting = 0..items.len();
    let (mut sides, mut unfinished, mut stopped) = (Vec::new(), UnfinishedSteps::default(), None);
    loop {
        while tasks.len() + unfinished.waiting() < limit && stopped.is_none() {
            let Some(index) = waiting.next() else { break };
            tasks.spawn(index, child(&own, index), execute);
        }
        let Some((index, outcome)) = tasks.next().await else { break };
        let Some(outcome) = unfinished.take(outcome) else { continue };
        let outcome = match outcome {
            Outcome::Completed(mut output) => {
                let changes = std::mem::take(&mut output.state_changes);
                sides.push((index, Side { name: format!("[{index}]"), changes, ended: index }));
                Outcome::Completed(output)
            }
            outcome => outcome,
        };
        if let Err(outcome) = collected.take(call, plan, &mut progress, index, outcome) {
            if stopped.is_none()
                && matches!(outcome, Outcome::Failed(_))
                && let Err(error) = call.decide(choice::FirstFailed, index).await
            {
                tasks.stop(CancelReason::FailFast);
                let (_, unfinished) = tasks.drain().await;
                return unfinished.stuck_or(call.failed(error));
            }
            stop(&mut stopped, outcome, &tasks);
        }
    }
    if let Some(outcome) = stopped {
        return unfinished.stuck_or(outcome);
    }
    if let Some(outcome) = unfinished.outcome() {
        return outcome;
    }
    sides.sort_by_key(|(index, _)| *index);
    let sides: Vec<Side> = sides.into_iter().map(|(_, side)| side).collect();
    let changes = match join_changes(call, &sides, &plan.settings.on_conflict) {
        Ok(joined) => resolved_changes(call, joined).await,
        Err(outcome) => Err(outcome),
    };
    match changes.and_then(|changes| progress.apply(call, changes)) {
        Ok(()) => collected.conclude(call, plan, progress, total),
        Err(outcome) => outcome,
    }
}

/// Ends the loop with `outcome`, unless it has already ended with an earlier outcome, and stops
/// running iterations.
fn stop(stopped: &mut Option<Outcome>, outcome: Outcome, tasks: &Tasks) {
    match (stopped.as_mut(), outcome) {
        (Some(Outcome::Cancelled(all)), Outcome::Cancelled(more)) => all.absorb(*more),
        (Some(_), _) => {}
        (None, outcome) => {
            *stopped = Some(outcome);
            tasks.stop(CancelReason::FailFast);
        }
    }
}
