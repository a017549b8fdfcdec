//! A journal that is an interceptor like any other resumes every pattern after a crash at every boundary.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::model::*;
use serde_json::{Value, json};

use crate::support::crash_everywhere;

fn echo(id: &str, value: Value) -> Step {
    Step::function(id, "echo", value)
}

fn add(id: &str, key: &str, n: &str) -> Step {
    Step::function(id, "add", json!({"key": key, "n": n}))
}

fn sequence() -> Vec<Step> {
    vec![
        echo("a", json!("{{ items[0] }}")),
        add("b", "total", "{{ a }}"),
        echo("skipped", json!(1)).when("state.total > 5"),
        Step::sequence("inner", [add("c", "total", "{{ state.total }}"), echo("d", json!("{{ c }} of {{ b }}"))]),
    ]
}

fn graph() -> Step {
    Step::sequence(
        "graph",
        [
            echo("root", json!(1)),
            add("left", "left", "{{ root }}").after(["root"]),
            add("right", "right", "{{ root }}").after(["root"]),
            echo("never", json!(0)).after(["left"]).when("left > 100"),
            echo("after_never", json!(0)).after(["never"]),
            echo("join", json!("{{ state.left + state.right }}")).after(["left", "right"]),
        ],
    )
}

fn route() -> Step {
    Route::new(
        "draft",
        [
            add("draft", "drafts", "{{ state.drafts || 0 }}").then("check"),
            Step::sequence("check", [Step::function("look", "flaky", json!({"succeed_at": 2}))])
                .with_retry(Retry::attempts(3).with_backoff(Backoff::Immediate))
                .then_if("state.drafts < 3", "draft")
                .then("publish"),
            echo("publish", json!({"drafts": "{{ state.drafts }}"})),
        ],
    )
    .into_step("route")
}

fn each(parallel: bool) -> Step {
    let body = [
        add("plus", "sum", "{{ loop.item }}").when("loop.index != 1"),
        echo("note", json!("{{ loop.index }}:{{ loop.item }}")),
    ];
    if parallel {
        let body = [echo("one", json!("{{ loop.item }}")), echo("two", json!("{{ one * 10 }}"))];
        return Loop::items("{{ items }}", body).parallel(2).into_step("each_at_once");
    }
    Loop { until: Some("loop.item == 2".into()), ..Loop::items("{{ items }}", body) }.into_step("each")
}

fn parallel() -> Step {
    Parallel::new([
        Step::sequence("x", [add("set", "shared", "1"), echo("end", json!("x"))]),
        Step::sequence("y", [add("set", "shared", "5"), echo("end", json!("y"))]),
        echo("z", json!("z")),
    ])
    .with_on_conflict(OnConflict::First)
    .into_step("parallel")
}

fn race() -> Step {
    Parallel::new([
        Step::sequence("slow", [echo("begin", json!(1)), Step::function("hang", "forever", json!(null))]),
        Step::sequence("fast", [echo("begin", json!(2)), echo("end", json!("won"))]),
    ])
    .with_aggregation(Aggregation::First)
    .into_step("race")
}

fn retried() -> Step {
    Step::sequence(
        "block",
        [
            echo("before", json!("again")),
            Step::function("flaky", "flaky", json!({"succeed_at": 3})),
            Step::function("leaf", "flaky", json!({"succeed_at": 2})).with_retry(Retry::attempts(2)),
        ],
    )
    .with_retry(Retry::attempts(4).with_initial_delay(Duration::from_millis(1)))
}

fn handled() -> Step {
    Step::sequence(
        "handled",
        [
            Step::function("fails", "flaky", json!({"succeed_at": 99})).with_on_error(OnError::Continue),
            Step::function("mended", "flaky", json!({"succeed_at": 99}))
                .with_on_error(OnError::Steps(vec![Arc::new(echo("mend", json!("{{ error.code }}")))])),
            Step::new("wait", StepKind::Sleep(Delay::Fixed(Duration::from_millis(1))))
                .with_total_timeout(Duration::from_secs(60)),
            Conditional::new("mended == 'flaky'", [echo("yes", json!("yes"))], [echo("no", json!("no"))])
                .into_step("choice"),
            Step::new(
                "while",
                StepKind::Loop(Loop::new(
                    Over::While("(state.rounds || 0) < 3".into()),
                    [add("round", "rounds", "{{ state.rounds || 0 }}")],
                )),
            ),
        ],
    )
}

fn definition(steps: impl IntoIterator<Item = Step>) -> Definition {
    Definition::sequence("resumed", steps)
}

#[test]
fn each_pattern_resumes_after_a_crash_at_every_boundary() {
    crash_everywhere("sequence", &definition(sequence()));
    for step in [graph(), route(), each(false), each(true), parallel(), race(), retried(), handled()] {
        crash_everywhere(&step.id.clone(), &definition([echo("first", json!(0)), step, echo("last", json!("end"))]));
    }
}

#[test]
fn all_patterns_nested_in_each_other_resume() {
    let inside = |id: &str| Step::sequence(id, [graph(), race(), each(false), retried(), route()]);
    let nested =
        Parallel::new([inside("one"), Loop::items(json!([7, 8]), [inside("body"), each(true)]).into_step("two")])
            .with_on_conflict(OnConflict::Last)
            .into_step("nested");
    crash_everywhere("nested", &definition([nested, handled()]));
}
