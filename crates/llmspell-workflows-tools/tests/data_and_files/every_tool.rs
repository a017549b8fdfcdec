//! Every data and file tool has valid, closed schemas, reports helpful errors, and returns results that match its
//! schema.

use crate::directory::TestDirectory;
use llmspell_workflows_tools::{Category, ToolSpec};
use serde_json::{Value, json};

/// Returns each tool with calls that succeed, a misspelled parameter, and the correct name of that parameter.
fn table() -> Vec<(&'static str, Vec<Value>, &'static str, &'static str)> {
    vec![
        (
            "json_processor",
            vec![
                json!({"operation": "query", "input": "[1, 2]", "query": ".[]"}),
                json!({"operation": "validate", "input": 7, "schema": {"type": "string"}}),
                json!({"operation": "stream", "input": "1\n2"}),
            ],
            "qeury",
            "query",
        ),
        (
            "csv_analyzer",
            vec![
                json!({"operation": "analyze", "input": "a,b\n1,x\n"}),
                json!({"operation": "analyze", "options": {"path": "a.csv"}}),
                json!({"operation": "convert", "input": "a\n1\n", "options": {"format": "json"}}),
                json!({"operation": "convert", "input": "a\n1\n", "options": {"format": "tsv"}}),
                json!({"operation": "filter", "input": "a\n1\n", "options": {"conditions": [{"column": "a", "op": "eq", "value": 1}]}}),
                json!({"operation": "sample", "input": "a\n1\n", "options": {"n": 1, "seed": 7}}),
            ],
            "optoins",
            "options",
        ),
        (
            "data_transformer",
            vec![
                json!({"operation": "map", "input": {"a": 1}, "mapping": {"a": "b"}}),
                json!({"operation": "rename", "input": [{"a": 1}], "mapping": {"a": "b"}}),
                json!({"operation": "group_by", "input": [{"a": 1}], "fields": ["a"], "aggregates": {"n": {"op": "count"}}}),
            ],
            "maping",
            "mapping",
        ),
        (
            "data_validator",
            vec![
                json!({"input": {"contact_email": "x"}, "on_invalid": "report", "rules": {"contact_email": {"type": "email"}}}),
                json!({"input": [], "on_invalid": "report", "schema": {"type": "object"}}),
            ],
            "rulse",
            "rules",
        ),
        (
            "rule_engine",
            vec![
                json!({"input": {"users": [{"id": 1}, {"id": 1}]}, "rules": ["uniqueness", "referential_integrity", "value_ranges"]}),
                json!({"input": [{"a": 1}], "rules": [{"rule": "value_ranges", "field": "a", "min": 2}]}),
            ],
            "inputs",
            "input",
        ),
        (
            "hash_calculator",
            vec![
                json!({"operation": "hash", "input": "x"}),
                json!({"operation": "hash", "input_type": "file", "file": "a.csv", "algorithm": "md5"}),
                json!({"operation": "verify", "input": "x", "expected_hash": "00".repeat(32)}),
            ],
            "algoritm",
            "algorithm",
        ),
        (
            "file_operations",
            vec![json!({"operation": "read", "path": "a.csv"}), json!({"operation": "list_dir", "path": "."})],
            "target_pth",
            "target_path",
        ),
        ("file_writer", vec![json!({"path": "out.jsonl", "format": "jsonl", "input": [1]})], "fromat", "format"),
        ("file_search", vec![json!({"pattern": "x", "path": ".", "context_lines": 1})], "use_regexp", "use_regex"),
    ]
}

fn directory() -> TestDirectory {
    let directory = TestDirectory::new(|_| ());
    directory.file("a.csv", "a,b\n1,x\n");
    directory
}

#[tokio::test]
async fn results_match_their_schemas() {
    let directory = directory();
    for (tool, calls, ..) in table() {
        for parameters in calls {
            // `TestDirectory::call` checks the result.
            directory
                .call(tool, parameters.clone())
                .await
                .unwrap_or_else(|error| panic!("{tool} {parameters}: {error}"));
        }
    }
}

#[tokio::test]
async fn error_for_an_unknown_parameter_suggests_the_nearest_name() {
    let directory = directory();
    for (tool, calls, wrong, right) in table() {
        let mut parameters = calls[0].clone();
        parameters[wrong] = json!(1);
        let error = directory.call(tool, parameters).await.unwrap_err();
        assert_eq!(error.code, "invalid_parameters", "{tool}");
        assert!(
            error.message.contains(&format!("unknown property `/{wrong}` (did you mean `{right}`?)")),
            "{tool}: {error}"
        );
    }
}

