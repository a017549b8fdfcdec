//! Every example in this repository runs unchanged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::{CommandOutput, Sandbox};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn every_example_runs() {
    let files = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    // Examples that need the network have separate tests; see below.
    let is_one = |path: &PathBuf| {
        let name = path.display().to_string();
        name.ends_with(".yaml") && !name.ends_with(".test.yaml") && !needs_network(path)
    };
    let mut files: Vec<_> = files.filter(is_one).collect();
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let target = tempfile::tempdir().unwrap();
        // A small source tree as input for the examples.
        fs::create_dir_all(target.path().join("crates/one/src")).unwrap();
        fs::write(target.path().join("crates/one/src/lib.rs"), "// TODO: more\n#[test]\nfn works() {}\n").unwrap();
        fs::create_dir_all(target.path().join("examples/data")).unwrap();
        for data in fs::read_dir(root().join("examples/data")).unwrap().map(|entry| entry.unwrap().path()) {
            fs::copy(&data, target.path().join("examples/data").join(data.file_name().unwrap())).unwrap();
        }
        let mut command = crate::support::command(target.path());
        let output = command.args(["run", "-o", "json"]).arg(&file).env("HOME", target.path()).output().unwrap();
        let ended = CommandOutput::new(output);
        assert_eq!(ended.code, 0, "{}: {}{}", file.display(), ended.stdout, ended.stderr);
        assert_ne!(ended.json()["output"], serde_json::Value::Null, "{}", file.display());
    }
}

fn needs_network(file: &Path) -> bool {
    let plan = Sandbox::new().run(&["plan", &file.display().to_string(), "-o", "json"]);
    assert_eq!(plan.code, 0, "{}: {}", file.display(), plan.stderr);
    let plan = plan.json();
    let needs = |tool: &Value| tool["permissions"].as_array().is_some_and(|needed| needed.contains(&"network".into()));
    plan["tools"].as_array().is_some_and(|tools| tools.iter().any(needs))
}

#[test]
fn example_tests_pass() {
    let tested = Sandbox::new().run(&["test", &root().join("examples").display().to_string(), "-o", "json"]);
    assert_eq!(tested.code, 0, "{}", tested.stdout);
    assert!(tested.json()["passed"].as_u64() >= Some(3), "{}", tested.stdout);
}

#[test]
fn repo_report_counts_files_lines_and_tests() {
    let sandbox = Sandbox::new()
        .file("crates/small/src/lib.rs", "#[test]\nfn works() {}\n")
        .file("crates/large/src/lib.rs", "// TODO: more\n\n\n\n#[test]\nfn works() {}\n")
        .file("README.md", "# Things\n\nThis project does things. It does them well.\n");
    let example = root().join("examples/repo-report.yaml");
    let report = sandbox.run(&["run", &example.display().to_string(), "-o", "json"]).json();
    let rows = serde_json::json!([
        {"part": "crates/large", "files": 1, "lines": 6, "tests": 1, "lines_per_test": 6},
        {"part": "crates/small", "files": 1, "lines": 2, "tests": 1, "lines_per_test": 2},
    ]);
    assert_eq!(report["output"]["parts"], rows);
    assert_eq!(report["output"]["asks_for_work"][0]["text"], "// TODO: more");
    let written = fs::read_to_string(sandbox.path("target/repo-report.md")).unwrap();
    assert!(written.contains("| crates/large | 1 | 6 | 1 |") && written.contains("does things"), "{written}");
}
