use std::time::Duration;

use llmspell_workflows_basic::{
    ErrorClass, WorkflowInput,
    engine::StepStatus,
    model::{Definition, Retry, Step, StepKind, Validate},
};
use serde_json::json;

use crate::{engine, error, policy, problems, run};

#[tokio::test]
async fn a_tool_can_be_called_by_its_name_or_an_alias() {
    for name in ["hash_calculator", "hash-calculator"] {
        let params = json!({"operation": "hash", "input": "abc", "input_type": "text", "algorithm": "sha256"});
        let finished = run(Step::tool("hash", name, params)).await;
        let hash = finished.output["hash"].as_str().unwrap_or_default();
        assert!(hash.starts_with("ba7816bf"), "{name}: {:?}", finished.error);
    }
}

#[tokio::test]
async fn a_float_without_a_fraction_is_accepted_as_an_integer() {
    for (tool, params) in [
        ("text_summarizer", json!({"input": "One. Two.", "max_length": 500.0})),
        ("csv_analyzer", json!({"operation": "sample", "input": "a\n1\n", "options": {"n": 2.0}})),
        ("data_validator", json!({"input": {"a": "x"}, "rules": {"a": {"min_length": 1.0}}})),
    ] {
        let finished = run(Step::tool("go", tool, params.clone())).await;
        assert_eq!(finished.error, None, "{tool}: {params}");
    }
}

#[tokio::test]
async fn an_exceeded_limit_is_not_retried() {
    let params = json!({"operation": "query", "input": 1, "query": "[range(1e9)]"});
    let retry = Retry::attempts(3).with_initial_delay(Duration::from_millis(1));
    let finished = run(Step::tool("go", "json_processor", params).with_retry(retry)).await;
    let error = error(&finished);
    assert_eq!((error.class, &*error.code, error.attempt), (ErrorClass::Resource, "query_limit", 1));
    assert!(!error.retryable);
}

#[test]
fn names_and_parameters_are_checked_before_a_run() {
    for (step, place, help) in [
        (
            Step::tool("a", "file_serch", json!({"pattern": "x", "path": "."})),
            "activity",
            "did you mean `file_search`?",
        ),
        (
            Step::tool("a", "file_search", json!({"patern": "x", "path": "."})),
            "params/patern",
            "did you mean `pattern`?",
        ),
        (
            Step::tool("a", "file_writer", json!({"path": "{{ a }}.csv", "input_path": ["b.csv", "{{ a }}.csv"]})),
            "params/path",
            "write to another file",
        ),
        (
            Step::tool(
                "a",
                "data_transformer",
                json!({
                    "operation": "unique", "input_path": "a.jsonl", "output_path": "b.jsonl", "dropped_path": "b.jsonl",
                }),
            ),
            "params/dropped_path",
            "write to another file",
        ),
        (
            Step::tool("a", "file_search", json!({"pattern": "x", "path": ".", "recursive": "yes"})),
            "params/recursive",
            "",
        ),
    ] {
        let found = problems(step);
        let fits = |problem: &&_| {
            let problem: &llmspell_workflows_basic::Problem = problem;
            problem.place.field == place && problem.help.as_deref().unwrap_or_default().contains(help)
        };
        assert!(found.iter().any(|problem| fits(&problem)), "{place}: {found:?}");
    }
    let dynamic = json!({"pattern": "{{ pattern }}", "path": "{{ where }}", "recursive": "{{ deep }}"});
    assert_eq!(problems(Step::tool("a", "file_search", dynamic)), []);
}

#[tokio::test]
async fn a_failed_step_keeps_the_class_code_and_help_of_the_tool_error() {
    let finished =
        run(Step::tool("read", "file_operations", json!({"operation": "read", "path": "/etc/passwd"}))).await;
    let error = error(&finished);
    assert_eq!((error.class, &*error.code), (ErrorClass::Configuration, "path_outside_roots"));
    assert!(error.message.contains("read_roots"), "{error}");
    assert!(!error.retryable);
}

#[tokio::test]
async fn a_tool_stops_when_its_step_times_out() {
    // The query never ends, but it watches the cancellation token passed by the step.
    let params = json!({"operation": "query", "input": null, "query": "last(repeat(1))"});
    let step = Step::tool("query", "json_processor", params).with_timeout(Duration::from_millis(50));
    let finished = run(step).await;
    assert_eq!(error(&finished).class, ErrorClass::Timeout, "{:?}", finished.error);
    assert!(!error(&finished).message.contains("still running"), "{:?}", finished.error);
}

#[tokio::test]
async fn validate_steps_check_json_schemas_and_rule_engine_evaluates_expressions() {
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let validate = Validate { data: json!({"n": "one"}), schema: Some(schema), ..Validate::default() };
    let finished = run(Step::new("check", StepKind::Validate(validate))).await;
    assert_eq!(error(&finished).details.as_ref().unwrap()["violations"][0]["path"], "/n");

    let rules = json!([{"rule": "expression", "expression": "age >= 18 && item.name.length > 0"}]);
    let params = json!({"input": [{"age": 20, "name": "Ada"}, {"age": 3, "name": "Bo"}], "rules": rules});
    let finished = run(Step::tool("rules", "rule_engine", params)).await;
    assert_eq!(finished.output["valid"], json!(false), "{:?}", finished.error);
}

#[tokio::test]
async fn tools_use_the_working_directory_of_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    let read = Step::tool("read", "file_operations", json!({"operation": "read", "path": "there.txt"}));
    let write = Step::tool("write", "file_writer", json!({"path": "there.txt", "input": "x"}));
    let definition = Definition::sequence("test", [write, read]);
    let finished = engine(policy(&folder)).run(definition, WorkflowInput::default()).await.unwrap();
    assert_eq!(finished.output["content"], "x");
    assert!(finished.steps.iter().all(|step| step.status == StepStatus::Completed));
}
