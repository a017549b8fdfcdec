//! Failed calls with row files leave all files unchanged, and contradictory parameters are refused.

use llmspell_workflows_tools::Permission;
use serde_json::{Value, json};

use crate::directory::TestDirectory;
use crate::row_files::directory;

#[tokio::test]
async fn a_failed_call_names_the_row_and_leaves_all_files_unchanged() {
    let directory = TestDirectory::new(|policy| policy.rows_held_bytes_max = 50);
    directory.file("rows.jsonl", "{\"a\": 1}\n{\"a\": \"x\"}\n7\n");
    directory.file("many.jsonl", "{\"a\": \"xxxxxxxxxx\"}\n{\"a\": \"yyyyyyyyyy\"}\n{\"a\": \"zzzzzzzzzz\"}\n");
    directory.file("out.jsonl", "old");
    let rows = |mut parameters: Value| {
        if parameters.get("input_path").is_none() {
            parameters["input_path"] = json!("rows.jsonl");
        }
        parameters["output_path"] = json!("out.jsonl");
        parameters
    };
    let many = |mut parameters: Value| {
        parameters["input_path"] = json!("many.jsonl");
        rows(parameters)
    };
    let held = |operation: &str| {
        format!("`{operation}` needs to hold more than 50 bytes of rows in memory, the limit `rows_held_bytes_max`")
    };
    for (tool, parameters, code, message) in [
        (
            "json_processor",
            rows(json!({"operation": "query", "query": ".a + 1"})),
            "query_error",
            "line 2 of `rows.jsonl`: the query failed".to_owned(),
        ),
        (
            "json_processor",
            rows(json!({"operation": "query", "query": "if .a == 1 then 1 else [range(1e9)] end"})),
            "query_limit",
            "line 2 of `rows.jsonl`: the query ".to_owned(),
        ),
        (
            "data_transformer",
            rows(json!({"operation": "map", "mapping": {"a": {"type": "integer"}}})),
            "conversion_failed",
            "line 2 of `rows.jsonl`: cannot convert `a`".to_owned(),
        ),
        (
            "data_transformer",
            rows(json!({"operation": "flatten"})),
            "invalid_input",
            "line 3 of `rows.jsonl` must be an object, got an integer".to_owned(),
        ),
        (
            "data_transformer",
            many(json!({"operation": "sort", "by": ["a"]})),
            "rows_too_large",
            format!("line 2 of `many.jsonl`: {}", held("sort")),
        ),
        (
            "data_transformer",
            many(json!({"operation": "unique"})),
            "rows_too_large",
            format!("line 3 of `many.jsonl`: {}", held("unique")),
        ),
        (
            "data_transformer",
            many(json!({"operation": "group_by", "fields": ["a"]})),
            "rows_too_large",
            format!("line 2 of `many.jsonl`: {}", held("group_by")),
        ),
        (
            "data_transformer",
            many(json!({"operation": "join", "with_path": "many.jsonl", "on": {"left": "a", "right": "a"}})),
            "rows_too_large",
            held("join"),
        ),
        (
            "csv_analyzer",
            json!({"operation": "convert", "options": {"path": "rows.jsonl", "output_path": "out.jsonl", "format": "jsonl"}}),
            "invalid_csv",
            "line 2:".to_owned(),
        ),
        (
            "file_writer",
            json!({"path": "out.jsonl", "format": "csv", "input_path": "rows.jsonl"}),
            "invalid_input",
            "line 3 of `rows.jsonl` must be an object".to_owned(),
        ),
        (
            "file_writer",
            json!({"path": "out.jsonl", "format": "text", "input_path": "rows.jsonl"}),
            "invalid_input",
            "line 1 of `rows.jsonl`: a row must be a string".to_owned(),
        ),
    ] {
        // A row such as `1,2` is neither valid JSON nor a valid CSV row.
        if tool == "csv_analyzer" {
            directory.file("rows.jsonl", "{\"a\": 1}\n1,2\n");
        }
        let error = directory.call(tool, parameters.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{parameters}: {error}");
        assert!(error.message.starts_with(&message), "{parameters}: {error}");
        assert_eq!((directory.text("out.jsonl"), directory.names(".").len()), ("old".to_owned(), 3), "{parameters}");
        directory.file("rows.jsonl", "{\"a\": 1}\n{\"a\": \"x\"}\n7\n");
    }
}

#[tokio::test]
async fn contradictory_parameters_are_refused_before_a_run() {
    let directory = directory();
    for (tool, parameters, expected) in [
        (
            "json_processor",
            json!({"operation": "query", "query": ".", "input": 1, "input_path": "a.jsonl"}),
            "`/input` is not allowed here set either `input` or `input_path`",
        ),
        ("json_processor", json!({"operation": "stream"}), "`/input` is missing"),
        (
            "json_processor",
            json!({"operation": "validate", "input_path": "a", "schema": {}}),
            "`/input_path` is not allowed here",
        ),
        (
            "data_validator",
            json!({"input": [], "rules": {"a": "string"}, "valid_path": "a.jsonl"}),
            "`/valid_path` is not allowed here `valid_path` requires `input_path`",
        ),
        (
            "data_transformer",
            json!({"operation": "sort", "by": ["a"], "input": [], "dropped_path": "a"}),
            "`/dropped_path` is not allowed here",
        ),
        (
            "data_transformer",
            json!({"operation": "join", "input": [], "with": [], "with_path": "a", "on": {"left": "a", "right": "a"}}),
            "`/with` is not allowed here set either `with` or `with_path`",
        ),
        (
            "data_transformer",
            json!({"operation": "join", "input": [], "on": {"left": "a", "right": "a"}}),
            "`/with` is missing",
        ),
        ("file_writer", json!({"path": "a", "input": 1, "input_path": "a"}), "set either `input` or `input_path`"),
        (
            "csv_analyzer",
            json!({"operation": "convert", "input": "", "options": {"format": "json", "bad_rows": "fail", "bad_rows_path": "a"}}),
            "`/options/bad_rows_path` is not allowed here",
        ),
    ] {
        let violations = directory.tools.check_parameters(tool, &parameters, &|_| false).unwrap();
        let all: Vec<_> = violations
            .iter()
            .map(|one| format!("{} {}", one.message, one.help.as_deref().unwrap_or_default()))
            .collect();
        assert!(all.iter().any(|one| one.contains(expected)), "{tool} {parameters}: {all:?}");
    }
    for (tool, parameters, code) in [
        (
            "json_processor",
            json!({"operation": "query", "query": ".", "input_path": "rows.jsonl", "output_path": "rows.jsonl"}),
            "same_file",
        ),
        (
            "json_processor",
            json!({"operation": "query", "query": ".", "input_path": "rows.jsonl", "output_path": "a.csv"}),
            "invalid_path",
        ),
        (
            "csv_analyzer",
            json!({"operation": "convert", "options": {"path": "orders.csv", "format": "csv", "output_path": "orders.csv"}}),
            "same_file",
        ),
        (
            "csv_analyzer",
            json!({"operation": "analyze", "options": {"path": "orders.csv", "output_path": "a.jsonl"}}),
            "unused_option",
        ),
        ("file_writer", json!({"path": "rows.jsonl", "input_path": "rows.jsonl"}), "same_file"),
        ("file_writer", json!({"path": "a.json", "input": [], "columns": ["a"]}), "unused_parameter"),
        (
            "data_validator",
            json!({"rules": {"a": "string"}, "input_path": "rows.jsonl", "valid_path": "a.jsonl", "invalid_path": "./a.jsonl"}),
            "same_file",
        ),
    ] {
        assert_eq!(directory.error_code(tool, parameters.clone()).await, code, "{tool} {parameters}");
    }
    assert_eq!(directory.names("."), ["orders.csv", "orders.json", "rows.jsonl"]);
}

#[test]
fn calls_without_files_need_no_permissions() {
    let directory = directory();
    let both = [Permission::FilesRead, Permission::FilesWrite];
    for (tool, parameters, expected) in [
        ("json_processor", json!({"operation": "query", "input": 1}), &[][..]),
        ("json_processor", json!({"operation": "query", "input": 1, "output_path": "a"}), &both),
        ("data_transformer", json!({"input": 1}), &[]),
        ("data_validator", json!({"input_path": "a"}), &both),
        ("csv_analyzer", json!({"operation": "analyze", "input": ""}), &[]),
        ("csv_analyzer", json!({"operation": "analyze", "options": {"path": "a"}}), &both[..1]),
        ("csv_analyzer", json!({"operation": "convert", "options": {"path": "a", "output_path": "b"}}), &both),
        ("file_writer", json!({"path": "a", "input": 1}), &both),
    ] {
        assert_eq!(directory.tools.get(tool).unwrap().permissions(&parameters), expected, "{tool} {parameters}");
    }
}
