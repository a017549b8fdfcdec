//! Secrets are shown as `***` in everything that a run exposes.

use std::sync::{Arc, Mutex};

use llmspell_workflows_basic::{Engine, Finished, StepError, WorkflowError, WorkflowInput, model::*};
use serde_json::{Value, json};

use crate::support::{Lab, echo};

async fn run(engine: &Engine, mut definition: Definition) -> Finished {
    definition.secrets = vec!["key".into()];
    engine.run(definition, WorkflowInput::default()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn secrets_are_masked_in_every_kind_of_step() {
    let values = json!({"k": "{{ secrets.key }}"});
    let validate = Validate {
        data: json!("has {{ secrets.key }}"),
        assertions: vec!["data == 'x'".into()],
        mode: ValidateMode::Warn,
        ..Validate::default()
    };
    let mut definition = Definition::sequence(
        "secret",
        [
            Step::set("set", values.as_object().unwrap().clone()),
            Step::new("validate", StepKind::Validate(validate)),
            Step { name: Some("with {{ secrets.key }}".into()), ..echo("echo", json!("{{ secrets.key }}!")) },
            Loop::items("{{ [secrets.key] }}", [echo("item", json!("{{ loop.index }}"))]).into_step("each"),
        ],
    );
    definition.secrets = vec!["key".into()];
    definition.outputs = Some(json!({"all": "{{ secrets.key }}"}));
    let engine = Lab::new().engine().secrets([("key".to_owned(), "hunter2".to_owned())]).build();
    let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
    assert_eq!(finished.error, None);
    assert_eq!(*finished.output, json!({"all": "***"}));
    assert!(!format!("{finished:?}").contains("hunter2"), "{finished:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_contains_another_is_masked_as_a_whole() {
    let names: Vec<String> = (1..=8).map(|n| format!("key{n}")).collect();
    // Each secret begins with the previous secret.
    let secrets = names.iter().enumerate().map(|(n, name)| (name.clone(), "abcdefghijklm"[..n + 4].to_owned()));
    let engine = Lab::new().engine().secrets(secrets).build();
    let shown = names.iter().map(|name| format!("<{{{{ secrets.{name} }}}}>")).collect::<String>();
    let mut definition = Definition::sequence("secret", [echo("echo", json!(shown))]);
    definition.secrets = names;
    let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
    assert_eq!(*finished.output, json!("<***>".repeat(8)));
}

#[tokio::test(start_paused = true)]
async fn steps_see_the_secrets_in_the_data_of_other_steps() {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let note = seen.clone();
    let mut lab = Lab::new();
    lab.register("note", move |context| {
        note.lock().unwrap().push(context.input().clone());
        async { Ok(json!(null).into()) }
    });
    let read = |id: &str, from: &str| Step::function(id, "note", json!(format!("{{{{ {from} }}}}")));
    let keys = json!({"k": "{{ secrets.key }}", "list": ["{{ first.a }}", 1]});
    let undone = Step::function("undone", "note", json!("{{ secrets.key }}")).with_compensation(read("undo", "input"));
    let definition = Definition::sequence(
        "secret",
        [
            Step::function("first", "first", json!("<{{ secrets.key }}>")),
            Step::set("set", keys.as_object().unwrap().clone()),
            read("output", "first.a"),
            read("field", "first[secrets.key]"),
            read("kept", "state.list"),
            Loop::items("{{ state.list }}", [read("item", "loop.item")]).into_step("each"),
            Step::sequence("block", [echo("inner", json!("{{ secrets.key }}")), read("block_output", "inner")]),
            undone,
            Step::function("fails", "fails", json!(1)),
        ],
    );
    lab.register("first", |context| async move { Ok(json!({"a": context.input(), "hunter2": 7}).into()) });
    lab.register("fails", |_| async { Err(StepError::validation("bad", "hunter2 is wrong")) });
    let engine = lab.engine().secrets([("key".to_owned(), "hunter2".to_owned())]).build();
    let finished = run(&engine, definition).await;
    let expected = [
        json!("<hunter2>"),
        json!(7),
        json!(["<hunter2>", 1]),
        json!("<hunter2>"),
        json!(1),
        json!("hunter2"),
        json!("hunter2"),
        json!("hunter2"),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(finished.error.as_ref().map(|error| &*error.message), Some("*** is wrong"));
    assert!(!format!("{finished:?}").contains("hunter2"), "{finished:#?}");
}

#[tokio::test(start_paused = true)]
async fn short_secrets_are_refused_only_if_a_definition_lists_them() {
    let engine = Lab::new().engine().secrets([("key".to_owned(), "abc".to_owned())]).build();
    let mut definition = Definition::sequence("short", [echo("a", json!("abc"))]);
    let finished = engine.run(definition.clone(), WorkflowInput::default()).await.unwrap();
    assert_eq!(*finished.output, json!("abc"));
    definition.secrets = vec!["key".into()];
    let error = engine.run(definition, WorkflowInput::default()).await.unwrap_err();
    assert!(matches!(&error, WorkflowError::Failed(error) if error.code == "secret_too_short"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn errors_before_a_run_starts_mask_all_engine_secrets() {
    let engine = Lab::new().engine().secrets([("key".to_owned(), "hunter2".to_owned())]).build();
    let mut definition = Definition::sequence("input", [echo("a", json!(1))]);
    definition.variables.insert("v".to_owned(), json!("{{ input.n.hunter2 }}"));
    let error = engine.run(definition, WorkflowInput::new(json!({"n": "hunter2"}))).await.unwrap_err();
    assert!(!error.to_string().contains("hunter2") && error.to_string().contains("***"), "{error}");
}
