//! Secrets are shown as `***` in everything that a run exposes.

use llmspell_workflows_basic::{WorkflowInput, model::*};
use serde_json::json;

use crate::support::{Lab, echo};

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
            Loop::items("{{ [secrets.key] }}", [echo("item", json!("{{ loop.index }}"))]).into_step("loop"),
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
    let secrets = names.iter().enumerate().map(|(n, name)| (name.clone(), "abcdefghij"[..n + 2].to_owned()));
    let engine = Lab::new().engine().secrets(secrets).build();
    let shown = names.iter().map(|name| format!("<{{{{ secrets.{name} }}}}>")).collect::<String>();
    let mut definition = Definition::sequence("secret", [echo("echo", json!(shown))]);
    definition.secrets = names;
    let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
    assert_eq!(*finished.output, json!("<***>".repeat(8)));
}
