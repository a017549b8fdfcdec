//! Crates depend only on crates in lower layers.

use std::process::Command;

use serde_json::Value;

use crate::support::{assert_none, root};

const PREFIX: &str = "llmspell-workflows-";

/// The crates that each crate may depend on, by short name; the short name of the facade is empty.
const ALLOWED_DEPENDENCIES: [(&str, &[&str]); 13] = [
    ("basic", &[]),
    ("definition", &["basic"]),
    ("tools", &["basic"]),
    ("state", &["basic"]),
    ("hooks", &["basic"]),
    ("advanced", &["basic", "hooks", "state"]),
    ("testing", &["advanced", "basic", "hooks", "state"]),
    ("", &["advanced", "basic", "definition", "hooks", "tools"]),
    ("cli", &["advanced", "basic", "definition", "tools"]),
    ("benches", &["advanced", "basic", "definition", "hooks", "state", "tools", "testing"]),
    ("examples", &["", "testing"]),
    ("tests", &["basic", "definition", "tools", "testing"]),
    ("checks", &["", "basic", "definition", "tools", "testing"]),
];

/// Returns the packages of the workspace, from `cargo metadata`.
fn packages() -> Vec<Value> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).current_dir(root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn short(name: &str) -> Option<&str> {
    if name == "llmspell-workflows" { Some("") } else { name.strip_prefix(PREFIX) }
}

#[test]
fn crates_depend_only_on_lower_layers() {
    let mut wrong = Vec::new();
    let packages = packages();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let own = short(name).unwrap_or_else(|| panic!("{name} does not begin with {PREFIX}"));
        let Some((_, below)) = ALLOWED_DEPENDENCIES.iter().find(|(crate_name, _)| *crate_name == own) else {
            panic!("{name} has no entry in `ALLOWED_DEPENDENCIES`");
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let Some(other) = short(dependency["name"].as_str().unwrap()) else { continue };
            // A crate may depend on itself in tests, to enable all its features.
            let in_tests = dependency["kind"] == "dev" && (other == "testing" || other == own);
            if !below.contains(&other) && !in_tests {
                wrong.push(format!("{name} must not depend on {PREFIX}{other}"));
            }
        }
    }
    assert_eq!(packages.len(), ALLOWED_DEPENDENCIES.len(), "every crate needs an entry in `ALLOWED_DEPENDENCIES`");
    assert_none(&wrong, "dependencies on higher layers");
}

#[test]
fn only_binaries_use_anyhow() {
    let mut wrong = Vec::new();
    for package in packages() {
        let targets = package["targets"].as_array().unwrap();
        let is_library = targets.iter().any(|target| target["kind"][0] == "lib");
        let uses = package["dependencies"].as_array().unwrap().iter().any(|each| each["name"] == "anyhow");
        if uses && is_library {
            wrong.push(package["name"].to_string());
        }
    }
    assert_none(&wrong, "libraries that use anyhow, whose errors callers cannot distinguish");
}
