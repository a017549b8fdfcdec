//! The steps that do something themselves.

use std::{
    any::Any,
    fmt::Write as _,
    future::{poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};

use super::{Around, Call, CancelReason, Cancelled, LeafCall, Outcome, Output, Run, Scope, Violation};
use crate::{
    ErrorClass, PathLink, StepError,
    activity::{ActivityContext, ActivityOutput, Input},
    expr::{EvalError, Template},
    model::ValidateMode,
    plan::{ActivityPlan, Body, ValidatePlan},
    state::{Change, SharedValue},
};

impl From<EvalError> for StepError {
    fn from(error: EvalError) -> Self {
        Self::validation(error.code(), error.to_string())
    }
}

/// Calls an activity, through the dispatch.
pub(super) async fn activity(call: Call, around: &Around) -> Outcome {
    let node = call.node_ref();
    let Body::Activity(plan) = &node.in_plan(&around.run.plan).body else {
        unreachable!("`perform` calls this for activities")
    };
    let other = call.other_activity().cloned();
    let plan = other.as_deref().unwrap_or(plan);
    if around.cancel.is_cancelled() {
        return call.cancelled();
    }
    let input = match call.input() {
        Some(input) => Input::Given(input.clone()),
        None if plan.params.fixed().is_some() => Input::Fixed,
        None => match plan.params.render(&call.view()) {
            Ok(input) => Input::Given(input),
            Err(error) => return call.failed(error.into()),
        },
    };
    let back = Back { around, record: call.record(), attempt: call.attempt() };
    let ended = match begin(&back, plan, call, input).await {
        Ok(ended) => ended,
        Err(work) => match Box::pin(stoppable(&back, work)).await {
            Ok(ended) => ended,
            Err(cancelled) => return Outcome::Cancelled(cancelled),
        },
    };
    match concluded(&around.run, ended) {
        Ok(ActivityOutput { output, state_changes }) => {
            let mut output = Output::new(output);
            output.state_changes = state_changes.into_iter().map(|change| around.state.shortened(change)).collect();
            Outcome::Completed(output)
        }
        Err(error) => back.failed(*error),
    }
}

/// Where an outcome belongs whose call has been given away.
struct Back<'a> {
    around: &'a Around,
    record: usize,
    attempt: u32,
}

impl Back<'_> {
    fn failed(&self, mut error: StepError) -> Outcome {
        if error.path.is_none() {
            error.attempt = self.attempt;
        }
        Outcome::failed(error.at(self.path()))
    }

    fn path(&self) -> PathLink {
        self.around.run.records().path(self.record)
    }
}

type Work<'a> = BoxFuture<'a, Result<ActivityOutput, StepError>>;
type Ended = Result<Result<ActivityOutput, StepError>, Box<dyn Any + Send>>;

/// Hands a leaf to what carries it: the step's own activity, or the validator of one.
fn carry<'a>(plan: &'a ActivityPlan, run: &Run, context: ActivityContext) -> Work<'a> {
    match (run.engine().dispatch(), &plan.activity) {
        (Some(dispatch), activity) => {
            dispatch.perform(LeafCall { name: plan.name.clone(), activity: activity.clone(), context })
        }
        (None, Some(activity)) => activity.perform(context),
        (None, None) => Box::pin(ready(Err(super::seams::missing(&plan.name)))),
    }
}

/// Begins one attempt of an activity: how it ended where that was at once, else what is left of it.
///
/// Most quick leaves end here, before anything is set up to stop them.
async fn begin<'a>(back: &Back<'_>, plan: &'a ActivityPlan, call: Call, input: Input) -> Result<Ended, Work<'a>> {
    let context = ActivityContext::new(call, input);
    let mut work = match catch_unwind(AssertUnwindSafe(|| carry(plan, &back.around.run, context))) {
        Ok(work) => work,
        Err(panic) => return Ok(Err(panic)),
    };
    let polled = poll_fn(|context| Poll::Ready(catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))))).await;
    match polled {
        Ok(Poll::Ready(ended)) => Ok(Ok(ended)),
        Ok(Poll::Pending) => Err(work),
        Err(panic) => Ok(Err(panic)),
    }
}

/// What an attempt gave, as the run may see it.
fn concluded(run: &Run, ended: Ended) -> Result<ActivityOutput, Box<StepError>> {
    let error = match ended {
        Ok(Ok(mut output)) => match too_large(&output.output, run.limits().output_bytes_max) {
            None => {
                run.mask_output(&mut output);
                return Ok(output);
            }
            Some(error) => error,
        },
        Ok(Err(error)) => error,
        Err(panic) => StepError::panicked(&*panic),
    };
    Err(Box::new(run.masked(error)))
}

/// The rest of an attempt; it has the grace to stop once it is asked to, then it is dropped.
async fn stoppable(back: &Back<'_>, work: Work<'_>) -> Result<Ended, Cancelled> {
    let Around { run, cancel, .. } = back.around;
    let mut work = AssertUnwindSafe(work).catch_unwind();
    let grace = async {
        cancel.cancelled().await;
        tokio::time::sleep(run.limits().cancel_grace).await;
    };
    let ended = tokio::select! {
        biased;
        ended = &mut work => Some(ended),
        () = grace => None,
    };
    match ended {
        // Its effect has happened, so it counts, whatever was asked meanwhile.
        Some(ended) if !cancel.is_cancelled() || matches!(ended, Ok(Ok(_))) => Ok(ended),
        stopped => {
            let cancelled = Cancelled::new(cancel.reason().unwrap_or(CancelReason::Requested));
            let aborted = if stopped.is_none() { vec![back.path().to_string()] } else { Vec::new() };
            Err(Cancelled { aborted, ..cancelled })
        }
    }
}

