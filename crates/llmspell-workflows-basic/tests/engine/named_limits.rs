//! The engine's value of a named limit takes precedence over the definition's.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{
    Driven, Engine, RunOptions, RunStatus, Severity, WorkflowInput,
    model::{Definition, Parallel, Step},
};
use serde_json::json;

use crate::support::{Lab, slow};

/// Returns a definition whose five parallel steps share the limit `api`, declared as `holders`.
fn limited(name: &str, holders: Option<u32>) -> Definition {
    let steps = (0..5).map(|number| slow(&format!("s{number}"), 10).with_limit("api"));
    let mut definition = Definition::sequence(name, [Parallel::new(steps).into_step("block")]);
    definition.concurrency.extend(holders.map(|holders| ("api".to_owned(), holders)));
    definition
}

/// Runs all `definitions` concurrently.
async fn at_once(engine: &Engine, definitions: impl IntoIterator<Item = Definition>) {
    let runs = definitions.into_iter().map(|definition| engine.run(definition, WorkflowInput::default()));
    for finished in futures_util::future::join_all(runs).await {
        assert_eq!(finished.unwrap().status, RunStatus::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn only_runs_of_the_same_definition_share_a_limit() {
    for (names, most) in [(["one", "one"], 2), (["one", "two"], 4)] {
        let lab = Lab::new();
        let engine = lab.engine().build();
        at_once(&engine, names.map(|name| limited(name, Some(2)))).await;
        assert_eq!(lab.most(), most, "{names:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn definitions_with_the_same_limit_name_have_separate_limits() {
    let lab = Lab::new();
    let engine = lab.engine().build();
    at_once(&engine, [limited("first", Some(1))]).await;
    at_once(&engine, [limited("second", Some(4))]).await;
    assert_eq!(lab.most(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_engine_limit_applies_to_all_definitions() {
    let lab = Lab::new();
    let engine = lab.engine().concurrency("api", 3).build();
    at_once(&engine, [limited("one", Some(5)), limited("two", Some(1)), limited("three", None)]).await;
    assert_eq!(lab.most(), 3);
}

#[test]
fn a_limit_that_differs_from_the_engine_limit_is_reported() {
    let engine = Lab::new().engine().concurrency("api", 3).build();
    let plan = engine.prepare(limited("one", Some(5))).unwrap();
    let [warning] = plan.warnings() else { panic!("{:?}", plan.warnings()) };
    assert_eq!((warning.code, warning.severity), ("limit_differs", Severity::Warning));
    assert_eq!(warning.place.to_string(), "concurrency/api");
    let message = "the limit `api` is 5 here and 3 in the engine; the engine's value takes precedence";
    assert_eq!(warning.message, message);
    assert_eq!(engine.prepare(limited("one", Some(3))).unwrap().warnings(), []);
}

#[test]
fn a_differing_limit_in_a_sub_workflow_is_reported() {
    let engine = Lab::new().engine().concurrency("api", 3).workflow(limited("inner", Some(5))).build();
    let outer = Definition::sequence("outer", [Step::workflow("call", "inner", json!({}))]);
    let warnings: Vec<_> = engine.validate(outer).into_iter().map(|warning| (warning.code, warning.message)).collect();
    let message = "in the workflow `inner`, concurrency/api: the limit `api` is 5 here and 3 in the engine; \
         the engine's value takes precedence";
    assert_eq!(warnings, [("limit_differs", message.to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn definition_versions_share_a_limit_and_a_differing_value_is_reported() {
    let lab = Lab::new();
    let engine = lab.engine().build();
    let versions = [("1.0.0", 1), ("2.0.0", 3)];
    let runs = versions.map(|(version, holders)| {
        let plan = engine.prepare(Definition { version: version.into(), ..limited("one", Some(holders)) }).unwrap();
        engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap()
    });
    let ended = futures_util::future::join_all(runs.iter().map(|run| engine.drive(run))).await;
    assert!(lab.most() <= 3, "{}", lab.most());
    for (driven, (own, other)) in ended.into_iter().zip([(1, 3), (3, 1)]) {
        let Driven::Done(finished) = driven else { panic!("{driven:?}") };
        let [warning] = &finished.warnings[..] else { panic!("{:?}", finished.warnings) };
        assert_eq!((warning.code.as_str(), warning.path.as_str()), ("limit_differs", "/main"));
        let numbers =
            [format!("sets the limit `api` to {own},"), format!("another running version sets it to {other};")];
        assert!(numbers.iter().all(|text| warning.message.contains(text)), "{}", warning.message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sub_workflow_does_not_share_the_limits_of_its_parent() {
    let call = |id: &str| Step::workflow(id, "inner", json!({})).with_limit("api");
    let outer = |inner: Option<u32>| {
        let block = Parallel::new(["a", "b"].map(call));
        let mut outer = Definition::sequence("outer", [block.into_step("block")]);
        outer.concurrency.insert("api".into(), 2);
        outer.workflows.insert("inner".into(), Arc::new(limited("inner", inner)));
        outer
    };
    let lab = Lab::new();
    let finished = tokio::time::timeout(Duration::from_secs(60), lab.run(outer(Some(4)))).await.expect("the run ends");
    assert_eq!((finished.status, lab.most()), (RunStatus::Completed, 4));

    let problems = lab.engine().build().validate(outer(None));
    assert_eq!(problems[0].code, "invalid_sub_workflow");
    assert!(problems[0].message.contains("unknown concurrency limit `api`"), "{}", problems[0].message);
}

#[test]
fn steps_cannot_hold_a_permit_that_their_sub_workflow_needs() {
    let around = |engine: Engine| {
        let call = Step::workflow("call", "inner", json!({})).with_limit("api");
        let mut outer = Definition::sequence("outer", [call]);
        outer.concurrency.insert("api".into(), 2);
        engine.validate(outer)
    };
    let builder = Lab::new().engine().workflow(limited("inner", Some(2)));
    assert_eq!(around(builder.clone().build()), []);
    let problems = around(builder.concurrency("api", 2).build());
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!((problem.code, problem.place.to_string()), ("limit_on_block", "/main/call limits/0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn steps_waiting_for_a_permit_do_not_start_after_a_pause() {
    let lab = Lab::new();
    let engine = lab.engine().build();
    let plan = engine.prepare(limited("one", Some(1))).unwrap();
    let run = engine.start(&plan, WorkflowInput::default(), &RunOptions::default()).unwrap();
    let pause = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        run.park();
    };
    let (driven, ()) = tokio::join!(engine.drive(&run), pause);
    assert!(matches!(driven, Driven::Parked(_)), "{driven:?}");
    let completed = run.steps().into_iter().filter(|step| step.is_leaf && step.output.is_some()).count();
    assert_eq!(completed, 1, "only the step that held the permit has run");
}
