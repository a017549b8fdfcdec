//! Each layer around a step, around a leaf and around a block: crashed at every boundary, it makes no difference.

use std::time::Duration;

use llmspell_workflows_basic::{
    StepError,
    activity::{ActivityContext, ActivityOutput},
    model::*,
};
use llmspell_workflows_testing::crash::CrashTest;
use serde_json::json;

const LONG: Duration = Duration::from_secs(3_600);

/// Fails in its first attempt, or, where its block is tried again, the first time.
fn fails_at_first(context: &ActivityContext) -> Result<ActivityOutput, StepError> {
    let is_first = context.path().to_path().segments().iter().all(|segment| segment.generation == 1);
    if is_first && context.attempt() == 1 {
        return Err(StepError::transient("boom", "it fails at first"));
    }
    Ok(ActivityOutput::from(json!(context.attempt())).with_state("attempt", json!(context.attempt())))
}

fn works(id: &str) -> Step {
    Step::function(id, "echo", json!({"id": id}))
}

fn flaky(id: &str) -> Step {
    Step::function(id, "flaky", json!({}))
}

fn retried() -> Retry {
    Retry { backoff: Backoff::Fixed, initial_delay: Duration::from_secs(30), jitter: 0.0, ..Retry::attempts(3) }
}

/// The layer around one step, and around a block of two.
fn around(name: &str, leaf: Step, layer: impl Fn(Step) -> Step) -> Definition {
    let mut block_leaf = leaf.clone();
    block_leaf.id = "inside".to_owned();
    let block = Step::sequence("block", [works("first"), block_leaf]);
    let steps = [works("before"), layer(leaf), layer(block), Step::function("after", "echo", json!("{{ state }}"))];
    let mut definition = Definition::sequence(name, steps);
    definition.concurrency.insert("web".to_owned(), 1);
    definition
}

fn layers() -> Vec<Definition> {
    let waits = StepKind::WaitForEvent(WaitForEvent { event: "go".to_owned(), ..WaitForEvent::default() });
    let undo = || Step::function("undo", "echo", json!("{{ output }}"));
    let parked = |kind: StepKind| around(kind.as_str(), Step::new("waits", kind.clone()), |step| step);
    let mut undone = around("compensation of a run that fails", works("leaf"), |step| step.with_compensation(undo()));
    undone.body = match undone.body {
        StepKind::Sequence(mut steps) => {
            steps.push(Step::function("breaks", "fails", json!({})).into());
            StepKind::Sequence(steps)
        }
        other => other,
    };
    vec![
        around("retry with delays", flaky("leaf"), |step| step.with_retry(retried())),
        around("retry at once", flaky("leaf"), |step| {
            step.with_retry(Retry::attempts(2).with_backoff(Backoff::Immediate))
        }),
        around("attempt timeout", works("leaf"), |step| step.with_timeout(LONG)),
        around("total timeout", flaky("leaf"), |step| step.with_total_timeout(LONG).with_retry(retried())),
        around("limit", works("leaf"), |step| if step.kind.is_leaf() { step.with_limit("web") } else { step }),
        around("condition", works("leaf"), |step| step.when("before.id == 'before'")),
        around("skip", works("leaf"), |step| step.when("before.id == 'other'")),
        around("handler", Step::function("leaf", "fails", json!({})), |step| {
            step.with_on_error(OnError::Steps(vec![works("handle").into()]))
        }),
        around("going on", Step::function("leaf", "fails", json!({})), |step| step.with_on_error(OnError::Continue)),
        around("compensation", works("leaf"), |step| step.with_compensation(undo())),
        undone,
        parked(waits),
        parked(StepKind::Sleep(Delay::Fixed(Duration::from_secs(60)))),
    ]
}

#[test]
fn each_layer_comes_to_the_same_end_wherever_it_is_crashed() {
    for definition in layers() {
        let name = definition.name.clone();
        let test = CrashTest::new(definition, json!({}))
            .activity("function", "echo", |context| async move { Ok(context.input().clone().into()) })
            .activity("function", "flaky", |context| async move { fails_at_first(&context) })
            .activity("function", "fails", |_| async { Err(StepError::configuration("boom", "it fails")) });
        // One for the step, one for the block.
        let test = test.signal("go", json!(1)).signal("go", json!(2));
        let report = test.crash_everywhere().unwrap_or_else(|difference| panic!("{name}: {difference}"));
        println!("{name}: {report:?}");
        assert!(report.crashes > 60, "{name}: only {report:?}");
    }
}
