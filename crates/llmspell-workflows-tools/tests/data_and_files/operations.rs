//! `file_operations` has the documented effects, stays within its roots, and never deletes a root.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::directory::TestDirectory;
use llmspell_workflows_tools::ToolContext;
use serde_json::{Value, json};

const TOOL: &str = "file_operations";

async fn succeed(directory: &TestDirectory, parameters: Value) -> Value {
    directory.call(TOOL, parameters).await.unwrap()
}

#[tokio::test]
async fn files_can_be_written_read_and_appended_to() {
    let directory = TestDirectory::new(|_| ());
    let write = succeed(&directory, json!({"operation": "write", "path": "a.txt", "input": "é"})).await;
    assert_eq!(write, json!({"path": "a.txt", "bytes": 2, "created": true}));
    let append = succeed(&directory, json!({"operation": "append", "path": "a.txt", "input": "!"})).await;
    assert_eq!(append, json!({"path": "a.txt", "bytes": 1, "created": false}));
    let read = succeed(&directory, json!({"operation": "read", "path": "a.txt"})).await;
    assert_eq!(read, json!({"path": "a.txt", "content": "é!", "bytes": 3}));
    let again = succeed(&directory, json!({"operation": "write", "path": "./a.txt", "input": ""})).await;
    assert_eq!(again, json!({"path": "./a.txt", "bytes": 0, "created": false}));
    let deep = json!({"operation": "append", "path": "b/c/d.txt", "input": "x", "recursive": true});
    assert_eq!(succeed(&directory, deep).await["created"], true);
    assert_eq!(directory.text("b/c/d.txt"), "x");
    assert_eq!(directory.names("."), ["a.txt", "b"]);
}

