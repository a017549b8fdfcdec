//! `file_operations` does what it says, stays within its roots, and never deletes one.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::place::Place;
use llmspell_workflows_tools::ToolContext;
use serde_json::{Value, json};

const TOOL: &str = "file_operations";

async fn done(place: &Place, parameters: Value) -> Value {
    place.call(TOOL, parameters).await.unwrap()
}

#[tokio::test]
async fn files_are_written_read_and_appended_to() {
    let place = Place::new(|_| ());
    let write = done(&place, json!({"operation": "write", "path": "a.txt", "input": "é"})).await;
    assert_eq!(write, json!({"path": "a.txt", "bytes": 2, "created": true}));
    let append = done(&place, json!({"operation": "append", "path": "a.txt", "input": "!"})).await;
    assert_eq!(append, json!({"path": "a.txt", "bytes": 1, "created": false}));
    let read = done(&place, json!({"operation": "read", "path": "a.txt"})).await;
    assert_eq!(read, json!({"path": "a.txt", "content": "é!", "bytes": 3}));
    let again = done(&place, json!({"operation": "write", "path": "./a.txt", "input": ""})).await;
    assert_eq!(again, json!({"path": "./a.txt", "bytes": 0, "created": false}));
    let deep = json!({"operation": "append", "path": "b/c/d.txt", "input": "x", "recursive": true});
    assert_eq!(done(&place, deep).await["created"], true);
    assert_eq!(place.text("b/c/d.txt"), "x");
    assert_eq!(place.names("."), ["a.txt", "b"]);
}

#[tokio::test]
async fn replacing_keeps_permissions_and_follows_links() {
    let place = Place::new(|_| ());
    place.file("a", "old");
    std::fs::set_permissions(place.root().join("a"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("a", place.root().join("link")).unwrap();
    done(&place, json!({"operation": "write", "path": "link", "input": "new"})).await;
    assert_eq!(place.text("a"), "new");
    let metadata = std::fs::metadata(place.root().join("a")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert!(std::fs::symlink_metadata(place.root().join("link")).unwrap().is_symlink());
}

#[tokio::test]
async fn folders_are_made_listed_and_described() {
    let place = Place::new(|_| ());
    let make = |path: &str, recursive: bool| json!({"operation": "create_dir", "path": path, "recursive": recursive});
    assert_eq!(done(&place, make("d", false)).await, json!({"path": "d", "created": true}));
    assert_eq!(done(&place, make("d/e/f", true)).await["created"], true);
    assert_eq!(done(&place, make("d", true)).await["created"], false);
    assert_eq!(place.refused(TOOL, make("d", false)).await, "file_exists");
    assert_eq!(place.refused(TOOL, make("x/y", false)).await, "file_not_found");
    place.file("d/a.txt", "abc");
    symlink("a.txt", place.root().join("d/link")).unwrap();

    let paths = |list: &Value| -> Vec<String> {
        let entries = list["entries"].as_array().unwrap().iter();
        entries
            .map(|entry| format!("{} {}", entry["path"].as_str().unwrap(), entry["kind"].as_str().unwrap()))
            .collect()
    };
    let list = |recursive: bool| json!({"operation": "list_dir", "path": "d", "recursive": recursive});
    assert_eq!(paths(&done(&place, list(false)).await), ["a.txt file", "e directory", "link link"]);
    assert_eq!(paths(&done(&place, list(true)).await), ["a.txt file", "e directory", "e/f directory", "link link"]);

    let metadata = done(&place, json!({"operation": "metadata", "path": "d/a.txt"})).await;
    assert_eq!(
        (&metadata["kind"], &metadata["bytes"], &metadata["readonly"]),
        (&json!("file"), &json!(3), &json!(false))
    );
    assert!(metadata["modified"].as_str().unwrap().ends_with('Z'));
    let link = done(&place, json!({"operation": "metadata", "path": "d/link"})).await;
    assert_eq!((&link["kind"], &link["link_target"]), (&json!("link"), &json!("a.txt")));
    for (path, exists) in [("d", true), ("d/link", true), ("none", false)] {
        let result = done(&place, json!({"operation": "exists", "path": path})).await;
        assert_eq!(result, json!({"path": path, "exists": exists}));
    }
}

#[tokio::test]
async fn things_are_copied_and_moved() {
    let place = Place::new(|_| ());
    place.file("a/one", "1");
    place.file("a/b/two", "22");
    symlink("one", place.root().join("a/link")).unwrap();
    let to = |operation: &str, source: &str, target: &str, recursive: bool| json!({"operation": operation, "source_path": source, "target_path": target, "recursive": recursive});
    let copied = done(&place, to("copy", "a", "c/a", true)).await;
    assert_eq!(copied, json!({"source_path": "a", "target_path": "c/a", "files": 2, "bytes": 3, "links_skipped": 1}));
    assert_eq!(place.text("c/a/b/two"), "22");
    done(&place, json!({"operation": "copy", "path": "a/one", "target_path": "c/a/b/two"})).await;
    assert_eq!(place.text("c/a/b/two"), "1");
    done(&place, to("move", "c/a/b", "moved", false)).await;
    assert_eq!((place.text("moved/two"), place.names("c/a")), ("1".to_owned(), vec!["one".to_owned()]));

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
        assert_eq!(place.refused(TOOL, parameters.clone()).await, code, "{parameters}");
    }
}

#[tokio::test]
async fn folders_are_deleted_only_on_request_and_roots_never() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("keep/inner")).unwrap();
    let place = Place::new(|policy| {
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
        assert_eq!(place.refused(TOOL, delete(path, recursive)).await, code, "{path}");
    }
    assert_eq!(done(&place, delete("here", true)).await["deleted"], 1);
    assert_eq!(done(&place, delete("d", true)).await["deleted"], 4);
    assert!(folder.path().join("other").exists() && !folder.path().join("d").exists());
    assert_eq!(done(&place, delete("other", false)).await["deleted"], 1);
}

#[tokio::test]
async fn nothing_outside_the_roots_is_touched() {
    let place = Place::new(|_| ());
    let outside = place.root().parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "s").unwrap();
    symlink(&outside, place.root().join("out")).unwrap();
    symlink("../outside/secret", place.root().join("leak")).unwrap();
    place.file("a", "");
    place.file("sub/x", "");
    for operation in ["read", "write", "append", "delete", "create_dir", "list_dir", "metadata", "exists"] {
        for path in ["../outside/secret", "out/secret", "leak", "/etc/passwd", "sub/../../outside"] {
            let mut parameters = json!({"operation": operation, "path": path});
            if matches!(operation, "delete" | "create_dir" | "list_dir") {
                parameters["recursive"] = json!(true);
            }
            if matches!(operation, "write" | "append") {
                parameters["input"] = json!("x");
            }
            assert_eq!(place.refused(TOOL, parameters).await, "path_outside_roots", "{operation} {path}");
        }
    }
    for operation in ["copy", "move"] {
        for (source, target) in [("leak", "b"), ("a", "out/b"), ("a", "../b")] {
            let parameters = json!({"operation": operation, "source_path": source, "target_path": target});
            assert_eq!(place.refused(TOOL, parameters).await, "path_outside_roots", "{operation} {source} {target}");
        }
    }
    assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "s");
}

