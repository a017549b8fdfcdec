//! A loop's `until` sees the steps of the iteration that just ended, even after a crash in between.

use llmspell_workflows_basic::{Finished, RunStatus, model::*};
use serde_json::{Value, json};

use crate::support::{Lab, crash_everywhere, echo, fail};

/// Creates a step that adds 1 to `state.n` and returns the sum.
fn count() -> Step {
    Step::function("count", "add", json!({"n": "{{ state.n ?? 0 }}", "key": "n"}))
}

fn until(condition: &str, repeat: Loop) -> Loop {
    Loop { until: Some(condition.into()), ..repeat }
}

async fn run(repeat: Loop) -> Finished {
    Lab::new().steps([repeat.into_step("each")]).await
}

/// Returns loops whose condition becomes true in the third iteration, each for a different reason.
fn loops() -> Vec<(&'static str, Loop)> {
    let items = || json!([1, 2, 3, 4, 5]);
    let after = |id: &str, other: &str| echo(id, json!(format!("{{{{ {other} }}}}"))).after([other]);
    vec![
        ("a step", until("i == 3", Loop::items(items(), [echo("i", json!("{{ loop.item }}")), echo("z", json!(0))]))),
        ("its output", until("steps.i.output == 3", Loop::items(items(), [echo("i", json!("{{ loop.item }}"))]))),
        (
            "a step of a graph",
            until(
                "j == 3",
                Loop::items(items(), [echo("i", json!("{{ loop.item }}")), after("j", "i"), after("k", "j")]),
            ),
        ),
        (
            "a failure that is handled",
            until(
                "steps.i.status == 'failed'",
                Loop::items(
                    items(),
                    [
                        fail("i").when("loop.item == 3").with_on_error(OnError::Continue),
                        echo("o", json!("{{ loop.item }}")),
                    ],
                ),
            ),
        ),
        (
            "a failed iteration",
            Loop {
                on_error: IterationErrors::Continue,
                ..until(
                    "i == 3",
                    Loop::items(items(), [echo("i", json!("{{ loop.item }}")), fail("f").when("loop.item == 3")]),
                )
            },
        ),
        (
            "a skipped step",
            until(
                "steps.i.status == 'skipped'",
                Loop::items(items(), [echo("i", json!(1)).when("loop.item != 3"), echo("o", json!(2))]),
            ),
        ),
        ("the state and the output", until("state.n == output and output == 3", Loop::items(items(), [count()]))),
        ("a while loop", until("count % 3 == 0", Loop::new(LoopSource::While("true".into()), [count()]))),
    ]
}

#[tokio::test(start_paused = true)]
async fn until_sees_the_steps_of_the_iteration_that_just_ended() {
    let mut lab = Lab::new();
    lab.register("add", |context| async move {
        let n = json!(context.input()["n"].as_i64().unwrap() + 1);
        Ok(llmspell_workflows_basic::activity::ActivityOutput::from(n.clone()).with_state("n", n))
    });
    for (what, repeat) in loops() {
        let finished = lab.steps([repeat.into_step("each")]).await;
        assert_eq!((finished.status, &finished.output["iterations"]), (RunStatus::Completed, &json!(3)), "{what}");
    }
}

#[test]
fn until_is_evaluated_once_wherever_the_process_crashes() {
    for (what, repeat) in loops() {
        // `crash_everywhere` does not provide the activity `fail`.
        let has_failure = repeat.steps.iter().any(|step| step.kind == fail("x").kind);
        if !has_failure {
            let inner = Loop::items(json!(["a", "b"]), [repeat.clone().into_step("inner"), echo("after", json!(1))]);
            crash_everywhere(what, &Definition::sequence("once", [repeat.into_step("each")]));
            crash_everywhere(what, &Definition::sequence("nested", [inner.into_step("outer")]));
        }
    }
    let flaky = Step::function("i", "flaky", json!({"succeed_at": 99})).when("loop.item >= 2");
    let repeat = Loop::items(json!([1, 2, 3]), [echo("o", json!("{{ loop.item }}")), flaky]);
    let repeat = Loop { on_error: IterationErrors::Continue, ..until("o == 2", repeat) };
    crash_everywhere("failed iterations", &Definition::sequence("fails", [repeat.into_step("each")]));
}

#[tokio::test(start_paused = true)]
async fn unevaluable_until_fails_the_iteration() {
    let body = || [echo("i", json!("{{ loop.item }}"))];
    let finished = run(until("i < 'x'", Loop::items(json!([1, 2]), body()))).await;
    assert_eq!(finished.status, RunStatus::Failed);
    let collected =
        Loop { on_error: IterationErrors::Continue, ..until("i < 'x'", Loop::items(json!([1, 2]), body())) };
    let finished = run(collected).await;
    assert_eq!((&finished.output["iterations"], &finished.output["failed_count"]), (&json!(2), &json!(2)));
    assert_eq!(finished.output["results"], Value::from(vec![Value::Null; 2]));
}
