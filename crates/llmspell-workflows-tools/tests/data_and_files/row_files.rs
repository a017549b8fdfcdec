//! Tools exchange rows through files. They read and write rows one at a time, and results contain
//! only paths and counts.

use serde_json::{Value, json};

use crate::directory::TestDirectory;

const ORDERS: &str = "id,customer,total\n3,Ada,10\n1,\"Lovelace, Ada\",2.5\n2,Bo\n4,\"Cy,7\n1,Dee,x\n3,Ada,10\n";

/// Creates a directory with row files.
pub(crate) fn directory() -> TestDirectory {
    let directory = TestDirectory::new(|_| ());
    directory.file("orders.csv", ORDERS);
    directory.file("orders.json", "[{\"b\":\n7}]");
    directory.file("rows.jsonl", "{\"b\": 2, \"a\": \"x\"}\n{\"a\": \"y\", \"b\": null}\n\n{\"b\": 1, \"a\": \"x\"}\n");
    directory
}

/// Makes each call twice, and checks both results and the resulting files.
async fn check(tool: &str, parameters: Value, expected: Value, files: &[(&str, &str)]) {
    let directory = directory();
    for _ in 0..2 {
        let result =
            directory.call(tool, parameters.clone()).await.unwrap_or_else(|error| panic!("{parameters}: {error}"));
        assert_eq!(result, expected, "{parameters}");
        for (path, content) in files {
            assert_eq!(directory.text(path), *content, "{parameters}: {path}");
        }
    }
}

#[tokio::test]
async fn csv_analyzer_writes_rows_and_bad_rows() {
    let options = json!({
        "path": "orders.csv", "output_path": "out/good.jsonl", "bad_rows_path": "out/bad.jsonl", "line_column": "line",
        "text_column": "text",
    });
    let good = r#"{"id":3,"customer":"Ada","total":10,"line":2,"text":"3,Ada,10"}
{"id":1,"customer":"Lovelace, Ada","total":2.5,"line":3,"text":"1,\"Lovelace, Ada\",2.5"}
{"id":1,"customer":"Dee","total":"x","line":6,"text":"1,Dee,x"}
{"id":3,"customer":"Ada","total":10,"line":7,"text":"3,Ada,10"}
"#;
    let bad = r#"{"cells":["2","Bo"],"line":4,"problem":"expected 3 fields, got 2","text":"2,Bo"}
{"cells":[],"line":5,"problem":"unclosed quote","text":"4,\"Cy,7"}
"#;
    let expected = json!({
        "format": "jsonl", "rows": 4, "path": "out/good.jsonl", "bad_rows_path": "out/bad.jsonl", "bad_rows": 2,
    });
    let files = [("out/good.jsonl", good), ("out/bad.jsonl", bad)];
    check("csv_analyzer", json!({"operation": "convert", "options": options}), expected, &files).await;
    for (format, content) in [
        ("json", "[\n{\"a\":1,\"b\":\"x\"},\n{\"a\":2,\"b\":null}\n]\n"),
        ("csv", "a,b\n1,x\n2,\n"),
        ("tsv", "a\tb\n1\tx\n2\t\n"),
    ] {
        let path = format!("out.{format}");
        let parameters = json!({"operation": "convert", "input": "a,b\n1,x\n2,\n", "options": {"output_path": path}});
        let expected = json!({"format": format, "rows": 2, "path": path});
        check("csv_analyzer", parameters, expected, &[(&path, content)]).await;
    }
}

#[tokio::test]
async fn json_processor_applies_the_query_to_each_row() {
    for operation in ["query", "stream"] {
        check(
            "json_processor",
            json!({
                "operation": operation, "input_path": "rows.jsonl", "output_path": "out.ndjson",
                "query": "select(.b) | .a, .b + 1",
            }),
            json!({"path": "out.ndjson", "rows": 4, "items": 3}),
            &[("out.ndjson", "\"x\"\n3\n\"x\"\n2\n")],
        )
        .await;
    }
    let several = json!({
        "operation": "query", "input_path": ["rows.jsonl", "orders.json", "rows.jsonl"], "output_path": "out.jsonl",
        "query": ".b",
    });
    let all = "2\nnull\n1\n7\n2\nnull\n1\n";
    check("json_processor", several, json!({"path": "out.jsonl", "rows": 7, "items": 7}), &[("out.jsonl", all)]).await;
    let to_result = json!({"operation": "query", "input_path": "rows.jsonl", "query": ".a"});
    check("json_processor", to_result, json!({"results": ["x", "y", "x"], "items": 3}), &[]).await;
    let to_file = json!({"operation": "query", "input": 3, "output_path": "out.jsonl", "query": "range(.) | {n: .}"});
    let content = "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n";
    check("json_processor", to_file, json!({"path": "out.jsonl", "rows": 3, "items": 1}), &[("out.jsonl", content)])
        .await;
}