#[tokio::test]
async fn error_for_an_unknown_operation_suggests_the_nearest_name() {
    let directory = directory();
    for (tool, wrong, right) in [
        ("json_processor", "qury", "query"),
        ("csv_analyzer", "analyse", "analyze"),
        ("data_transformer", "groupby", "group_by"),
        ("hash_calculator", "verfy", "verify"),
        ("file_operations", "list_dirs", "list_dir"),
    ] {
        let error = directory.call(tool, json!({"operation": wrong, "input": ""})).await.unwrap_err();
        assert!(error.message.contains(&format!("did you mean `{right}`?")), "{tool}: {error}");
    }
}

#[tokio::test]
async fn the_parameters_of_an_operation_are_checked_before_the_call() {
    let directory = directory();
    for (tool, parameters, missing) in [
        ("json_processor", json!({"operation": "query", "input": 1}), "`/query` is missing"),
        ("json_processor", json!({"operation": "validate", "input": 1}), "`/schema` is missing"),
        ("csv_analyzer", json!({"operation": "analyze"}), "`/options` is missing"),
        ("csv_analyzer", json!({"operation": "convert", "input": "", "options": {}}), "`/options/format` is missing"),
        ("data_transformer", json!({"operation": "join", "input": [], "with": []}), "`/on` is missing"),
        ("hash_calculator", json!({"operation": "hash"}), "`/input` is missing"),
        ("hash_calculator", json!({"operation": "hash", "input": "", "file": "a"}), "`/file` is not allowed here"),
        (
            "file_operations",
            json!({"operation": "read", "path": "a", "recursive": true}),
            "`/recursive` is not allowed here",
        ),
        (
            "data_transformer",
            json!({"operation": "map", "input": {}, "mapping": {}, "on": {}}),
            "`/on` is not allowed here",
        ),
        ("json_processor", json!({"operation": "stream", "input": [], "schema": {}}), "`/schema` is not allowed here"),
        ("file_operations", json!({"operation": "copy", "path": "a"}), "`/target_path` is missing"),
        ("file_writer", json!({"path": "a"}), "`/input` is missing"),
        ("rule_engine", json!({"input": [], "rules": ["uniquness"]}), "did you mean `uniqueness`?"),
        ("rule_engine", json!({"input": [], "rules": [{"rule": "uniqueness", "min": 1}]}), "min"),
    ] {
        let violations = directory.tools.check_parameters(tool, &parameters, &|_| false).unwrap();
        let all: Vec<String> = violations
            .iter()
            .map(|one| format!("{} {}", one.message, one.help.as_deref().unwrap_or_default()))
            .collect();
        assert!(all.iter().any(|one| one.contains(missing)), "{tool} {parameters}: {all:?}");
    }
}

#[test]
fn every_schema_is_draft_7_and_closed() {
    let directory = directory();
    let names: Vec<&str> = table().iter().map(|row| row.0).collect();
    let specs: Vec<&ToolSpec> = directory.tools.specs().filter(|spec| names.contains(&spec.name)).collect();
    assert_eq!(specs.len(), names.len());
    for spec in specs {
        for schema in [&spec.parameters, &spec.result] {
            jsonschema::draft7::meta::validate(schema).unwrap_or_else(|error| panic!("{}: {error}", spec.name));
            assert_eq!(open_objects(schema, "#"), [] as [String; 0], "{}", spec.name);
        }
        assert!(matches!(spec.category, Category::Data | Category::Filesystem), "{}", spec.name);
        assert!(spec.description.ends_with('.'), "{}", spec.name);
    }
}

/// Returns the pointers of object schemas that have `properties` but accept additional properties.
fn open_objects(schema: &Value, pointer: &str) -> Vec<String> {
    match schema {
        Value::Object(object) => {
            let is_object = object.get("type") == Some(&json!("object")) && object.contains_key("properties");
            let own =
                (is_object && object.get("additionalProperties") != Some(&json!(false))).then(|| pointer.to_owned());
            let below = object.iter().flat_map(|(name, value)| open_objects(value, &format!("{pointer}/{name}")));
            own.into_iter().chain(below).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(at, item)| open_objects(item, &format!("{pointer}/{at}"))).collect()
        }
        _ => Vec::new(),
    }
}
