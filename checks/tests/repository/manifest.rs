//! Every dependency is declared once, in the workspace manifest, with a reason.

use std::collections::BTreeSet;

use crate::support::{assert_none, files, text};

fn table(path: &str) -> toml::Table {
    text(path).parse().unwrap()
}

fn names(table: Option<&toml::Value>) -> BTreeSet<String> {
    table.and_then(toml::Value::as_table).into_iter().flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn every_dependency_has_a_reason() {
    let text = text("Cargo.toml");
    let section = text.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let lines = section.lines().filter(|line| line.contains(" = ") && !line.starts_with("llmspell-workflows"));
    let bare: Vec<_> = lines.filter(|line| line.split(" # ").nth(1).is_none()).map(str::to_owned).collect();
    assert_none(&bare, "dependencies without a reason");
}

#[test]
fn versions_are_declared_only_in_the_workspace() {
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in files("", "Cargo.toml") {
        let manifest = table(&path);
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(section) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
            for (name, dependency) in section {
                used.insert(name.clone());
                if dependency.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                    wrong.push(format!("{path}: `{name}` must use `workspace = true`"));
                }
            }
        }
    }
    let named = names(table("Cargo.toml")["workspace"].get("dependencies"));
    wrong.extend(named.difference(&used).map(|name| format!("Cargo.toml: no crate uses `{name}`")));
    assert_none(&wrong, "dependencies declared outside the workspace or unused");
}

#[test]
fn every_crate_uses_the_workspace_lints() {
    let members = files("", "Cargo.toml").into_iter().filter(|path| path != "Cargo.toml");
    let without = members.filter(|path| !text(path).contains("[lints]\nworkspace = true"));
    assert_none(&without.collect::<Vec<_>>(), "manifests without the workspace lints");
}