fn too_large(output: &Value, limit: usize) -> Option<StepError> {
    let mut left = limit;
    if fits(output, &mut left) {
        return None;
    }
    let message = format!("its output is larger than {limit} bytes of JSON, the limit `output_bytes_max`");
    Some(StepError::new(ErrorClass::Resource, "output_bytes_max", message).retryable(false))
}

/// Whether `value` takes at most `left` bytes as JSON, near enough; takes them away.
fn fits(value: &Value, left: &mut usize) -> bool {
    let own = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.len() + 2,
        Value::Object(map) => map.keys().map(|key| key.len() + 4).sum::<usize>() + 2,
    };
    if own > *left {
        return false;
    }
    *left -= own;
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, left)),
        Value::Object(map) => map.values().all(|item| fits(item, left)),
        _ => true,
    }
}

/// Sets keys of the state; all values are read before any is set.
pub(super) fn set(call: &Call, values: &[(String, Template)]) -> Outcome {
    let mut output = Vec::with_capacity(values.len());
    let mut state_changes = Vec::with_capacity(values.len());
    for (key, template) in values {
        let mut value = match template.render(&call.view()) {
            Ok(value) => value,
            Err(error) => return call.failed(error.into()),
        };
        if call.run().has_secrets() {
            // Before it is compared with the state, in which they are masked.
            call.run().mask(Arc::make_mut(&mut value));
        }
        let whole = SharedValue::from(value.clone());
        let change = call.state().shortened(Change::key(key.clone(), value));
        // Where it is a list that grows, the output shares it with the state.
        output.push((key.clone(), change.after().unwrap_or(whole)));
        state_changes.push(change);
    }
    Outcome::Completed(Output { value: SharedValue::object(output), state_changes })
}

/// Checks data; all that is wrong is said at once.
pub(super) async fn validate(call: Call) -> Outcome {
    let Body::Validate(plan) = &call.node().body else { unreachable!("`perform` calls this for checks") };
    let data = match plan.data.render(&call.view()) {
        Ok(data) => data,
        Err(error) => return call.failed(error.into()),
    };
    let scope = Scope::names(call.around.scope.clone(), vec![("data", data.clone())]);
    let inner = call.seeing(Some(scope), call.around.state.clone());
    let mut violations = match schema_violations(&inner, plan, &data) {
        Ok(violations) => violations,
        Err(error) => return inner.failed(error),
    };
    match validator_violations(&inner, plan, &data).await {
        Ok(more) => violations.extend(more),
        Err(outcome) => return outcome,
    }
    match assertion_violations(&inner, plan) {
        Ok(more) => violations.extend(more),
        Err(error) => return inner.failed(error),
    }
    if !violations.is_empty() {
        let message = listed(&violations);
        if plan.mode == ValidateMode::Strict {
            let details: Vec<_> = violations.iter().map(|v| json!({"path": v.path, "message": v.message})).collect();
            let error =
                StepError::validation("validation_failed", message).with_details(json!({"violations": details}));
            return inner.failed(error);
        }
        inner.run().warn("validation_failed", inner.path(), message);
        return Outcome::completed(data);
    }
    match &plan.transform {
        None => Outcome::completed(data),
        Some(transform) => match transform.render(&inner.view()) {
            Ok(value) => Outcome::completed(value),
            Err(error) => inner.failed(error.into()),
        },
    }
}

fn schema_violations(call: &Call, plan: &ValidatePlan, data: &Value) -> Result<Vec<Violation>, StepError> {
    let (Some(schema), Some(check)) = (&plan.schema, call.run().engine().schemas()) else { return Ok(Vec::new()) };
    check.check(schema, data).map_err(|message| StepError::configuration("invalid_schema", message))
}

fn assertion_violations(call: &Call, plan: &ValidatePlan) -> Result<Vec<Violation>, StepError> {
    let mut violations = Vec::new();
    for assertion in &plan.assertions {
        if !assertion.test(&call.view())? {
            let message = format!("the assertion `{}` does not hold", assertion.source());
            violations.push(Violation { path: String::new(), message });
        }
    }
    Ok(violations)
}

/// What a validator of the user's says: a list of texts or of `{path, message}`, empty if all is well.
async fn validator_violations(call: &Call, plan: &ValidatePlan, data: &Arc<Value>) -> Result<Vec<Violation>, Outcome> {
    let Some(validator) = &plan.validator else { return Ok(Vec::new()) };
    let back = Back { around: &call.around, record: call.record(), attempt: call.attempt() };
    let ended = match begin(&back, validator, call.clone(), Input::Given(data.clone())).await {
        Ok(ended) => ended,
        Err(work) => stoppable(&back, work).await.map_err(Outcome::Cancelled)?,
    };
    let answer = concluded(call.run(), ended).map_err(|error| call.failed(*error))?.output;
    let wrong = || {
        let message = format!("the validator `{}` answered with {answer} instead of a list of errors", validator.name);
        call.failed(StepError::configuration("wrong_validator_answer", message))
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    answer
        .as_array()
        .ok_or_else(wrong)?
        .iter()
        .map(|item| {
            let message = text(item).or_else(|| text(item.get("message")?)).ok_or_else(wrong)?;
            Ok(Violation { path: item.get("path").and_then(text).unwrap_or_default(), message })
        })
        .collect()
}

fn listed(violations: &[Violation]) -> String {
    let mut text = format!("the data is not valid ({})", violations.len());
    for Violation { path, message } in violations {
        let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
        let _ = write!(text, "; {place}{message}");
    }
    text
}
