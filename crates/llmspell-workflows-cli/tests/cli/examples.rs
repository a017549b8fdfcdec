//! Every example of this repository works as it stands.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::{Ended, Place};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn every_example_runs() {
    let files = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    // What needs the network runs in its tests, see below.
    let is_one = |path: &PathBuf| {
        let name = path.display().to_string();
        name.ends_with(".yaml") && !name.ends_with(".test.yaml") && !needs_network(path)
    };
    let mut files: Vec<_> = files.filter(is_one).collect();
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let target = tempfile::tempdir().unwrap();
        // A copy of the tree that it looks at: small, and nobody else's.
        fs::create_dir_all(target.path().join("crates/one/src")).unwrap();
        fs::write(target.path().join("crates/one/src/lib.rs"), "// TODO: more\n#[test]\nfn works() {}\n").unwrap();
        fs::create_dir_all(target.path().join("examples/data")).unwrap();
        for data in fs::read_dir(root().join("examples/data")).unwrap().map(|entry| entry.unwrap().path()) {
            fs::copy(&data, target.path().join("examples/data").join(data.file_name().unwrap())).unwrap();
        }
        let mut command = crate::support::command(target.path());
        let output = command.args(["run", "-o", "json"]).arg(&file).env("HOME", target.path()).output().unwrap();
        let ended = Ended::new(output);
        assert_eq!(ended.code, 0, "{}: {}{}", file.display(), ended.stdout, ended.stderr);
        assert_ne!(ended.json()["output"], serde_json::Value::Null, "{}", file.display());
    }
}

fn needs_network(file: &Path) -> bool {
    let plan = Place::new().run(&["plan", &file.display().to_string(), "-o", "json"]);
    assert_eq!(plan.code, 0, "{}: {}", file.display(), plan.stderr);
    let plan = plan.json();
    let needs = |tool: &Value| tool["permissions"].as_array().is_some_and(|needed| needed.contains(&"network".into()));
    plan["tools"].as_array().is_some_and(|tools| tools.iter().any(needs))
}

#[test]
fn the_tests_of_the_examples_pass() {
    let tested = Place::new().run(&["test", &root().join("examples").display().to_string(), "-o", "json"]);
    assert_eq!(tested.code, 0, "{}", tested.stdout);
    assert!(tested.json()["passed"].as_u64() >= Some(3), "{}", tested.stdout);
}

#[test]
fn the_report_on_a_tree_finds_what_is_there() {
    let place = Place::new()
        .file("crates/small/src/lib.rs", "#[test]\nfn works() {}\n")
        .file("crates/large/src/lib.rs", "// TODO: more\n\n\n\n#[test]\nfn works() {}\n")
        .file("README.md", "# Things\n\nThis project does things. It does them well.\n");
    let example = root().join("examples/repo-report.yaml");
    let report = place.run(&["run", &example.display().to_string(), "-o", "json"]).json();
    let rows = serde_json::json!([
        {"part": "crates/large", "files": 1, "lines": 6, "tests": 1, "lines_per_test": 6},
        {"part": "crates/small", "files": 1, "lines": 2, "tests": 1, "lines_per_test": 2},
    ]);
    assert_eq!(report["output"]["parts"], rows);
    assert_eq!(report["output"]["asks_for_work"][0]["text"], "// TODO: more");
    let written = fs::read_to_string(place.path("target/repo-report.md")).unwrap();
    assert!(written.contains("| crates/large | 1 | 6 | 1 |") && written.contains("does things"), "{written}");
}
