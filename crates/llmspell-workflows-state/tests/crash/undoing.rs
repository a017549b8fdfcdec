//! Crashes during compensation: everything is still compensated in order, and no acknowledged compensation is repeated.

use std::sync::{Arc, Mutex};

use llmspell_workflows_basic::{StepError, model::*};
use llmspell_workflows_testing::crash::CrashTest;
use serde_json::json;

/// The number of the step that is compensated first.
const LAST: i64 = 9;

fn step(id: &str, number: i64) -> Step {
    let undo = Step::function("undo", "undo", json!({"n": number, "output": "{{ output }}"}));
    Step::function(id, "echo", json!(number)).with_compensation(undo)
}

fn retried(step: Step) -> Step {
    step.with_retry(Retry::attempts(2).with_backoff(Backoff::Immediate))
}

fn definition() -> Definition {
    let each = Loop::items(json!([3, 4]), [step("work", 3)]).into_step("each");
    let mut block = Step::sequence("block", [step("inside", 5)]);
    block.compensate = Some(Arc::new(Step::function("undo", "undo", json!({"n": 5, "output": "{{ output }}"}))));
    // The order in which the two branches end is not fixed, so both have the same number.
    let both = Parallel::new([step("left", 7), step("right", 7)]).into_step("both");
    let steps =
        [step("first", 1), each, block, both, step("last", LAST), Step::function("breaks", "fail", json!(null))];
    let mut definition = Definition::sequence("undone", steps);
    // Cleanup steps see the steps of a run that ended in an earlier process, and do not stop at a
    // failure.
    let seen = Step::function("seen", "echo", json!("{{ steps.first.output }} {{ steps.breaks.status }}"));
    let unresolved = Step::function("unresolved", "echo", json!("{{ steps.breaks.output.missing }}"));
    let clean = Step::function("clean", "echo", json!(0));
    definition.finally = [seen, unresolved, Step::function("fails", "fail", json!(null)), clean].map(Arc::new).to_vec();
    definition
}

#[test]
fn handlers_and_finally_see_the_steps_of_the_run_after_a_crash_at_any_boundary() {
    let echo = |id: &str, value: serde_json::Value| Step::function(id, "echo", value);
    let list = Definition::sequence("list", [echo("one", json!("first")), Step::function("bad", "fail", json!(null))]);
    let graph = Definition::sequence("graph", [echo("one", json!("first")), echo("two", json!(2)).after(["one"])]);
    let route = Route::new("one", [echo("one", json!("first")).then("two"), echo("two", json!(2))]);
    let block = retried(Step::sequence("one", [echo("in", json!("first"))]));
    let skips = Definition::sequence("skips", [echo("one", json!("first")), echo("two", json!(2)).when("false")]);
    let handled = Definition {
        on_error: vec![Arc::new(echo("handles", json!("{{ steps.one.output }} {{ steps.bad.status }}")))],
        ..list
    };
    for (definition, other) in [
        (handled, "bad"),
        (graph, "two"),
        (Definition::new("route", StepKind::Route(route)), "two"),
        (Definition::sequence("block", [block]), "one"),
        (skips, "two"),
    ] {
        let name = definition.name.clone();
        let sees = format!("{{{{ steps.one.output }}}} {{{{ steps.{other}.status }}}}");
        let definition = Definition { finally: vec![Arc::new(echo("sees", json!(sees)))], ..definition };
        let (test, _) = test(definition);
        test.crash_everywhere().unwrap_or_else(|difference| panic!("{name}: {difference}"));
    }
}

fn test(definition: Definition) -> (CrashTest, Arc<Mutex<Option<String>>>) {
    let violations = Arc::new(Mutex::new(None));
    let (last, violation) = (Arc::new(Mutex::new(LAST)), violations.clone());
    let test = CrashTest::new(definition, json!({}))
        .activity("function", "echo", |context| async move { Ok(context.input().clone().into()) })
        .activity("function", "fail", |_| async move { Err(StepError::configuration("boom", "always fails")) })
        .activity("function", "undo", move |context| {
            let number = context.input()["n"].as_i64().unwrap_or_default();
            let mut last = last.lock().expect("the lock is not poisoned");
            if number > *last && number != LAST {
                *violation.lock().expect("the lock is not poisoned") =
                    Some(format!("{number} was compensated after {last}"));
            }
            *last = number;
            async move { Ok(json!(null).into()) }
        });
    (test, violations)
}

#[test]
fn a_run_is_compensated_in_order_after_a_crash_at_any_boundary() {
    let (test, violations) = test(definition());
    let report = test.crash_everywhere().unwrap_or_else(|difference| panic!("{difference}"));
    assert_eq!(*violations.lock().expect("the lock is not poisoned"), None);
    assert!(report.crashes > 300, "{report:?}");
}

#[test]
fn each_block_attempt_is_compensated_before_the_next_despite_crashes() {
    let fails = Step::function("breaks", "fail_once", json!(null));
    let block = retried(Step::sequence("block", [step("inside", LAST), fails]));
    let (test, _) = test(Definition::sequence("tries", [block]));
    let test = test.activity("function", "fail_once", |context| async move {
        let path = context.path().to_path();
        let is_first = path.segments().iter().all(|segment| segment.generation == 1);
        if is_first { Err(StepError::transient("boom", "fails the first time")) } else { Ok(json!("second").into()) }
    });
    let report = test.crash_everywhere().unwrap_or_else(|difference| panic!("{difference}"));
    assert!(report.crashes > 60, "{report:?}");
}