#[tokio::test]
async fn replacing_a_file_keeps_its_permissions_and_follows_links() {
    let directory = TestDirectory::new(|_| ());
    directory.file("a", "old");
    std::fs::set_permissions(directory.root().join("a"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("a", directory.root().join("link")).unwrap();
    succeed(&directory, json!({"operation": "write", "path": "link", "input": "new"})).await;
    assert_eq!(directory.text("a"), "new");
    let metadata = std::fs::metadata(directory.root().join("a")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert!(std::fs::symlink_metadata(directory.root().join("link")).unwrap().is_symlink());
}

#[tokio::test]
async fn directories_can_be_created_listed_and_described() {
    let directory = TestDirectory::new(|_| ());
    let make = |path: &str, recursive: bool| json!({"operation": "create_dir", "path": path, "recursive": recursive});
    assert_eq!(succeed(&directory, make("d", false)).await, json!({"path": "d", "created": true}));
    assert_eq!(succeed(&directory, make("d/e/f", true)).await["created"], true);
    assert_eq!(succeed(&directory, make("d", true)).await["created"], false);
    assert_eq!(directory.error_code(TOOL, make("d", false)).await, "file_exists");
    assert_eq!(directory.error_code(TOOL, make("x/y", false)).await, "file_not_found");
    directory.file("d/a.txt", "abc");
    symlink("a.txt", directory.root().join("d/link")).unwrap();

    let paths = |list: &Value| -> Vec<String> {
        let entries = list["entries"].as_array().unwrap().iter();
        entries
            .map(|entry| format!("{} {}", entry["path"].as_str().unwrap(), entry["kind"].as_str().unwrap()))
            .collect()
    };
    let list = |recursive: bool| json!({"operation": "list_dir", "path": "d", "recursive": recursive});
    assert_eq!(paths(&succeed(&directory, list(false)).await), ["a.txt file", "e directory", "link link"]);
    assert_eq!(
        paths(&succeed(&directory, list(true)).await),
        ["a.txt file", "e directory", "e/f directory", "link link"]
    );

    let metadata = succeed(&directory, json!({"operation": "metadata", "path": "d/a.txt"})).await;
    assert_eq!(
        (&metadata["kind"], &metadata["bytes"], &metadata["readonly"]),
        (&json!("file"), &json!(3), &json!(false))
    );
    assert!(metadata["modified"].as_str().unwrap().ends_with('Z'));
    let link = succeed(&directory, json!({"operation": "metadata", "path": "d/link"})).await;
    assert_eq!((&link["kind"], &link["link_target"]), (&json!("link"), &json!("a.txt")));
    for (path, exists) in [("d", true), ("d/link", true), ("none", false)] {
        let result = succeed(&directory, json!({"operation": "exists", "path": path})).await;
        assert_eq!(result, json!({"path": path, "exists": exists}));
    }
}

#[tokio::test]
async fn files_and_directories_can_be_copied_and_moved() {
    let directory = TestDirectory::new(|_| ());
    directory.file("a/one", "1");
    directory.file("a/b/two", "22");
    symlink("one", directory.root().join("a/link")).unwrap();
    let to = |operation: &str, source: &str, target: &str, recursive: bool| json!({"operation": operation, "source_path": source, "target_path": target, "recursive": recursive});
    let copied = succeed(&directory, to("copy", "a", "c/a", true)).await;
    assert_eq!(copied, json!({"source_path": "a", "target_path": "c/a", "files": 2, "bytes": 3, "links_skipped": 1}));
    assert_eq!(directory.text("c/a/b/two"), "22");
    succeed(&directory, json!({"operation": "copy", "path": "a/one", "target_path": "c/a/b/two"})).await;
    assert_eq!(directory.text("c/a/b/two"), "1");
    succeed(&directory, to("move", "c/a/b", "moved", false)).await;
    assert_eq!((directory.text("moved/two"), directory.names("c/a")), ("1".to_owned(), vec!["one".to_owned()]));

    for (parameters, code) in [
        (to("copy", "a", "x", false), "needs_recursive"),
        (to("copy", "a", "moved", true), "file_exists"),
        (to("copy", "a", "a/b/x", true), "copy_into_itself"),
        (to("copy", "a/one", "a/b", false), "not_a_file"),
        (to("copy", "none", "x", false), "file_not_found"),
        (to("copy", "a/one", "no/x", false), "file_not_found"),
        (to("move", "a", "moved", false), "file_exists"),
        (to("move", "a/one", "moved", false), "not_a_file"),
        (to("move", ".", "x", false), "path_is_root"),
        (json!({"operation": "copy", "path": "a", "source_path": "a", "target_path": "b"}), "unused_parameter"),
        (json!({"operation": "copy", "target_path": "b"}), "missing_parameter"),
    ] {
        assert_eq!(directory.error_code(TOOL, parameters.clone()).await, code, "{parameters}");
    }
}

#[tokio::test]
async fn directories_are_deleted_only_with_recursive_and_roots_are_never_deleted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("keep/inner")).unwrap();
    let directory = TestDirectory::new(|policy| {
        policy.working_directory = Some(folder.path().to_owned());
        policy.read_roots.push("keep/inner".into());
    });
    std::fs::create_dir_all(folder.path().join("d/e")).unwrap();
    std::fs::write(folder.path().join("d/e/f"), "").unwrap();
    std::fs::write(folder.path().join("other"), "").unwrap();
    symlink("../other", folder.path().join("d/link")).unwrap();
    symlink(".", folder.path().join("here")).unwrap();
    let delete = |path: &str, recursive: bool| json!({"operation": "delete", "path": path, "recursive": recursive});
    for (path, recursive, code) in [
        ("d", false, "needs_recursive"),
        ("d/e", false, "needs_recursive"),
        (".", true, "path_is_root"),
        ("d/..", true, "path_is_root"),
        ("d/e/..", true, "invalid_path"),
        ("keep", true, "path_is_root"),
        ("keep/inner", true, "path_is_root"),
        ("here/keep", true, "path_is_root"),
        ("none", true, "file_not_found"),
        ("..", true, "path_outside_roots"),
        (folder.path().to_str().unwrap(), true, "path_is_root"),
    ] {
        assert_eq!(directory.error_code(TOOL, delete(path, recursive)).await, code, "{path}");
    }
    assert_eq!(succeed(&directory, delete("here", true)).await["deleted"], 1);
    assert_eq!(succeed(&directory, delete("d", true)).await["deleted"], 4);
    assert!(folder.path().join("other").exists() && !folder.path().join("d").exists());
    assert_eq!(succeed(&directory, delete("other", false)).await["deleted"], 1);
}

#[tokio::test]
async fn nothing_outside_the_roots_can_be_accessed() {
    let directory = TestDirectory::new(|_| ());
    let outside = directory.root().parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "s").unwrap();
    symlink(&outside, directory.root().join("out")).unwrap();
    symlink("../outside/secret", directory.root().join("leak")).unwrap();
    directory.file("a", "");
    directory.file("sub/x", "");
    for operation in ["read", "write", "append", "delete", "create_dir", "list_dir", "metadata", "exists"] {
        for path in ["../outside/secret", "out/secret", "leak", "/etc/passwd", "sub/../../outside"] {
            let mut parameters = json!({"operation": operation, "path": path});
            if matches!(operation, "delete" | "create_dir" | "list_dir") {
                parameters["recursive"] = json!(true);
            }
            if matches!(operation, "write" | "append") {
                parameters["input"] = json!("x");
            }
            assert_eq!(directory.error_code(TOOL, parameters).await, "path_outside_roots", "{operation} {path}");
        }
    }
    for operation in ["copy", "move"] {
        for (source, target) in [("leak", "b"), ("a", "out/b"), ("a", "../b")] {
            let parameters = json!({"operation": operation, "source_path": source, "target_path": target});
            assert_eq!(
                directory.error_code(TOOL, parameters).await,
                "path_outside_roots",
                "{operation} {source} {target}"
            );
        }
    }
    assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "s");
}

