//! Layers such as retry and timeouts, on a leaf and on a block, give the same result after a crash at any boundary.

use std::time::Duration;

use llmspell_workflows_basic::{
    StepError,
    activity::{ActivityContext, ActivityOutput},
    model::*,
};
use llmspell_workflows_testing::crash::CrashTest;
use serde_json::json;

const LONG: Duration = Duration::from_secs(3_600);

/// Fails in the first attempt of its first generation.
fn fails_at_first(context: &ActivityContext) -> Result<ActivityOutput, StepError> {
    let is_first = context.path().to_path().segments().iter().all(|segment| segment.generation == 1);
    if is_first && context.attempt() == 1 {
        return Err(StepError::transient("boom", "fails the first time"));
    }
    Ok(ActivityOutput::from(json!(context.attempt())).with_state("attempt", json!(context.attempt())))
}

fn echo(id: &str) -> Step {
    Step::function(id, "echo", json!({"id": id}))
}

fn flaky(id: &str) -> Step {
    Step::function(id, "flaky", json!({}))
}

fn retry_with_delay() -> Retry {
    Retry { backoff: Backoff::Fixed, initial_delay: Duration::from_secs(30), jitter: 0.0, ..Retry::attempts(3) }
}

/// Returns a definition that puts `layer` on a single step and on a block of two steps.
fn around(name: &str, leaf: Step, layer: impl Fn(Step) -> Step) -> Definition {
    let mut block_leaf = leaf.clone();
    block_leaf.id = "inside".to_owned();
    let block = Step::sequence("block", [echo("first"), block_leaf]);
    let steps = [echo("before"), layer(leaf), layer(block), Step::function("after", "echo", json!("{{ state }}"))];
    let mut definition = Definition::sequence(name, steps);
    definition.concurrency.insert("web".to_owned(), 1);
    definition
}

fn layers() -> Vec<Definition> {
    let waits = StepKind::WaitForEvent(WaitForEvent { event: "go".to_owned(), ..WaitForEvent::default() });
    let undo = || Step::function("undo", "echo", json!("{{ output }}"));
    let parked = |kind: StepKind| around(kind.as_str(), Step::new("waits", kind.clone()), |step| step);
    let mut undone = around("compensation of a failed run", echo("leaf"), |step| step.with_compensation(undo()));
    undone.body = match undone.body {
        StepKind::Sequence(mut steps) => {
            steps.push(Step::function("breaks", "fails", json!({})).into());
            StepKind::Sequence(steps)
        }
        other => other,
    };
    vec![
        around("retry with delays", flaky("leaf"), |step| step.with_retry(retry_with_delay())),
        around("retry at once", flaky("leaf"), |step| {
            step.with_retry(Retry::attempts(2).with_backoff(Backoff::Immediate))
        }),
        around("attempt timeout", echo("leaf"), |step| step.with_timeout(LONG)),
        around("total timeout", flaky("leaf"), |step| step.with_total_timeout(LONG).with_retry(retry_with_delay())),
        around("limit", echo("leaf"), |step| if step.kind.is_leaf() { step.with_limit("web") } else { step }),
        around("condition", echo("leaf"), |step| step.when("before.id == 'before'")),
        around("skip", echo("leaf"), |step| step.when("before.id == 'other'")),
        around("handler", Step::function("leaf", "fails", json!({})), |step| {
            step.with_on_error(OnError::Steps(vec![echo("handle").into()]))
        }),
        around("continue on error", Step::function("leaf", "fails", json!({})), |step| {
            step.with_on_error(OnError::Continue)
        }),
        around("compensation", echo("leaf"), |step| step.with_compensation(undo())),
        undone,
        parked(waits),
        parked(StepKind::Sleep(Delay::Fixed(Duration::from_secs(60)))),
    ]
}

#[test]
fn every_layer_has_the_same_result_after_a_crash_at_any_boundary() {
    for definition in layers() {
        let name = definition.name.clone();
        let test = CrashTest::new(definition, json!({}))
            .activity("function", "echo", |context| async move { Ok(context.input().clone().into()) })
            .activity("function", "flaky", |context| async move { fails_at_first(&context) })
            .activity("function", "fails", |_| async { Err(StepError::configuration("boom", "always fails")) });
        // One signal is for the step, and one is for the block.
        let test = test.signal("go", json!(1)).signal("go", json!(2));
        let report = test.crash_everywhere().unwrap_or_else(|difference| panic!("{name}: {difference}"));
        println!("{name}: {report:?}");
        assert!(report.crashes > 60, "{name}: only {report:?}");
    }
}
