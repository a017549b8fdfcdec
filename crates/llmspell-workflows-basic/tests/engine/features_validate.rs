//! `validate` steps: schemas, validators, assertions and the output.

use llmspell_workflows_basic::{
    Finished, RunStatus, WorkflowInput,
    engine::{SchemaCheck, Violation},
    model::*,
};
use serde_json::{Value, json};

use crate::support::Lab;

/// A schema check that supports only `required`.
struct RequiredFields;

impl SchemaCheck for RequiredFields {
    fn check(&self, schema: &Value, data: &Value) -> Result<Vec<Violation>, String> {
        let wanted = schema["required"].as_array().ok_or("`required` is not an array")?;
        let missing = wanted.iter().filter_map(Value::as_str).filter(|name| data.get(name).is_none());
        Ok(missing.map(|name| Violation { path: format!("/{name}"), message: "is missing".into() }).collect())
    }
}

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.register("judge", |call| {
        let wrong =
            if call.input()["n"] == 1 { json!([]) } else { json!(["n is not one", {"path": "/n", "message": "odd"}]) };
        async move { Ok(wrong.into()) }
    });
    lab
}

fn check(n: u64) -> Validate {
    Validate {
        data: json!({"n": n}),
        schema: Some(json!({"required": ["n", "m"]})),
        validator: Some(ActivityName::new("function", "judge")),
        assertions: vec!["data.n < 2".into(), "data.n > 100".into()],
        ..Validate::default()
    }
}

async fn run(validate: Validate) -> Finished {
    let engine = lab().engine().schemas(RequiredFields).build();
    let definition = Definition::sequence("validates", [Step::new("check", StepKind::Validate(validate))]);
    engine.run(definition, WorkflowInput::default()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn all_violations_are_reported_together_with_their_paths() {
    let error = run(check(5)).await.error.unwrap();
    assert_eq!(
        (error.code.as_ref(), error.class.as_str(), error.retryable),
        ("validation_failed", "validation", false)
    );
    let expected = json!({"violations": [
        {"path": "/m", "message": "is missing"},
        {"path": "", "message": "n is not one"},
        {"path": "/n", "message": "odd"},
        {"path": "", "message": "the assertion `data.n < 2` is false"},
        {"path": "", "message": "the assertion `data.n > 100` is false"},
    ]});
    assert_eq!(error.details, Some(expected));
    assert!(error.message.contains("/m: is missing") && error.message.contains("`data.n > 100`"), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn warn_mode_continues_with_a_warning() {
    let finished = run(Validate { mode: ValidateMode::Warn, transform: Some(json!("changed")), ..check(5) }).await;
    assert_eq!((finished.status, &*finished.output), (RunStatus::Completed, &json!({"n": 5})));
    let warnings: Vec<_> = finished.warnings.iter().map(|w| (w.code.as_str(), w.path.as_str())).collect();
    assert_eq!(warnings, [("validation_failed", "/main/check")]);
}

#[tokio::test(start_paused = true)]
async fn valid_data_becomes_the_output_or_is_transformed() {
    let valid = || Validate { data: json!({"n": 1, "m": 2}), assertions: vec!["data.n < data.m".into()], ..check(1) };
    assert_eq!(*run(valid()).await.output, json!({"n": 1, "m": 2}));
    let transform = Some(json!({"sum": "{{ data.n + data.m }}"}));
    assert_eq!(*run(Validate { transform: transform.clone(), ..valid() }).await.output, json!({"sum": 3}));
    let invalid = Validate { transform, data: json!({"n": 1}), ..valid() };
    assert_eq!(run(invalid).await.status, RunStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn unevaluable_assertions_fail_the_step() {
    let finished = run(Validate { assertions: vec!["data.n < 'x'".into()], ..check(1) }).await;
    assert_eq!(finished.status, RunStatus::Failed);
}

#[tokio::test(start_paused = true)]
async fn invalid_schemas_and_empty_checks_are_rejected() {
    let codes = |validate: Validate| {
        let engine = lab().engine().schemas(RequiredFields).build();
        let problems = engine.validate(Definition::sequence("v", [Step::new("check", StepKind::Validate(validate))]));
        problems.into_iter().map(|problem| problem.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(Validate { schema: Some(json!({})), ..check(1) }), ["invalid_schema"]);
    assert_eq!(codes(Validate { data: json!(1), ..Validate::default() }), ["nothing_to_check"]);
    let unknown = Some(ActivityName::new("function", "nobody"));
    assert_eq!(codes(Validate { validator: unknown, ..check(1) }), ["unknown_activity"]);
}
