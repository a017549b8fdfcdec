//! Sub-workflows: steps that run other definitions.

use std::time::Duration;

use llmspell_workflows_basic::{Driven, RunOptions, RunStatus, WorkflowInput, engine::StepStatus, model::*};
use serde_json::json;

use crate::support::{Lab, echo, fail, hang, slow};

fn child() -> Definition {
    Definition::sequence("child", [echo("twice", json!("{{ n * 2 }}"))])
}

#[tokio::test(start_paused = true)]
async fn steps_return_the_output_of_their_sub_workflow() {
    let steps = [Step::workflow("sub", "child", json!({"n": "{{ items[1] }}"})), echo("after", json!("{{ sub + 1 }}"))];
    let finished = Lab::new().run(Definition::sequence("parent", steps).with_workflow(child())).await;
    assert_eq!((finished.error, &*finished.output), (None, &json!(5)));
}

#[tokio::test(start_paused = true)]
async fn sub_workflows_are_found_in_the_engine_by_name_and_version() {
    let lab = Lab::new();
    let engine = lab.engine().workflow(Definition { version: "1.2".into(), ..child() }).build();
    let step = |version: &str| {
        let mut step = Step::workflow("sub", "child", json!({"n": 3}));
        if let StepKind::Workflow(sub) = &mut step.kind {
            sub.version = Some(version.to_owned());
        }
        Definition::sequence("parent", [step])
    };
    let finished = engine.run(step("1.2"), WorkflowInput::default()).await.unwrap();
    assert_eq!(*finished.output, json!(6));
    let problems = engine.validate(step("2"));
    assert_eq!(
        (problems[0].code, &*problems[0].message),
        ("unknown_workflow_version", "the workflow `child` has version `1.2`, not `2`")
    );
    let unknown = engine.validate(Definition::sequence("parent", [Step::workflow("sub", "chidl", json!(null))]));
    assert_eq!((unknown[0].code, unknown[0].help.as_deref()), ("unknown_workflow", Some("did you mean `child`?")));
}

#[tokio::test(start_paused = true)]
async fn failed_sub_workflows_fail_their_step_with_the_error_as_cause() {
    let broken = Definition::sequence("child", [fail("inside")]);
    let finished = Lab::new()
        .run(Definition::sequence("parent", [Step::workflow("sub", "child", json!(null))]).with_workflow(broken))
        .await;
    let error = finished.error.unwrap();
    assert_eq!((&*error.code, error.path.as_deref()), ("child_failed", Some("/main/sub")));
    assert!(error.message.ends_with("of `child` failed: it failed"), "{}", error.message);
    assert_eq!(error.cause.unwrap().path.as_deref(), Some("/main/inside"));
}

#[tokio::test(start_paused = true)]
async fn sub_workflows_stop_when_their_parent_step_is_cancelled_or_times_out() {
    let lab = Lab::new();
    let long = Definition::sequence("child", [hang("works")]);
    let late = Step::workflow("sub", "child", json!(null)).with_timeout(Duration::from_secs(5));
    let finished = lab.run(Definition::sequence("parent", [late]).with_workflow(long.clone())).await;
    assert_eq!((&*finished.error.unwrap().code, lab.live()), ("timeout", 0));
    let race = Parallel::new([Step::workflow("loses", "child", json!(null)), slow("wins", 10)]);
    let race = race.with_aggregation(Aggregation::First).into_step("race");
    let finished = lab.run(Definition::sequence("parent", [race]).with_workflow(long)).await;
    assert_eq!((finished.status, lab.live()), (RunStatus::Completed, 0));
    assert_eq!(finished.step("loses").unwrap().status, StepStatus::Cancelled);
}

