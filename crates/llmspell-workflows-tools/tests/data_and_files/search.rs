//! `file_search` returns matches in a fixed order and counts skipped files.

use std::ffi::OsStr;
use std::os::unix::{ffi::OsStrExt, fs::symlink};

use crate::directory::TestDirectory;
use serde_json::{Value, json};

const TOOL: &str = "file_search";

fn directory() -> TestDirectory {
    let directory = TestDirectory::new(|_| ());
    directory.file("b.rs", "fn hit() {}\n// Hit\nhit\n");
    directory.file("a.txt", "one\ntwo hit\nthree\n");
    directory.file("sub/c.RS", "hit");
    directory.file("sub/deep/d", "a.b hit\naxb\n");
    directory.file("target/e.rs", "hit");
    directory.file("binary", b"hit\0");
    directory.file("latin1.txt", b"hit \xe9");
    symlink("a.txt", directory.root().join("link.txt")).unwrap();
    symlink("..", directory.root().join("sub/loop")).unwrap();
    directory
}

/// Returns `path:line:column` of each match.
fn positions(result: &Value) -> Vec<String> {
    let matches = result["matches"].as_array().unwrap().iter();
    matches.map(|one| format!("{}:{}:{}", one["path"].as_str().unwrap(), one["line"], one["column"])).collect()
}

