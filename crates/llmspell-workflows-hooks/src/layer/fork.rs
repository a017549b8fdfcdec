use std::sync::Arc;

use futures_util::{StreamExt, stream};
use llmspell_workflows_basic::{
    StepError,
    engine::{Call, Decision, Next, Outcome, Output},
    state::SharedValue,
};
use serde_json::Value;

use super::{ask::FORKED, enter::ended};

/// Runs the step once for each of `inputs` at the same time, under `PATH[n]`; the output is the array of theirs.
///
/// All of them run to their end; the first that did not complete is how the step ends. What one that completed gave
/// is recorded as an answer at its path, so that it is not run again where the others have to.
pub(super) async fn fork(call: &Call, inputs: &[Value], next: &Next) -> Outcome {
    let at_once = call.run().engine().limits().parallelism_max.max(1) as usize;
    let run = |(index, input): (usize, Value)| {
        let (numbered, next) = (call.clone().numbered(index).with_shown_input(input), next.clone());
        async move {
            match numbered {
                Ok(numbered) => remembered(numbered, next).await,
                Err(error) => *ended(call, error),
            }
        }
    };
    let calls: Vec<_> = inputs.iter().cloned().enumerate().map(run).collect();
    let outcomes: Vec<Outcome> = stream::iter(calls).buffered(at_once).collect().await;
    let (mut values, mut state_changes) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Outcome::Completed(output) => {
                values.push(output.value);
                state_changes.extend(output.state_changes);
            }
            other => return other,
        }
    }
    Outcome::Completed(Output { value: SharedValue::array(values), state_changes })
}

/// Runs one of them, unless it is recorded what it gave.
async fn remembered(call: Call, next: Next) -> Outcome {
    let asked = call.decide(FORKED, Decision::Answer(None)).await;
    match asked.and_then(read) {
        Ok(Some(output)) => return Outcome::Completed(output),
        Ok(None) => {}
        Err(error) => return *ended(&call, error),
    }
    let output = match next.run(call.clone()).await {
        Outcome::Completed(output) => output,
        other => return other,
    };
    let told = match serde_json::to_value(&output) {
        Ok(value) => call.decide(FORKED, Decision::Answer(Some(Arc::new(value)))).await,
        Err(error) => Err(unreadable(&error)),
    };
    match told {
        Ok(_) => Outcome::Completed(output),
        Err(error) => *ended(&call, error),
    }
}

fn read(decision: Decision) -> Result<Option<Output>, StepError> {
    let Decision::Answer(Some(value)) = decision else { return Ok(None) };
    serde_json::from_value(Value::clone(&value)).map(Some).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> StepError {
    StepError::configuration("hook_answer_unreadable", format!("what a part of a fork gave cannot be read: {error}"))
}
