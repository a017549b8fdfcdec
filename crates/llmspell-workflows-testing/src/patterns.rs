//! Test steps for every workflow pattern, and the activities that they call.
//!
//! The input of these steps contains `items`, a list of numbers.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{
    StepError,
    activity::{ActivityContext, ActivityOutput},
    model::{
        Aggregation, Backoff, Conditional, Definition, Delay, Loop, LoopSource, OnConflict, OnError, Parallel, Retry,
        Route, Step, StepKind,
    },
};
use serde_json::{Value, json};

use crate::crash::CrashTest;

fn echo(id: &str, value: Value) -> Step {
    Step::function(id, "echo", value)
}

fn add(id: &str, key: &str, n: &str) -> Step {
    Step::function(id, "add", json!({"key": key, "n": n}))
}

/// Returns a sequence with a skipped step.
#[must_use]
pub fn sequence() -> Vec<Step> {
    vec![
        echo("a", json!("{{ items[0] }}")),
        add("b", "total", "{{ a }}"),
        echo("skipped", json!(1)).when("state.total > 5"),
        Step::sequence("inner", [add("c", "total", "{{ state.total }}"), echo("d", json!("{{ c }} of {{ b }}"))]),
    ]
}

/// Returns a graph with a false condition.
#[must_use]
pub fn graph() -> Step {
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

/// Returns a route that goes back to an earlier step and contains a retried block.
#[must_use]
pub fn route() -> Step {
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

/// Returns a loop over a list, sequential or parallel.
#[must_use]
pub fn each(parallel: bool) -> Step {
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

/// Returns parallel branches that set the same part of the state.
#[must_use]
pub fn parallel() -> Step {
    Parallel::new([
        Step::sequence("x", [add("set", "shared", "1"), echo("end", json!("x"))]),
        Step::sequence("y", [add("set", "shared", "5"), echo("end", json!("y"))]),
        echo("z", json!("z")),
    ])
    .with_on_conflict(OnConflict::First)
    .into_step("parallel")
}

/// Returns a race in which one branch never ends.
#[must_use]
pub fn race() -> Step {
    Parallel::new([
        Step::sequence("slow", [echo("begin", json!(1)), Step::function("hang", "forever", json!(null))]),
        Step::sequence("fast", [echo("begin", json!(2)), echo("end", json!("won"))]),
    ])
    .with_aggregation(Aggregation::First)
    .into_step("race")
}

/// Returns a retried block that contains a retried leaf.
#[must_use]
pub fn retried() -> Step {
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

/// Returns a block with handled failures, a sleep, a conditional and a loop with a condition.
#[must_use]
pub fn handled() -> Step {
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
                    LoopSource::While("(state.rounds || 0) < 3".into()),
                    [add("round", "rounds", "{{ state.rounds || 0 }}")],
                )),
            ),
        ],
    )
}

/// Returns a definition for each pattern, with a step before and a step after the pattern.
#[must_use]
pub fn all() -> Vec<Definition> {
    let alone = [graph(), route(), each(false), each(true), parallel(), race(), retried(), handled()];
    let alone = alone
        .into_iter()
        .map(|step| Definition::sequence(step.id.clone(), [echo("first", json!(0)), step, echo("last", json!("end"))]));
    std::iter::once(Definition::sequence("sequence", sequence())).chain(alone).collect()
}

/// Returns a definition in which patterns are nested within each other.
#[must_use]
pub fn nested() -> Definition {
    let inside = |id: &str| Step::sequence(id, [graph(), race(), each(false), retried(), route()]);
    let nested =
        Parallel::new([inside("one"), Loop::items(json!([7, 8]), [inside("body"), each(true)]).into_step("two")])
            .with_on_conflict(OnConflict::Last)
            .into_step("nested");
    Definition::sequence("nested", [nested, handled()])
}

/// Returns the input of these definitions.
#[must_use]
pub fn input() -> Value {
    json!({"items": [1, 2, 3]})
}

/// The names of the functions that these patterns call.
pub const FUNCTIONS: [&str; 4] = ["echo", "add", "forever", "flaky"];

/// Performs the function `name` of these patterns.
///
/// # Errors
/// Fails if the function is meant to fail.
pub async fn perform(name: &str, context: ActivityContext) -> Result<ActivityOutput, StepError> {
    match name {
        "echo" => Ok(context.input().clone().into()),
        "add" => Ok(plus_one(&context)),
        "flaky" => flaky(&context),
        _ => {
            context.cancelled().await;
            Err(StepError::transient("stopped", "the activity was stopped"))
        }
    }
}

/// Creates a crash test of `definition` with the functions that these patterns call.
#[must_use]
pub fn crash_test(definition: Definition) -> CrashTest {
    let test = CrashTest::new(definition, input());
    FUNCTIONS.into_iter().fold(test, |test, name| {
        test.activity("function", name, move |context| async move { perform(name, context).await })
    })
}

/// Returns `n` plus one, and stores the result in the state under the key `key`.
fn plus_one(context: &ActivityContext) -> ActivityOutput {
    let sum = json!(context.input()["n"].as_i64().unwrap_or(0) + 1);
    let key = context.input()["key"].as_str().unwrap_or("sum").to_owned();
    ActivityOutput::from(sum.clone()).with_state(&key, sum)
}

/// Fails until the enclosing block reaches generation `succeed_at` or the step reaches attempt
/// `succeed_at`.
fn flaky(context: &ActivityContext) -> Result<ActivityOutput, StepError> {
    let path = context.path().to_path();
    let block = path.segments().iter().rev().nth(1).map_or(1, |segment| segment.generation);
    let tries = block.max(context.attempt());
    if context.input()["succeed_at"].as_i64().is_some_and(|at| i64::from(tries) < at) {
        return Err(StepError::transient("flaky", format!("try {tries} fails")));
    }
    Ok(json!({"tries": tries}).into())
}