#[tokio::test]
async fn recursive_and_excessively_nested_sub_workflows_are_rejected() {
    let lab = Lab::new();
    let calls = |name: &str, other: &str| Definition::sequence(name, [Step::workflow("sub", other, json!(null))]);
    let engine = lab.engine().workflow(calls("a", "b")).workflow(calls("b", "a")).build();
    let text = engine.prepare(calls("a", "b")).unwrap_err().to_string();
    assert!(text.contains("these workflows run each other: a → b → a"), "{text}");
    let mut builder = lab.engine();
    for depth in 0..7 {
        builder = builder.workflow(calls(&format!("d{depth}"), &format!("d{}", depth + 1)));
    }
    let text = builder.workflow(child()).build().prepare(calls("top", "d0")).unwrap_err().to_string();
    assert!(text.contains("deeper than 5, the limit `sub_workflow_depth_max`"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_parent_waits_and_parks_together_with_its_sub_workflow() {
    let waits = Definition::sequence(
        "child",
        [Step::new("nap", StepKind::Sleep(Duration::from_secs(60).into())), slow("work", 50)],
    );
    let engine = Lab::new().engine().build();
    let parent = Definition::sequence("parent", [Step::workflow("sub", "child", json!(null))]).with_workflow(waits);
    let run = engine.start(&engine.prepare(parent).unwrap(), WorkflowInput::default(), &RunOptions::default()).unwrap();
    let (driven, waited) = tokio::join!(engine.drive(&run), async {
        let until = run.until_waiting().await.next_wake().unwrap();
        run.until_active().await;
        (until, run.now())
    });
    assert!(matches!(driven, Driven::Done(finished) if finished.status == RunStatus::Completed));
    assert_eq!(waited.0, waited.1);
    // The parent and the child park together.
    let run = engine.start(napping_parent(&engine), WorkflowInput::default(), &RunOptions::default()).unwrap();
    let (driven, ()) = tokio::join!(engine.drive(&run), async {
        run.until_waiting().await;
        run.park();
    });
    assert!(matches!(driven, Driven::Parked(wait) if wait.wake_at.is_some()));
}

fn napping_parent(
    engine: &llmspell_workflows_basic::Engine,
) -> &'static std::sync::Arc<llmspell_workflows_basic::Plan> {
    let naps = Definition::sequence("child", [Step::new("nap", StepKind::Sleep(Duration::from_secs(60).into()))]);
    let parent = Definition::sequence("parent", [Step::workflow("sub", "child", json!(null))]).with_workflow(naps);
    Box::leak(Box::new(engine.prepare(parent).unwrap()))
}

#[test]
fn invalid_sub_workflow_input_is_reported_before_the_run() {
    let mut kid = child();
    let integer = InputSpec { kind: Some(InputType::Integer), required: true, ..InputSpec::default() };
    kid.inputs.insert("n".into(), integer);
    kid.inputs.insert("t".into(), InputSpec { kind: Some(InputType::String), ..InputSpec::default() });
    for (input, expected) in [
        (json!({"n": 1}), ""),
        (json!({"n": "{{ steps.a.output }}", "t": "\\{{ }}"}), ""),
        (json!("{{ steps.a.output }}"), ""),
        (json!(null), "`child` requires the input `n`"),
        (json!({"t": "x"}), "`child` requires the input `n`"),
        (json!({"n": "one"}), "the input `n` of `child` must be of type integer, got \"one\""),
        (json!({"n": 1.5}), "the input `n` of `child` must be of type integer, got 1.5"),
        (json!({"n": 1, "t": 2}), "the input `t` of `child` must be of type string, got 2"),
        (json!({"n": 1, "m": "{{ steps.a.output }}"}), "`child` has no input `m`"),
        (json!([1]), "the input of `child` must be an object"),
        (json!("text"), "the input of `child` must be an object"),
    ] {
        let steps = [echo("a", json!(1)), Step::workflow("sub", "child", input.clone())];
        let problems =
            Lab::new().engine().build().validate(Definition::sequence("parent", steps).with_workflow(kid.clone()));
        let found: Vec<&str> =
            problems.iter().filter(|problem| problem.code == "invalid_input").map(|p| &*p.message).collect();
        let expected: Vec<&str> = Some(expected).filter(|expected| !expected.is_empty()).into_iter().collect();
        assert_eq!(found, expected, "{input}");
    }
}
