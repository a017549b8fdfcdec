//! In a workflow without declared inputs, each undefined name causes exactly one warning.

use llmspell_workflows_basic::{
    Driven, Engine, RunOptions, WorkflowInput,
    engine::Resume,
    model::{Definition, InputSpec, Loop, LoopSource, Step},
};
use serde_json::{Value, json};

use crate::support::{Lab, echo, put};

fn set(id: &str) -> Step {
    Step::set(id, serde_json::Map::new())
}

/// Runs `definition` and returns its warnings about missing input fields.
async fn warnings(definition: Definition, input: Value) -> Vec<String> {
    let finished = Lab::new().engine().build().run(definition, WorkflowInput::new(input)).await.unwrap();
    let missing = finished.warnings.into_iter().filter(|warning| warning.code == "input_field_missing");
    missing.map(|warning| warning.message).collect()
}

#[tokio::test]
async fn a_missing_name_causes_one_warning() {
    let read = |condition: &str| Definition::sequence("w", [set("a"), set("b").when(condition)]);
    let table: [(&str, Value, bool); 11] = [
        ("staus == 'ready'", json!({}), true),
        ("staus == 'ready'", json!({"status": "ready"}), true),
        ("staus == 'ready' || staus == 'done'", json!({}), true),
        ("!staus", json!({}), true),
        ("input.staus == 'ready'", json!({}), true),
        ("staus == 'ready'", json!({"staus": null}), false),
        ("input.staus == 'ready'", json!({"staus": "no"}), false),
        ("(staus ?? '') == 'ready'", json!({}), false),
        ("task.staus == 'ready'", json!({"task": {"staus": "ready"}}), false),
        ("steps.a.status == 'completed'", json!({}), false),
        ("true", json!({}), false),
    ];
    for (condition, input, warns) in table {
        let found = warnings(read(condition), input.clone()).await;
        assert_eq!(found.len(), usize::from(warns), "{condition} with {input}: {found:?}");
        assert!(found.iter().all(|message| message.contains("`staus`")), "{found:?}");
    }
}

#[tokio::test]
async fn loops_warn_once_about_a_missing_name_and_never_about_a_provided_one() {
    let over = LoopSource::Range { start: json!(0), end: json!(3), step: json!(1) };
    let body = [set("x").when("staus == loop.index")];
    let looped = Definition::sequence("w", [Loop::new(over, body).into_step("each")]);
    assert_eq!(warnings(looped.clone(), json!({})).await.len(), 1);
    let declared = Definition { inputs: [("staus".to_owned(), InputSpec::default())].into(), ..looped };
    assert_eq!(warnings(declared, json!({})).await, Vec::<String>::new());
    for sets in [put("p", "staus", json!("ready")), echo("p", json!("may set any key"))] {
        let steps = [sets, set("b").when("staus == 'ready'")];
        assert_eq!(warnings(Definition::sequence("w", steps), json!({})).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn resumed_runs_do_not_repeat_the_warning() {
    let engine = Engine::builder().build();
    let steps = [set("s").when("staus")];
    let plan = engine.prepare(Definition::sequence("w", steps)).unwrap();
    let began = jiff::Timestamp::now();
    for (later, expected) in [(0, 1), (5, 0)] {
        let resume = Resume::new(uuid::Uuid::nil(), began);
        let resume = resume.with_last_record(began + std::time::Duration::from_micros(later));
        let options = RunOptions { resume: Some(resume), ..RunOptions::default() };
        let run = engine.start(&plan, WorkflowInput::default(), &options).unwrap();
        let Driven::Done(finished) = engine.drive(&run).await else { panic!("the run ends") };
        let missing = finished.warnings.iter().filter(|warning| warning.code == "input_field_missing").count();
        assert_eq!(missing, expected, "{later} µs after the start");
    }
}

#[test]
fn invisible_steps_are_not_mistaken_for_input_fields() {
    let reads = |id: &str, name: &str| {
        Step::set(id, serde_json::Map::from_iter([("x".to_owned(), json!(format!("{{{{ {name}.x }}}}")))]))
    };
    let codes = |definition: Definition| {
        let problems = Engine::builder().build().validate(definition);
        problems.into_iter().map(|problem| (problem.code.to_string(), problem.message)).collect::<Vec<_>>()
    };
    let inner = [Step::sequence("block", [set("q")]), reads("b", "q")];
    let variable = Definition {
        variables: [("v".to_owned(), json!("{{ a.x }}"))].into_iter().collect(),
        ..Definition::sequence("w", [set("a")])
    };
    for definition in [Definition::sequence("w", inner), variable] {
        let found = codes(definition);
        let [(code, message)] = found.as_slice() else { panic!("{found:?}") };
        assert!(code == "unknown_reference" && message.contains("is not visible here"), "{message}");
    }
    // A named condition sees the steps that are visible where it is used.
    let named = Definition {
        conditions: [("has_a".to_owned(), "steps.a.status == 'completed' && a.x == 1".to_owned())]
            .into_iter()
            .collect(),
        ..Definition::sequence("w", [set("a"), set("b").when("has_a")])
    };
    assert!(!codes(named).iter().any(|(_, message)| message.contains("field of the input")));
}
