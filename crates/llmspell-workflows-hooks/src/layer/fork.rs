use futures_util::{StreamExt, stream};
use llmspell_workflows_basic::{
    engine::{Call, Next, Outcome, Output, choice},
    state::SharedValue,
};
use serde_json::Value;

use super::enter::ended;

/// Runs the step once for each of `inputs` at the same time, under `PATH[n]`; the output is the array of theirs.
///
/// All of them run to their end; the first that did not complete is how the step ends. What one that completed gave
/// is recorded at its path, so that it is not run again where the others have to.
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
    match call.recall(choice::ForkPart).await {
        Ok(Some(output)) => return Outcome::Completed(output),
        Ok(None) => {}
        Err(error) => return *ended(&call, error),
    }
    let output = match next.run(call.clone()).await {
        Outcome::Completed(output) => output,
        other => return other,
    };
    match call.decide(choice::ForkPart, output).await {
        Ok(output) => Outcome::Completed(output),
        Err(error) => *ended(&call, error),
    }
}
