use futures_util::{StreamExt, stream};
use llmspell_workflows_basic::{
    engine::{Call, Next, Outcome, Output, choice},
    state::SharedValue,
};
use serde_json::Value;

use super::enter::failed_outcome;

/// Runs the step concurrently, once for each of `inputs`, under `PATH[n]`; the output is the array of all outputs.
///
/// The execution for one input is called a part. All parts run to the end; if any part does not complete, the step has
/// the outcome of the first such part. The output of each completed part is recorded at the part's path, so a retry
/// runs only the other parts again.
pub(super) async fn fork(call: &Call, inputs: &[Value], next: &Next) -> Outcome {
    let at_once = call.run().engine().limits().parallelism_max.max(1) as usize;
    let run = |(index, input): (usize, Value)| {
        let (numbered, next) = (call.clone().numbered(index).with_shown_input(input), next.clone());
        async move {
            match numbered {
                Ok(numbered) => run_part(numbered, next).await,
                Err(error) => *failed_outcome(call, error),
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

/// Runs one part, unless its output has been recorded.
async fn run_part(call: Call, next: Next) -> Outcome {
    match call.recall(choice::ForkPart).await {
        Ok(Some(output)) => return Outcome::Completed(output),
        Ok(None) => {}
        Err(error) => return *failed_outcome(&call, error),
    }
    let output = match next.run(call.clone()).await {
        Outcome::Completed(output) => output,
        other => return other,
    };
    match call.decide(choice::ForkPart, output).await {
        Ok(output) => Outcome::Completed(output),
        Err(error) => *failed_outcome(&call, error),
    }
}
