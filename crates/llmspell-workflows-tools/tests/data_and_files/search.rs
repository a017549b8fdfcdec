//! `file_search` finds lines in a fixed order and says what it left out.

use std::os::unix::fs::symlink;

use crate::place::Place;
use serde_json::{Value, json};

const TOOL: &str = "file_search";

fn place() -> Place {
    let place = Place::new(|_| ());
    place.file("b.rs", "fn hit() {}\n// Hit\nhit\n");
    place.file("a.txt", "one\ntwo hit\nthree\n");
    place.file("sub/c.RS", "hit");
    place.file("sub/deep/d", "a.b hit\naxb\n");
    place.file("target/e.rs", "hit");
    place.file("binary", b"hit\0");
    place.file("latin1.txt", b"hit \xe9");
    symlink("a.txt", place.root().join("link.txt")).unwrap();
    symlink("..", place.root().join("sub/loop")).unwrap();
    place
}

/// `path:line:column` of each match.
fn places(result: &Value) -> Vec<String> {
    let matches = result["matches"].as_array().unwrap().iter();
    matches.map(|one| format!("{}:{}:{}", one["path"].as_str().unwrap(), one["line"], one["column"])).collect()
}

#[tokio::test]
async fn options_say_what_is_searched() {
    let place = place();
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
        let result = place.call(TOOL, parameters.clone()).await.unwrap();
        assert_eq!(places(&result), expected, "{parameters}");
        assert_eq!(result["total_matches"], expected.len(), "{parameters}");
    }
}

#[tokio::test]
async fn what_is_left_out_is_counted() {
    let place = place();
    let whole = place.call(TOOL, json!({"pattern": "hit", "path": "."})).await.unwrap();
    let counts = |result: &Value| -> Vec<Value> {
        ["files_searched", "files_skipped", "total_matches", "truncated"].map(|name| result[name].clone()).to_vec()
    };
    assert_eq!(counts(&whole), [json!(6), json!(1), json!(7), json!(false)]);
    let small = place.call(TOOL, json!({"pattern": "hit", "path": ".", "max_file_size": 6})).await.unwrap();
    assert_eq!(counts(&small), [json!(3), json!(4), json!(3), json!(false)]);
    let few = place.call(TOOL, json!({"pattern": "hit", "path": "b.rs", "max_matches_per_file": 1})).await.unwrap();
    assert_eq!(
        (places(&few), counts(&few)),
        (vec!["b.rs:1:4".to_owned()], vec![json!(1), json!(0), json!(2), json!(true)])
    );
    let shallow = place.call(TOOL, json!({"pattern": "hit", "path": ".", "max_depth": 0})).await.unwrap();
    assert_eq!(shallow["truncated"], true);
}

#[tokio::test]
async fn a_match_shows_the_lines_around_it() {
    let result = place().call(TOOL, json!({"pattern": "two", "path": "a.txt", "context_lines": 9})).await.unwrap();
    let expected = json!([{
        "path": "a.txt", "line": 2, "column": 1, "text": "two hit", "before": ["one"], "after": ["three"],
    }]);
    assert_eq!(result["matches"], expected);
}

#[tokio::test]
async fn all_matches_together_are_bounded() {
    let place = Place::new(|_| ());
    for name in ["a", "b", "c"] {
        place.file(name, "x\n".repeat(6000));
    }
    let parameters = json!({"pattern": "x", "path": ".", "max_matches_per_file": 1_000_000});
    let result = place.call(TOOL, parameters).await.unwrap();
    assert_eq!(result["matches"].as_array().unwrap().len(), 10_000);
    assert_eq!((&result["total_matches"], &result["files_searched"]), (&json!(12_000), &json!(2)));
    assert_eq!(result["truncated"], true);
}

#[tokio::test]
async fn what_cannot_be_searched_is_refused() {
    let place = place();
    let table = [
        (json!({"pattern": "(", "path": ".", "use_regex": true}), "invalid_pattern"),
        (json!({"pattern": "\\w{500}{500}", "path": ".", "use_regex": true}), "invalid_pattern"),
        (json!({"pattern": "", "path": "."}), "invalid_parameters"),
        (json!({"pattern": "x", "path": ".", "context_lines": 51}), "invalid_parameters"),
        (json!({"pattern": "x", "path": "none"}), "file_not_found"),
        (json!({"pattern": "x", "path": ".."}), "path_outside_roots"),
    ];
    for (parameters, code) in table {
        assert_eq!(place.refused(TOOL, parameters.clone()).await, code, "{parameters}");
    }
}
