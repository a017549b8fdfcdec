use std::fs;

use serde_json::{Value, json};

use super::{check_readme, sandbox_with};
use crate::{
    rewind_nested::runs,
    support::{Sandbox, show},
};

const BACKUP: &str = "examples/sub-workflows/backup.yaml";
const RELEASE: &str = "examples/sub-workflows/release.yaml";

fn files(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path(folder)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn output_matches_the_readme() {
    check_readme(&sandbox_with("sub-workflows"), "sub-workflows");
}

#[test]
fn only_the_last_three_backups_are_kept() {
    let sandbox = sandbox_with("sub-workflows");
    for day in ["1", "2", "3", "4"] {
        let label = format!("label=day-{day}");
        let ended = sandbox.run(&["run", BACKUP, "--input", &label]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    let kept = files(&sandbox, "target/sub-workflows/backups");
    assert_eq!(kept, ["day-2.tar.gz", "day-3.tar.gz", "day-4.tar.gz"]);
}

#[test]
fn each_call_of_a_library_workflow_is_a_separate_child_run() {
    let sandbox = sandbox_with("sub-workflows");
    for file in [BACKUP, RELEASE] {
        let ended = sandbox.run(&["run", file, "-o", "json"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let children = runs(&sandbox, ended.json()["run_id"].as_str());
        let mut names: Vec<_> = children.iter().map(|child| show(&sandbox, child)["workflow"].take()).collect();
        names.sort_by_key(Value::to_string);
        assert_eq!(names, ["archive", "keep-newest"], "{file}");
    }
    let manifest = fs::read_to_string(sandbox.path("target/sub-workflows/release/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(
        (&manifest["number"], manifest["archive"]["sha256"].as_str().map(str::len)),
        (&json!("1.0.0"), Some(64))
    );
}