#[tokio::test]
async fn data_validator_separates_valid_and_invalid_rows() {
    let valid = "{\"b\": 2, \"a\": \"x\"}\n{\"b\": 1, \"a\": \"x\"}\n";
    let files = [("valid.jsonl", valid), ("invalid.jsonl", "")];
    for (check_against, error, checked) in [
        (
            json!({"rules": {"b": {"type": "integer", "required": true}}}),
            json!({"path": "b", "rule": "required", "message": "required field is missing"}),
            5,
        ),
        (
            json!({"schema": {"properties": {"b": {"type": "integer"}}}}),
            json!({
                "path": "/b", "rule": "type", "message": "the value is not of type \"integer\"", "value": null,
                "schema_path": "/properties/b/type",
            }),
            3,
        ),
    ] {
        let mut parameters = json!({
            "input_path": "rows.jsonl", "valid_path": "valid.jsonl", "invalid_path": "invalid.jsonl",
            "on_invalid": "report",
        });
        parameters.as_object_mut().unwrap().extend(check_against.as_object().unwrap().clone());
        let invalid = json!({"line": 2, "row": {"a": "y", "b": null}, "errors": [error]});
        let mut listed = error.clone();
        listed["line"] = json!(2);
        let expected = json!({
            "valid": false, "errors": [listed], "checked": checked, "truncated": false, "rows": 3, "valid_rows": 2,
            "invalid_rows": 1, "valid_path": "valid.jsonl", "invalid_path": "invalid.jsonl",
        });
        let invalid = format!("{invalid}\n");
        check("data_validator", parameters.clone(), expected.clone(), &[files[0], ("invalid.jsonl", &invalid)]).await;

        parameters["on_invalid"] = json!("fail");
        let directory = directory();
        let error = directory.call("data_validator", parameters).await.unwrap_err();
        assert_eq!((error.code, error.details), ("invalid_data", Some(expected)));
        assert!(error.message.starts_with("the data is invalid: line 2: `"), "{}", error.message);
        assert_eq!((directory.text("valid.jsonl"), directory.text("invalid.jsonl")), (valid.to_owned(), invalid));
    }
}

#[tokio::test]
async fn data_transformer_transforms_the_rows_of_a_file() {
    let x2 = "{\"b\": 2, \"a\": \"x\"}\n";
    for (operation, content, rows) in [
        (
            json!({"operation": "map", "mapping": {"a": "name"}}),
            "{\"name\":\"x\"}\n{\"name\":\"y\"}\n{\"name\":\"x\"}\n",
            3,
        ),
        (json!({"operation": "filter", "conditions": [{"field": "b", "op": "gt", "value": 1}]}), x2, 1),
        (json!({"operation": "select", "fields": ["b"]}), "{\"b\":2}\n{\"b\":null}\n{\"b\":1}\n", 3),
        (
            json!({"operation": "rename", "mapping": {"a": "c"}}),
            "{\"b\":2,\"c\":\"x\"}\n{\"b\":null,\"c\":\"y\"}\n{\"b\":1,\"c\":\"x\"}\n",
            3,
        ),
        (
            json!({"operation": "flatten"}),
            "{\"a\":\"x\",\"b\":2}\n{\"a\":\"y\",\"b\":null}\n{\"a\":\"x\",\"b\":1}\n",
            3,
        ),
        (
            json!({"operation": "sort", "by": ["a", "b"]}),
            "{\"b\": 1, \"a\": \"x\"}\n{\"b\": 2, \"a\": \"x\"}\n{\"a\": \"y\", \"b\": null}\n",
            3,
        ),
        (
            json!({"operation": "group_by", "fields": ["a"], "aggregates": {"n": {"op": "count"}, "b": {"op": "sum", "field": "b"}}}),
            "{\"a\":\"x\",\"b\":3,\"n\":2}\n{\"a\":\"y\",\"b\":0,\"n\":1}\n",
            2,
        ),
        (
            json!({"operation": "join", "with_path": "rows.jsonl", "on": {"left": "b", "right": "b"}, "prefix": "r_"}),
            "{\"a\":\"x\",\"b\":2,\"r_a\":\"x\",\"r_b\":2}\n{\"a\":\"x\",\"b\":1,\"r_a\":\"x\",\"r_b\":1}\n",
            2,
        ),
    ] {
        let mut parameters = operation;
        parameters["input_path"] = json!("rows.jsonl");
        let in_memory: Vec<Value> = content.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        check(
            "data_transformer",
            parameters.clone(),
            json!({"result": in_memory, "items_in": 3, "items_out": rows}),
            &[],
        )
        .await;
        parameters["output_path"] = json!("out.jsonl");
        let expected = json!({"path": "out.jsonl", "rows": rows, "items_in": 3, "items_out": rows});
        check("data_transformer", parameters, expected, &[("out.jsonl", content)]).await;
    }
    check(
        "data_transformer",
        json!({
            "operation": "unique", "fields": ["a"], "input_path": "rows.jsonl", "output_path": "first.jsonl",
            "dropped_path": "again.jsonl",
        }),
        json!({
            "path": "first.jsonl", "rows": 2, "items_in": 3, "items_out": 2, "dropped_path": "again.jsonl", "dropped": 1,
        }),
        &[
            ("first.jsonl", "{\"b\": 2, \"a\": \"x\"}\n{\"a\": \"y\", \"b\": null}\n"),
            ("again.jsonl", "{\"b\": 1, \"a\": \"x\"}\n"),
        ],
    )
    .await;
}