#[tokio::test]
async fn roots_for_reading_are_not_written_to() {
    let place = Place::new(|policy| policy.write_roots = Vec::new());
    place.file("a", "1");
    assert_eq!(done(&place, json!({"operation": "read", "path": "a"})).await["content"], "1");
    for parameters in [
        json!({"operation": "write", "path": "a", "input": ""}),
        json!({"operation": "append", "path": "a", "input": ""}),
        json!({"operation": "delete", "path": "a"}),
        json!({"operation": "create_dir", "path": "d"}),
        json!({"operation": "copy", "source_path": "a", "target_path": "b"}),
        json!({"operation": "move", "source_path": "a", "target_path": "b"}),
    ] {
        assert_eq!(place.refused(TOOL, parameters.clone()).await, "path_outside_roots", "{parameters}");
    }
}

#[tokio::test]
async fn limits_and_kinds_are_checked() {
    let place = Place::new(|policy| policy.file_bytes_max = 4);
    place.file("large", "12345");
    place.file("fits", "1234");
    place.file("bytes", [0xff]);
    place.file("d/x", "");
    let deep = (0..70).map(|_| "d").collect::<Vec<_>>().join("/");
    std::fs::create_dir_all(place.root().join("deep").join(deep)).unwrap();
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
        assert_eq!(place.refused(TOOL, parameters.clone()).await, code, "{parameters}");
    }
    assert!(!place.names(".").iter().any(|name| name == "w.tmp" || name.ends_with(".tmp")));
}

#[tokio::test]
async fn a_cancelled_call_changes_nothing() {
    let place = Place::new(|_| ());
    place.file("d/a", "");
    let context = ToolContext::default();
    context.cancellation.cancel();
    let delete = json!({"operation": "delete", "path": "d", "recursive": true});
    let error = place.tools.call(TOOL, delete, &context).await.unwrap_err();
    assert_eq!((error.code, place.names("d").len()), ("cancelled", 1));
}
