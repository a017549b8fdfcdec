//! The steps that wait.

use std::{future::pending, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Awaited, Call, Outcome, Received, Scope, Signal, Wait, Wake,
    call::{decide, recall},
    choice,
};
use crate::{
    ErrorClass, StepError, clock,
    model::OnTimeout,
    plan::{Body, WaitPlan},
};

/// Waits until a point in time that is chosen when it begins.
pub(super) async fn sleep(call: Call) -> Outcome {
    let Body::Sleep(length) = &call.node().body else { unreachable!("`perform` calls this for sleeps") };
    let duration = match length.evaluate(&call.view()) {
        Ok(duration) => duration,
        Err(error) => return call.failed(error),
    };
    let since = call.run().clock().now();
    let awaited = Awaited { signal: None, since, until: Some(clock::after(since, duration)) };
    let awaited = decide!(call, choice::Awaits(call.attempt()), awaited);
    let wake_at = awaited.until.unwrap_or(awaited.since);
    match wait_until(&call, wake_at).await {
        Some(outcome) => outcome,
        None => Outcome::completed(json!({"slept_until": wake_at.to_string()})),
    }
}

/// Waits; an outcome says that the step ends, or parks, instead of going on.
pub(crate) async fn wait_until(call: &Call, wake_at: Timestamp) -> Option<Outcome> {
    let park = || Some(Outcome::Parked(Wait { wake_at: Some(wake_at), inbox_after: None }));
    let run = call.run();
    let (_wakes, _resting) = (run.wakes_at(wake_at), run.rest());
    tokio::select! {
        biased;
        () = call.cancel().cancelled() => Some(call.cancelled()),
        () = run.held() => park(),
        wake = run.engine().timers().until(call, wake_at) => match wake {
            Wake::Due => None,
            Wake::Park => park(),
        },
    }
}

/// Waits for a signal.
pub(super) async fn for_event(call: Call) -> Outcome {
    let Body::WaitForEvent(plan) = &call.node().body else { unreachable!("`perform` calls this for waits") };
    let awaited = match awaited(&call, plan) {
        Ok(awaited) => awaited,
        Err(error) => return call.failed(error),
    };
    let awaited = decide!(call, choice::Awaits(call.attempt()), awaited);
    let mut known = recall!(call, choice::Received(call.attempt()));
    let signal = loop {
        match known.take() {
            Some(Received::Signal(signal)) => break Some(signal),
            Some(Received::TimedOut) => break None,
            // A signal that an interceptor refuses is as one that never came.
            Some(Received::Refused) | None => match receive(&call, plan, &awaited).await {
                Ok(came) => known = Some(decide!(call, choice::Received(call.attempt()), came)),
                Err(outcome) => return outcome,
            },
        }
    };
    match (signal, plan.on_timeout) {
        (Some(signal), _) => Outcome::completed(shown(&signal.name, &signal.data, false)),
        (None, OnTimeout::Continue) => {
            Outcome::completed(shown(awaited.signal.as_deref().unwrap_or_default(), &Value::Null, true))
        }
        (None, OnTimeout::Fail) => {
            let message = format!("no event `{}` came in time", awaited.signal.unwrap_or_default());
            call.failed(StepError::new(ErrorClass::Timeout, "event_timeout", message))
        }
    }
}

fn awaited(call: &Call, plan: &WaitPlan) -> Result<Awaited, StepError> {
    let name = plan.event.render(&call.view())?;
    let name = match &*name {
        Value::String(name) if !name.is_empty() => name.clone(),
        other => {
            let message = format!("it waits for the event {other}, which is no name; a text would be one");
            return Err(StepError::validation("invalid_event", message));
        }
    };
    let since = call.run().clock().now();
    let length = call.node().timeout.as_ref().map(|length| length.evaluate(&call.view())).transpose()?;
    Ok(Awaited { signal: Some(name), since, until: length.map(|length| clock::after(since, length)) })
}

/// The first signal that fits, or that none came in time; an outcome says that the step ends, or parks.
async fn receive(call: &Call, plan: &WaitPlan, awaited: &Awaited) -> Result<Received, Outcome> {
    let run = call.run();
    let park = || {
        let inbox_after = Some(run.mailbox.last());
        Err(Outcome::Parked(Wait { wake_at: awaited.until, inbox_after }))
    };
    let fits = |signal: &Signal| awaited.signal.as_ref() == Some(&signal.name) && passes(call, plan, signal);
    let time = async {
        match awaited.until {
            Some(until) => run.engine().timers().until(call, until).await,
            None => pending().await,
        }
    };
    let (_wakes, _resting) = (awaited.until.map(|until| run.wakes_at(until)), run.rest());
    tokio::select! {
        biased;
        () = call.cancel().cancelled() => Err(call.cancelled()),
        signal = run.mailbox.take(fits) => Ok(Received::Signal(signal)),
        wake = time => match wake {
            Wake::Due => Ok(Received::TimedOut),
            Wake::Park => park(),
        },
        () = run.held() => park(),
    }
}

fn passes(call: &Call, plan: &WaitPlan, signal: &Signal) -> bool {
    let Some(filter) = &plan.filter else { return true };
    let event = Arc::new(shown(&signal.name, &signal.data, false));
    let scope = Scope::names(call.around.scope.clone(), vec![("event", event)]);
    let call = call.seeing(Some(scope), call.around.state.clone());
    filter.test(&call.view()).unwrap_or_else(|error| {
        let message = format!("the filter `{}` cannot be evaluated and counts as false: {error}", filter.source());
        call.run().warn("condition_unevaluable", call.path(), message);
        false
    })
}

/// What the step gives, and what its filter sees as `event`.
fn shown(name: &str, data: &Value, timed_out: bool) -> Value {
    json!({"name": name, "data": data, "timed_out": timed_out})
}