#[tokio::test]
async fn file_writer_converts_rows() {
    for (path, format, more, content) in [
        ("out.csv", "csv", json!({}), "b,a\n2,x\n,y\n1,x\n"),
        ("out.csv", "csv", json!({"columns": ["a", "c", "b"]}), "a,c,b\nx,,2\ny,,\nx,,1\n"),
        (
            "out.json",
            "json",
            json!({}),
            "[\n{\"b\": 2, \"a\": \"x\"},\n{\"a\": \"y\", \"b\": null},\n{\"b\": 1, \"a\": \"x\"}\n]\n",
        ),
        (
            "out.ndjson",
            "jsonl",
            json!({}),
            "{\"b\": 2, \"a\": \"x\"}\n{\"a\": \"y\", \"b\": null}\n{\"b\": 1, \"a\": \"x\"}\n",
        ),
    ] {
        let mut parameters = json!({"path": path, "input_path": "rows.jsonl"});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let directory = directory();
        for created in [true, false] {
            let result = directory.call("file_writer", parameters.clone()).await.unwrap();
            let expected = json!({
                "path": path, "format": format, "bytes": content.len(), "items": 3, "rows": 3, "created": created,
            });
            assert_eq!((result, directory.text(path)), (expected, content.to_owned()), "{parameters}");
        }
    }
    let directory = directory();
    directory.file("lines.json", "[\"1,\\\"x\",\n\"é\", 7]");
    directory.call("file_writer", json!({"path": "lines.txt", "input_path": "lines.json"})).await.unwrap();
    assert_eq!(directory.text("lines.txt"), "1,\"x\né\n7\n");
    directory.file("arrays.jsonl", "[1, null]\n[\"x\"]\n");
    directory.call("file_writer", json!({"path": "arrays.csv", "input_path": "arrays.jsonl"})).await.unwrap();
    assert_eq!(directory.text("arrays.csv"), "1,\nx\n");
    let chosen = json!({"path": "a.csv", "input": [{"a": 1, "b": 2}], "columns": ["b"]});
    directory.call("file_writer", chosen).await.unwrap();
    assert_eq!(directory.text("a.csv"), "b\n2\n");
}

#[tokio::test]
async fn null_is_a_valid_input() {
    let directory = directory();
    for (tool, parameters) in [
        ("json_processor", json!({"operation": "query", "input": null, "query": "."})),
        ("json_processor", json!({"operation": "stream", "input": null})),
        ("json_processor", json!({"operation": "validate", "input": null, "schema": true})),
        ("data_validator", json!({"input": null, "schema": true})),
        ("file_writer", json!({"path": "null.json", "input": null})),
    ] {
        directory.call(tool, parameters.clone()).await.unwrap_or_else(|error| panic!("{tool} {parameters}: {error}"));
    }
    assert_eq!(directory.text("null.json"), "null\n");
}
