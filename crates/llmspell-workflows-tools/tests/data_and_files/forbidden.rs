//! No tool reaches a forbidden file or directory, even within the roots and under any name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::directory::TestDirectory;

/// Creates a root that contains a store, a configuration, and other names for both.
/// `later/conf/x.toml` does not exist.
fn directory() -> TestDirectory {
    let directory = TestDirectory::new(|policy| {
        let root = policy.working_directory.clone().unwrap();
        fs::create_dir_all(root.join("store/log")).unwrap();
        policy.read_roots = vec![".".into(), "store/log".into()];
        policy.write_roots = policy.read_roots.clone();
        policy.forbidden =
            ["store/log/..", "conf.toml", "later/conf/x.toml", "linked.toml"].map(|path| root.join(path)).into();
    });
    for (file, content) in [
        ("store/log/a.log", "a,secret\n1,2\n"),
        ("conf.toml", "secret"),
        ("open/a.txt", "open"),
        ("real.toml", "secret"),
    ] {
        directory.file(file, content);
    }
    let root = directory.root();
    for (target, link) in [
        ("store", "to-store"),
        ("store/log/a.log", "to-log"),
        ("store/log/new.log", "to-nothing"),
        ("conf.toml", "to-conf"),
        ("to-conf", "to-link"),
        ("real.toml", "linked.toml"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    symlink(root.join("store"), root.join("absolute")).unwrap();
    fs::hard_link(root.join("conf.toml"), root.join("hard")).unwrap();
    fs::hard_link(root.join("store/log/a.log"), root.join("open/hard.csv")).unwrap();
    directory
}

/// Returns the names of existing forbidden files.
fn files(root: &Path) -> Vec<String> {
    let mut names = [
        "store/log/a.log",
        "./store/log/a.log",
        "open/../store/log/a.log",
        "store/log/../log/a.log",
        "to-store/log/a.log",
        "to-log",
        "absolute/log/a.log",
        "open/hard.csv",
        "conf.toml",
        "to-conf",
        "to-link",
        "hard",
        "real.toml",
        "linked.toml",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend(["store/log/a.log", "conf.toml"].map(|name| root.join(name).to_str().unwrap().to_owned()));
    names
}

/// Names under which a forbidden file would be created.
const NEW: [&str; 7] = [
    "store/new",
    "store/log/new",
    "to-store/new",
    "to-nothing",
    "absolute/new",
    "later/conf/x.toml",
    "LATER/../later/conf/x.toml",
];

/// Returns everything below `folder`: paths with the contents of files and the targets of links.
fn tree(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let shown = path.display().to_string();
        if path.is_symlink() {
            all.push((shown, fs::read_link(&path).unwrap().display().to_string()));
        } else if path.is_dir() {
            all.extend(tree(&path));
            all.push((shown, String::new()));
        } else {
            all.push((shown, fs::read_to_string(&path).unwrap()));
        }
    }
    all.sort();
    all
}

async fn assert_refused(directory: &TestDirectory, calls: impl IntoIterator<Item = (&'static str, Value)>) {
    let before = tree(&directory.root());
    for (tool, parameters) in calls {
        let code = directory.error_code(tool, parameters.clone()).await;
        assert_eq!(code, "path_outside_roots", "{tool} {parameters}");
        assert_eq!(tree(&directory.root()), before, "{tool} {parameters}");
    }
}

fn operation(operation: &str, path: &str) -> (&'static str, Value) {
    ("file_operations", json!({"operation": operation, "path": path}))
}

fn transfer(operation: &str, from: &str, to: &str) -> (&'static str, Value) {
    let parameters = json!({"operation": operation, "path": from, "target_path": to, "recursive": true});
    ("file_operations", parameters)
}

#[tokio::test]
async fn forbidden_files_cannot_be_read() {
    let directory = directory();
    for path in files(&directory.root()) {
        assert_refused(
            &directory,
            [
                operation("read", &path),
                operation("metadata", &path),
                operation("exists", &path),
                transfer("copy", &path, "stolen"),
                ("file_search", json!({"pattern": "secret", "path": path})),
                ("hash_calculator", json!({"operation": "hash", "input_type": "file", "file": path})),
                ("csv_analyzer", json!({"operation": "analyze", "options": {"path": path}})),
                ("json_processor", json!({"operation": "query", "query": ".", "input_path": ["open/a.jsonl", path]})),
                ("data_validator", json!({"rules": {"a": "string"}, "input_path": path})),
                ("data_transformer", json!({"operation": "unique", "input_path": path})),
                (
                    "data_transformer",
                    json!({"operation": "join", "input": [], "with_path": path, "on": {"left": "a", "right": "a"}}),
                ),
                ("file_writer", json!({"path": "stolen.csv", "input_path": path})),
            ],
        )
        .await;
    }
    for folder in ["store", "./store/", "store/log", "store/log/..", "to-store", "absolute", "open/../store"] {
        assert_refused(
            &directory,
            [
                operation("list_dir", folder),
                operation("exists", folder),
                transfer("copy", folder, "stolen"),
                ("file_search", json!({"pattern": "secret", "path": folder})),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn forbidden_files_cannot_be_changed_or_created() {
    let directory = directory();
    for path in files(&directory.root()).iter().map(String::as_str).chain(NEW) {
        let with_input = |operation: &str| {
            let parameters = json!({"operation": operation, "path": path, "input": "x", "recursive": true});
            ("file_operations", parameters)
        };
        assert_refused(
            &directory,
            [
                with_input("write"),
                with_input("append"),
                transfer("copy", "open/a.txt", path),
                transfer("move", "open/a.txt", path),
                ("file_operations", json!({"operation": "create_dir", "path": path, "recursive": true})),
                ("file_writer", json!({"path": path, "format": "text", "input": "x"})),
                ("file_writer", json!({"path": path, "format": "csv", "input": [{"a": 1}]})),
                ("json_processor", json!({"operation": "query", "query": ".", "input": 1, "output_path": path})),
                ("data_transformer", json!({"operation": "unique", "input": [{}], "output_path": path})),
                ("data_transformer", json!({"operation": "unique", "input": [{}], "dropped_path": path})),
                (
                    "data_validator",
                    json!({"rules": {"a": "string"}, "input_path": "open/a.jsonl", "valid_path": "new.jsonl", "invalid_path": path}),
                ),
                (
                    "csv_analyzer",
                    json!({"operation": "convert", "input": "a\n1\n", "options": {"format": "jsonl", "output_path": path}}),
                ),
                (
                    "csv_analyzer",
                    json!({"operation": "convert", "input": "a\n1\n", "options": {"format": "json", "bad_rows_path": path}}),
                ),
            ],
        )
        .await;
    }
    for path in files(&directory.root()) {
        assert_refused(&directory, [operation("delete", &path), transfer("move", &path, "moved")]).await;
    }
}

#[tokio::test]
async fn directories_with_forbidden_files_cannot_be_deleted_moved_or_created() {
    let directory = directory();
    directory.file("above/below/keep/x", "x");
    for folder in ["store", "to-store/log", "absolute"] {
        let delete = json!({"operation": "delete", "path": folder, "recursive": true});
        assert_refused(&directory, [("file_operations", delete), transfer("move", folder, "moved")]).await;
    }
    // Moving or copying these directories would create a forbidden file.
    directory.file("planted/x.toml", "x");
    directory.file("deeper/conf/x.toml", "x");
    assert_refused(
        &directory,
        [
            transfer("move", "planted", "later/conf"),
            transfer("copy", "planted", "later/conf"),
            transfer("move", "deeper", "later"),
            transfer("copy", "deeper", "later"),
        ],
    )
    .await;
    directory.file("later/conf/x.toml", "x");
    let delete = json!({"operation": "delete", "path": "later", "recursive": true});
    assert_refused(
        &directory,
        [("file_operations", delete), transfer("move", "later", "moved"), transfer("copy", "later", "copied")],
    )
    .await;
}

#[tokio::test]
async fn lists_and_searches_omit_forbidden_files() {
    let directory = directory();
    let list =
        directory.call("file_operations", json!({"operation": "list_dir", "path": ".", "recursive": true})).await;
    let list = list.unwrap();
    let mut paths: Vec<&str> =
        list["entries"].as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["absolute", "open", "open/a.txt", "to-conf", "to-link", "to-log", "to-nothing", "to-store"]);
    let found = directory.call("file_search", json!({"pattern": "secret|open", "use_regex": true, "path": "."})).await;
    let found = found.unwrap();
    assert_eq!((&found["total_matches"], &found["matches"][0]["path"]), (&json!(1), &json!("open/a.txt")));
}

#[tokio::test]
async fn forbidden_files_do_not_restrict_other_files() {
    let directory = directory();
    for parameters in [
        json!({"operation": "write", "path": "open/b.txt", "input": "b"}),
        json!({"operation": "append", "path": "open/b.txt", "input": "b"}),
        json!({"operation": "create_dir", "path": "later/conf", "recursive": true}),
        json!({"operation": "write", "path": "later/conf/y.toml", "input": "y"}),
        json!({"operation": "write", "path": "store-2/x", "input": "x", "recursive": true}),
        json!({"operation": "copy", "path": "open/b.txt", "target_path": "conf.toml.new"}),
        json!({"operation": "move", "path": "open/a.txt", "target_path": "open/c.txt"}),
        json!({"operation": "delete", "path": "to-nothing-else", "recursive": true}),
    ] {
        let result = directory.call("file_operations", parameters.clone()).await;
        let is_missing = parameters["operation"] == "delete";
        assert_eq!(result.is_err(), is_missing, "{parameters}: {result:?}");
    }
    assert_eq!(directory.text("open/b.txt"), "bb");
    // A hard link elsewhere does not make a file forbidden.
    fs::hard_link(directory.root().join("open/b.txt"), directory.root().join("open/d.txt")).unwrap();
    let read = directory.call("file_operations", json!({"operation": "read", "path": "open/d.txt"})).await;
    assert_eq!(read.unwrap()["content"], "bb");
}
