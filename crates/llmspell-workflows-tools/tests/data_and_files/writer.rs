//! `file_writer` writes files in each format and replaces them atomically.

use crate::directory::TestDirectory;
use serde_json::json;

const TOOL: &str = "file_writer";

#[tokio::test]
async fn each_format_writes_the_documented_content() {
    let directory = TestDirectory::new(|_| ());
    let table = [
        (json!({"path": "a", "format": "jsonl", "input": [{"a": 1}, "b\n"]}), "{\"a\":1}\n\"b\\n\"\n", 2),
        (json!({"path": "a.jsonl", "input": {"a": 1}}), "{\"a\":1}\n", 1),
        (json!({"path": "a.ndjson", "input": []}), "", 0),
        (json!({"path": "a.json", "input": {"a": [1]}}), "{\n  \"a\": [\n    1\n  ]\n}\n", 1),
        (
            json!({"path": "a.csv", "input": [{"a": "x,\"y", "b": null}, {"a": 1.5, "c": {"d": [1]}}]}),
            "a,b,c\n\"x,\"\"y\",,\n1.5,,\"{\"\"d\"\":[1]}\"\n",
            2,
        ),
        (json!({"path": "a.csv", "input": [["x", 1], [true]]}), "x,1\ntrue\n", 2),
        (json!({"path": "a.csv", "input": {"a": 1}}), "a\n1\n", 1),
        (json!({"path": "a.TXT", "input": "é\n"}), "é\n", 1),
        (json!({"path": "a", "format": "text", "input": 7}), "7", 1),
    ];
    for (parameters, expected, items) in table {
        let result = directory.call(TOOL, parameters.clone()).await.unwrap();
        let path = parameters["path"].as_str().unwrap();
        assert_eq!(directory.text(path), expected, "{parameters}");
        assert_eq!((&result["bytes"], &result["items"]), (&json!(expected.len()), &json!(items)), "{parameters}");
    }
}

#[tokio::test]
async fn parent_directories_are_created_and_existing_files_are_replaced() {
    let directory = TestDirectory::new(|_| ());
    let write = |input: &str| json!({"path": "x/y/a.txt", "input": input});
    assert_eq!(
        directory.call(TOOL, write("1")).await.unwrap(),
        json!({"path": "x/y/a.txt", "format": "text", "bytes": 1, "items": 1, "created": true})
    );
    assert_eq!(directory.call(TOOL, write("2")).await.unwrap()["created"], false);
    assert_eq!((directory.text("x/y/a.txt"), directory.names("x/y")), ("2".to_owned(), vec!["a.txt".to_owned()]));
}

#[tokio::test]
async fn a_rejected_write_leaves_no_file_behind() {
    let directory = TestDirectory::new(|policy| policy.file_bytes_max = 8);
    directory.file("d/x", "");
    let table = [
        (json!({"path": "a", "input": 1}), "missing_parameter"),
        (json!({"path": "a.txt", "input": {}}), "invalid_input"),
        (json!({"path": "a.csv", "input": "x"}), "invalid_input"),
        (json!({"path": "a.csv", "input": [{"a": 1}, [1]]}), "invalid_input"),
        (json!({"path": "a.csv", "input": [[1], 2]}), "invalid_input"),
        (json!({"path": "new/a.txt", "input": "123456789"}), "file_too_large"),
        (json!({"path": "../a.txt", "input": ""}), "path_outside_roots"),
        (json!({"path": "d", "format": "text", "input": ""}), "not_a_file"),
        (json!({"path": ".", "format": "text", "input": ""}), "not_a_file"),
        (json!({"path": "d/x/a.txt", "input": ""}), "file_exists"),
    ];
    for (parameters, code) in table {
        assert_eq!(directory.error_code(TOOL, parameters.clone()).await, code, "{parameters}");
    }
    assert_eq!((directory.names("."), directory.names("d")), (vec!["d".to_owned()], vec!["x".to_owned()]));
}
