use std::{future::pending, sync::Arc};

use serde_json::{Value, json};

use crate::{
    ErrorClass, ProblemLocation, StepError, clock,
    engine::{Awaited, Call, Outcome, Received, Scope, Signal, Wait, WaitsFor, Wake, choice, decide, recall},
    expr::{Expr, Template},
    model::{OnTimeout, WaitForEvent},
    plan::{Body, Builder, Leaf, Work},
};

/// A prepared step that waits for a signal.
struct WaitPlan {
    event: Template,
    filter: Option<Expr>,
    on_timeout: OnTimeout,
}

impl Builder<'_> {
    pub(crate) fn wait_for_event(&mut self, wait: &WaitForEvent, path: &str) -> Body {
        if wait.event.is_empty() {
            self.error("missing_event", ProblemLocation::new(path, "event"), "the event name is missing");
        }
        let event = self.template(&Value::from(&*wait.event), path, "event");
        let filter = wait.filter.as_ref().map(|filter| {
            self.with_binding("event", |builder| builder.expression(filter, &ProblemLocation::new(path, "filter")))
        });
        Body::Leaf(Box::new(WaitPlan { event, filter, on_timeout: wait.on_timeout }))
    }
}

impl Leaf for WaitPlan {
    fn perform(&self, call: Call) -> Work<'_> {
        Work::Pending(Box::pin(wait(self, call)))
    }
}

/// Waits for a signal.
async fn wait(plan: &WaitPlan, call: Call) -> Outcome {
    let awaited = match evaluate_wait(&call, plan) {
        Ok(awaited) => awaited,
        Err(error) => return call.failed(error),
    };
    let awaited = decide!(call, choice::Awaits(call.attempt()), awaited);
    let mut known = recall!(call, choice::Received(call.attempt()));
    let signal = loop {
        match known.take() {
            Some(Received::Signal(signal)) => break Some(signal),
            Some(Received::TimedOut) => break None,
            // A signal refused by an interceptor is treated as if it had never arrived.
            Some(Received::Refused) | None => match receive(&call, plan, &awaited).await {
                Ok(received) => known = Some(decide!(call, choice::Received(call.attempt()), received)),
                Err(outcome) => return outcome,
            },
        }
    };
    match (signal, plan.on_timeout) {
        (Some(signal), _) => Outcome::completed(event_value(&signal.name, &signal.data, false)),
        (None, OnTimeout::Continue) => {
            Outcome::completed(event_value(awaited.signal.as_deref().unwrap_or_default(), &Value::Null, true))
        }
        (None, OnTimeout::Fail) => {
            let message = format!("the event `{}` did not arrive in time", awaited.signal.unwrap_or_default());
            call.failed(StepError::new(ErrorClass::Timeout, "event_timeout", message))
        }
    }
}

fn evaluate_wait(call: &Call, plan: &WaitPlan) -> Result<Awaited, StepError> {
    let name = plan.event.render(&call.view())?;
    let name = match &*name {
        Value::String(name) if !name.is_empty() => name.clone(),
        other => {
            let message = format!("the event name must be a string, got {other}");
            return Err(StepError::validation("invalid_event", message));
        }
    };
    let since = call.run().now();
    let length = call.node().timeout.as_ref().map(|length| length.evaluate(&call.view())).transpose()?;
    Ok(Awaited { signal: Some(name), since, until: length.map(|length| clock::after(since, length)) })
}

/// Waits for the first matching signal or the timeout; returns an outcome as an error if the step ends or parks
/// instead.
async fn receive(call: &Call, plan: &WaitPlan, awaited: &Awaited) -> Result<Received, Outcome> {
    let run = call.run();
    let park = || {
        let inbox_after = Some(run.last_signal());
        Err(Outcome::Parked(Wait { wake_at: awaited.until, inbox_after }))
    };
    let matches = |signal: &Signal| awaited.signal.as_ref() == Some(&signal.name) && passes(call, plan, signal);
    let time = async {
        match awaited.until {
            Some(until) => run.engine().timers().until(call, run.clock().to_engine(until)).await,
            None => pending().await,
        }
    };
    let _waiting = run.mark_waiting_until(WaitsFor::Deadline, awaited.until);
    tokio::select! {
        biased;
        () = call.cancel().cancelled() => Err(call.cancelled()),
        signal = run.take_signal(matches) => Ok(Received::Signal(signal)),
        wake = time => match wake {
            Wake::Due => Ok(Received::TimedOut),
            Wake::Park => park(),
        },
        () = run.park_requested() => park(),
    }
}

fn passes(call: &Call, plan: &WaitPlan, signal: &Signal) -> bool {
    let Some(filter) = &plan.filter else { return true };
    let event = Arc::new(event_value(&signal.name, &signal.data, false));
    let scope = Scope::names(call.context.scope.clone(), vec![("event", event)]);
    let call = call.seeing(Some(scope), call.context.state.clone());
    filter.test(&call.view()).unwrap_or_else(|error| {
        let message = format!("the filter `{}` cannot be evaluated and counts as false: {error}", filter.source());
        call.run().warn("condition_unevaluable", call.path(), message);
        false
    })
}

/// Returns the output of the step, which is also the value of `event` in the filter.
fn event_value(name: &str, data: &Value, timed_out: bool) -> Value {
    json!({"name": name, "data": data, "timed_out": timed_out})
}