#[tokio::test]
async fn read_roots_are_read_only() {
    let directory = TestDirectory::new(|policy| policy.write_roots = Vec::new());
    directory.file("a", "1");
    assert_eq!(succeed(&directory, json!({"operation": "read", "path": "a"})).await["content"], "1");
    for parameters in [
        json!({"operation": "write", "path": "a", "input": ""}),
        json!({"operation": "append", "path": "a", "input": ""}),
        json!({"operation": "delete", "path": "a"}),
        json!({"operation": "create_dir", "path": "d"}),
        json!({"operation": "copy", "source_path": "a", "target_path": "b"}),
        json!({"operation": "move", "source_path": "a", "target_path": "b"}),
    ] {
        assert_eq!(directory.error_code(TOOL, parameters.clone()).await, "path_outside_roots", "{parameters}");
    }
}

#[tokio::test]
async fn large_files_deep_directories_and_invalid_paths_are_rejected() {
    let directory = TestDirectory::new(|policy| policy.file_bytes_max = 4);
    directory.file("large", "12345");
    directory.file("fits", "1234");
    directory.file("bytes", [0xff]);
    directory.file("d/x", "");
    let deep = (0..70).map(|_| "d").collect::<Vec<_>>().join("/");
    std::fs::create_dir_all(directory.root().join("deep").join(deep)).unwrap();
    for (parameters, code) in [
        (json!({"operation": "read", "path": "large"}), "file_too_large"),
        (json!({"operation": "write", "path": "w", "input": "12345"}), "file_too_large"),
        (json!({"operation": "append", "path": "fits", "input": "5"}), "file_too_large"),
        (json!({"operation": "copy", "source_path": "large", "target_path": "w"}), "file_too_large"),
        (json!({"operation": "read", "path": "bytes"}), "not_utf8"),
        (json!({"operation": "read", "path": "d"}), "not_a_file"),
        (json!({"operation": "write", "path": "d", "input": ""}), "not_a_file"),
        (json!({"operation": "append", "path": "d", "input": ""}), "not_a_file"),
        (json!({"operation": "write", "path": "no/w", "input": ""}), "file_not_found"),
        (json!({"operation": "list_dir", "path": "fits"}), "not_a_directory"),
        (json!({"operation": "list_dir", "path": "deep", "recursive": true}), "too_deep"),
        (json!({"operation": "copy", "source_path": "deep", "target_path": "w", "recursive": true}), "too_deep"),
        (json!({"operation": "read", "path": ""}), "invalid_parameters"),
        (json!({"operation": "read", "path": "a\0b"}), "invalid_path"),
        (json!({"operation": "read"}), "invalid_parameters"),
        (json!({"operation": "write", "path": "w"}), "invalid_parameters"),
    ] {
        assert_eq!(directory.error_code(TOOL, parameters.clone()).await, code, "{parameters}");
    }
    assert!(!directory.names(".").iter().any(|name| name == "w.tmp" || name.ends_with(".tmp")));
}

#[tokio::test]
async fn a_cancelled_call_changes_nothing() {
    let directory = TestDirectory::new(|_| ());
    directory.file("d/a", "");
    let context = ToolContext::default();
    context.cancellation.cancel();
    let delete = json!({"operation": "delete", "path": "d", "recursive": true});
    let error = directory.tools.call(TOOL, delete, &context).await.unwrap_err();
    assert_eq!((error.code, directory.names("d").len()), ("cancelled", 1));
}
