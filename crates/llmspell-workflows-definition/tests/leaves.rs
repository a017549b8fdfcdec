//! Tests for leaf steps and custom step types.

mod common;

use common::{definition, step};
use llmspell_workflows_basic::model::{ActivityName, Definition, Step, StepKind, Validate, ValidateMode};
use llmspell_workflows_definition::{CustomType, StepTypes, read};
use serde_json::{Value, json};

#[test]
fn activities_accept_all_spellings() {
    for (text, expected) in [
        ("tool: web-searcher", Step::tool("a", "web-searcher", Value::Null)),
        ("type: tool, tool: t, params: {}", Step::tool("a", "t", json!({}))),
        ("agent: writer, with: {q: \"{{ x }}\"}", Step::activity("a", "agent", "writer", json!({"q": "{{ x }}"}))),
        ("persona: lead", Step::activity("a", "persona-request", "lead", Value::Null)),
        ("function: f, params: \"{{ x }}\"", Step::function("a", "f", json!("{{ x }}"))),
        (
            "type: http, url: \"http://x\", method: POST, params: {timeout: 3}",
            Step::tool("a", "http_requester", json!({"input": "http://x", "method": "POST", "timeout": 3})),
        ),
        ("type: http, params: {url: \"http://x\"}", Step::tool("a", "http_requester", json!({"input": "http://x"}))),
        ("command: ls", Step::activity("a", "shell", "", json!({"command": "ls"}))),
        (
            "type: shell, params: {argv: [ls, -l], cwd: /tmp}, env: {A: b}, allow_failure: true",
            Step::activity(
                "a",
                "shell",
                "",
                json!({"argv": ["ls", "-l"], "cwd": "/tmp", "env": {"A": "b"}, "allow_failure": true}),
            ),
        ),
        ("type: git-operation, operation: push", Step::activity("a", "git-operation", "push", Value::Null)),
        (
            "type: git_operation, params: {operation: commit, message: m}, branch: main",
            Step::activity("a", "git-operation", "commit", json!({"message": "m", "branch": "main"})),
        ),
    ] {
        assert_eq!(step(&format!("{{id: a, {text}}}")), expected, "{text}");
    }
}

#[test]
fn set_sleep_and_validate_accept_all_spellings() {
    let set = step("{id: a, type: set, params: {k: [1, \"{{ x }}\"]}}");
    assert_eq!(set.kind, Step::set("", json!({"k": [1, "{{ x }}"]}).as_object().cloned().unwrap_or_default()).kind);
    assert!(matches!(step("{id: a, duration_ms: 5}").kind, StepKind::Sleep(_)));
    let check = step(
        "{id: a, type: validate, data: \"{{ x }}\", json_schema: {type: object}, assertions: data.ok,
          mode: warn, transformations: {y: 1}, validator: \"tool:data_validator\"}",
    );
    assert_eq!(
        check.kind,
        StepKind::Validate(Validate {
            data: json!("{{ x }}"),
            schema: Some(json!({"type": "object"})),
            validator: Some(ActivityName::new("tool", "data_validator")),
            assertions: vec!["data.ok".into()],
            mode: ValidateMode::Warn,
            transform: Some(json!({"y": 1})),
        })
    );
}

#[test]
fn processes_inherit_the_workflow_environment() {
    let text = "{name: x, env: {A: 1, B: 2}, steps: [{id: a, command: ls, env: {A: own}}, {id: b, tool: t}]}";
    let expected = Definition::sequence(
        "x",
        [
            Step::activity("a", "shell", "", json!({"command": "ls", "env": {"A": "own", "B": 2}})),
            Step::tool("b", "t", Value::Null),
        ],
    );
    assert_eq!(definition(text), expected);
    assert_eq!(definition("{name: x, env: [HOME], steps: [{id: a, tool: t}]}").env, ["HOME"]);
}

#[test]
fn custom_step_types_become_activity_calls() {
    let notify = CustomType::new("Sends a notification.").with_required_field("channel").with_field("urgent");
    let types = StepTypes::new().with("notify", notify).with("make", CustomType::new("Runs make.").with_process());
    let read = |step: &str| read(&format!("{{name: x, env: {{L: C}}, steps: [{step}]}}"), "x", &types);
    for (text, expected) in [
        ("{id: a, type: notify, channel: ops, retries: 0}", json!({"channel": "ops"})),
        ("{id: a, type: notify, params: {channel: ops}, urgent: true}", json!({"channel": "ops", "urgent": true})),
        ("{id: a, type: make}", json!({"env": {"L": "C"}})),
    ] {
        let document = read(text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        let StepKind::Sequence(steps) = document.definition.body else { panic!("expected a sequence") };
        let StepKind::Activity(call) = &steps[0].kind else { panic!("expected an activity") };
        assert_eq!(call.params, expected, "{text}");
        assert!(call.activity.name.is_empty());
    }
    for (text, code) in [
        ("{id: a, type: notify}", "missing_field"),
        ("{id: a, type: notify, channel: ops, urgnt: true}", "unknown_field"),
        ("{id: a, type: notif, channel: ops}", "unknown_step_type"),
    ] {
        let diagnostics = read(text).expect_err(text);
        assert_eq!(diagnostics.list()[0].code, code, "{diagnostics}");
        assert!(code == "missing_field" || diagnostics.list()[0].help.is_some(), "{diagnostics}");
    }
}