#[tokio::test]
async fn non_utf8_names_are_returned_as_base64() {
    let directory = TestDirectory::new(|_| ());
    let folder = directory.root().join(OsStr::from_bytes(b"d\xff"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("f"), "hit").unwrap();
    symlink(OsStr::from_bytes(b"d\xff/f"), directory.root().join("link")).unwrap();
    let found = directory.call(TOOL, json!({"pattern": "hit", "path": "."})).await.unwrap();
    let path = |one: &Value| (one["path"].clone(), one["path_type"].clone());
    assert_eq!(path(&found["matches"][0]), (json!("ZP8vZg=="), json!("base64")));
    let list = json!({"operation": "list_dir", "path": ".", "recursive": true});
    let list = directory.call("file_operations", list).await.unwrap();
    let paths: Vec<_> = list["entries"].as_array().unwrap().iter().map(path).collect();
    let expected = [("ZP8=", "base64"), ("ZP8vZg==", "base64"), ("link", "text")];
    assert_eq!(paths, expected.map(|(path, form)| (json!(path), json!(form))));
    let link = directory.call("file_operations", json!({"operation": "metadata", "path": "link"})).await.unwrap();
    assert_eq!((&link["link_target"], &link["link_target_type"]), (&json!("ZP8vZg=="), &json!("base64")));
}

#[tokio::test]
async fn options_control_which_files_and_lines_match() {
    let directory = directory();
    let table = [
        (
            json!({}),
            vec![
                "a.txt:2:5",
                "b.rs:1:4",
                "b.rs:3:1",
                "latin1.txt:1:1",
                "sub/c.RS:1:1",
                "sub/deep/d:1:5",
                "target/e.rs:1:1",
            ],
        ),
        (
            json!({"case_sensitive": false, "include_extensions": ["rs"]}),
            vec!["b.rs:1:4", "b.rs:2:4", "b.rs:3:1", "sub/c.RS:1:1", "target/e.rs:1:1"],
        ),
        (
            json!({"include_extensions": [".rs"], "exclude_dirs": ["target"]}),
            vec!["b.rs:1:4", "b.rs:3:1", "sub/c.RS:1:1"],
        ),
        (json!({"exclude_extensions": ["rs", "txt"]}), vec!["sub/deep/d:1:5"]),
        (json!({"recursive": false}), vec!["a.txt:2:5", "b.rs:1:4", "b.rs:3:1", "latin1.txt:1:1"]),
        (
            json!({"max_depth": 1, "exclude_dirs": ["target"], "include_extensions": ["rs", "d"]}),
            vec!["b.rs:1:4", "b.rs:3:1", "sub/c.RS:1:1"],
        ),
        (json!({"path": "sub/deep/d"}), vec!["d:1:5"]),
        (json!({"path": "sub/deep", "pattern": "a.b"}), vec!["d:1:1"]),
        (json!({"path": "sub/deep", "pattern": "a.b", "use_regex": true}), vec!["d:1:1", "d:2:1"]),
        (json!({"path": "b.rs", "pattern": "^hit$", "use_regex": true}), vec!["b.rs:3:1"]),
    ];
    for (options, expected) in table {
        let mut parameters = json!({"pattern": "hit", "path": "."});
        for (name, value) in options.as_object().unwrap() {
            parameters[name] = value.clone();
        }
        let result = directory.call(TOOL, parameters.clone()).await.unwrap();
        assert_eq!(positions(&result), expected, "{parameters}");
        assert_eq!(result["total_matches"], expected.len(), "{parameters}");
    }
}

#[tokio::test]
async fn skipped_files_and_unlisted_matches_are_counted() {
    let directory = directory();
    let whole = directory.call(TOOL, json!({"pattern": "hit", "path": "."})).await.unwrap();
    let counts = |result: &Value| -> Vec<Value> {
        ["files_searched", "files_skipped", "total_matches", "truncated"].map(|name| result[name].clone()).to_vec()
    };
    assert_eq!(counts(&whole), [json!(6), json!(1), json!(7), json!(false)]);
    let small = directory.call(TOOL, json!({"pattern": "hit", "path": ".", "max_file_size": 6})).await.unwrap();
    assert_eq!(counts(&small), [json!(3), json!(4), json!(3), json!(false)]);
    let few = directory.call(TOOL, json!({"pattern": "hit", "path": "b.rs", "max_matches_per_file": 1})).await.unwrap();
    assert_eq!(
        (positions(&few), counts(&few)),
        (vec!["b.rs:1:4".to_owned()], vec![json!(1), json!(0), json!(2), json!(true)])
    );
    let shallow = directory.call(TOOL, json!({"pattern": "hit", "path": ".", "max_depth": 0})).await.unwrap();
    assert_eq!(shallow["truncated"], true);
}

#[tokio::test]
async fn matches_include_the_surrounding_lines() {
    let result = directory().call(TOOL, json!({"pattern": "two", "path": "a.txt", "context_lines": 9})).await.unwrap();
    let expected = json!([{
        "path": "a.txt", "path_type": "text", "line": 2, "column": 1, "text": "two hit", "before": ["one"],
        "after": ["three"], "text_type": "text",
    }]);
    assert_eq!(result["matches"], expected);
}

#[tokio::test]
async fn the_total_number_of_matches_is_limited() {
    let directory = TestDirectory::new(|_| ());
    for name in ["a", "b", "c"] {
        directory.file(name, "x\n".repeat(6000));
    }
    let parameters = json!({"pattern": "x", "path": ".", "max_matches_per_file": 1_000_000});
    let result = directory.call(TOOL, parameters).await.unwrap();
    assert_eq!(result["matches"].as_array().unwrap().len(), 10_000);
    assert_eq!((&result["total_matches"], &result["files_searched"]), (&json!(12_000), &json!(2)));
    assert_eq!(result["truncated"], true);
}

#[tokio::test]
async fn invalid_patterns_and_paths_are_rejected() {
    let directory = directory();
    let table = [
        (json!({"pattern": "(", "path": ".", "use_regex": true}), "invalid_pattern"),
        (json!({"pattern": "\\w{500}{500}", "path": ".", "use_regex": true}), "invalid_pattern"),
        (json!({"pattern": "", "path": "."}), "invalid_parameters"),
        (json!({"pattern": "x", "path": ".", "context_lines": 51}), "invalid_parameters"),
        (json!({"pattern": "x", "path": "none"}), "file_not_found"),
        (json!({"pattern": "x", "path": ".."}), "path_outside_roots"),
    ];
    for (parameters, code) in table {
        assert_eq!(directory.error_code(TOOL, parameters.clone()).await, code, "{parameters}");
    }
}
