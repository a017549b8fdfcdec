//! Conditions: branches, cases, and the reasons for skipped steps.

use llmspell_workflows_basic::{Finished, WorkflowInput, model::*};
use serde_json::json;

use crate::support::{Lab, echo, fail};

async fn taken(condition: &str) -> Finished {
    let choice = Conditional::new(condition, [echo("yes", json!("then"))], [echo("no", json!("else"))]);
    let data = json!({"n": 3, "text": "abc", "list": [1, {"k": "v"}], "nothing": null});
    Lab::new().steps([echo("data", data), choice.into_step("choice")]).await
}

#[tokio::test(start_paused = true)]
async fn conditions_with_each_operator_select_the_right_branch() {
    for (condition, holds) in [
        ("data.n == 3", true),
        ("data.n != 3", false),
        ("data.n > 2 and data.n < 4", true),
        ("data.n >= 4 or data.n <= 2", false),
        ("not (data.n === 3)", false),
        ("data.n in [1, 2, 3]", true),
        ("data.n not in [1, 2, 3]", false),
        ("data.text contains 'b'", true),
        ("data.list[1].k == 'v'", true),
        ("steps.data.output.list[0] == 1", true),
        ("input.yes", true),
        ("workflow.input.items.length == 3", true),
        ("data.missing == null", true),
    ] {
        let finished = taken(condition).await;
        assert_eq!(*finished.output, json!(if holds { "then" } else { "else" }), "{condition}");
        let other = if holds { "no" } else { "yes" };
        assert!(finished.step(other).is_none(), "{condition}: the other branch does not run");
        assert_eq!(finished.warnings, [], "{condition}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_false_conditional_without_else_outputs_null() {
    let choice = Conditional::new("false", [echo("yes", json!(1))], []).into_step("choice");
    let finished = Lab::new().steps([choice, echo("next", json!("{{ choice == null }}"))]).await;
    assert_eq!((finished.error, &*finished.output), (None, &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn unevaluable_conditions_count_as_false_with_a_warning() {
    let finished = taken("data.text.length > data.list").await;
    assert_eq!(*finished.output, "else");
    let warnings: Vec<_> = finished.warnings.iter().map(|w| (w.code.as_str(), w.path.as_str())).collect();
    assert_eq!(warnings, [("condition_unevaluable", "/main/choice")]);
}

#[tokio::test(start_paused = true)]
async fn unevaluable_named_conditions_count_as_false_with_a_warning() {
    let mut definition = Definition::sequence("named", [echo("a", json!("{{ conditions.is_ready ? 1 : 2 }}"))]);
    definition.conditions.insert("is_ready".into(), "input.n * 2 > 1".into());
    let finished = Lab::new().engine().build().run(definition, WorkflowInput::new(json!({"n": "x"}))).await.unwrap();
    assert_eq!(*finished.output, json!(2));
    let warnings: Vec<_> = finished.warnings.iter().map(|w| (w.code.as_str(), w.path.as_str())).collect();
    assert_eq!(warnings, [("condition_unevaluable", "/main/a")]);
}

#[tokio::test(start_paused = true)]
async fn switches_run_the_first_true_case_or_the_default() {
    for (n, given) in [(1, json!("one")), (2, json!("low")), (7, json!("default"))] {
        let case = |when: &str, id: &str| Case { when: when.into(), steps: vec![echo(id, json!(id)).into()] };
        let cases = vec![case("n == 1", "one"), case("n < 5", "low"), case("n == 2", "never")];
        let switch = Switch { cases, default: vec![echo("default", json!("default")).into()] };
        let finished = Lab::new().steps([echo("n", json!(n)), Step::new("switch", StepKind::Switch(switch))]).await;
        assert_eq!(*finished.output, given);
    }
}

#[tokio::test(start_paused = true)]
async fn every_skipped_step_has_a_reason() {
    let lab = Lab::new();
    let finished = lab.steps([
        echo("a", json!(1)).when("false"),
        echo("odd", json!(1)).when("'x' < 1").after([""; 0]),
        echo("b", json!(1)).after(["a"]),
        fail("c"),
        echo("d", json!(1)).after(["c"]),
        echo("e", json!(1)).after(["a", "f"]).with_trigger_rule(TriggerRule::AllSuccess),
        echo("f", json!(1)),
        echo("g", json!(1)).after(["a", "c"]).with_trigger_rule(TriggerRule::AllDone),
    ]);
    let finished = finished.await;
    for (id, code) in [
        ("a", Some("condition_false")),
        ("odd", Some("condition_unevaluable")),
        ("b", Some("dependencies_skipped")),
        ("d", Some("dependency_failed")),
        ("e", Some("trigger_rule")),
        ("f", None),
        ("g", None),
    ] {
        let reason = finished.step(id).unwrap().skip_reason.as_ref();
        assert_eq!(reason.map(|reason| reason.code.as_ref()), code, "{id}");
        assert!(reason.is_none_or(|reason| !reason.message.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn steps_after_a_skipped_dependency_are_skipped() {
    let review = Conditional::new("state.tests_pass", [echo("look", json!("fine"))], []).into_step("review");
    let lab = Lab::new();
    let finished = lab.steps([
        echo("tests", json!("red")),
        review.after(["tests"]).when("tests == 'green'"),
        echo("merge", json!("merged")).after(["review"]),
    ]);
    let finished = finished.await;
    assert_eq!((&finished.error, &*finished.output), (&None, &json!("red")));
    assert_eq!(finished.step("merge").unwrap().skip_reason.as_ref().unwrap().code, "dependencies_skipped");
}
