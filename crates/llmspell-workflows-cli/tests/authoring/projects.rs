//! Tests for `spellflow init` and `spellflow new`.

use crate::support::Sandbox;

#[test]
fn new_project_validates_runs_and_passes_its_tests() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["init", "project"]).ok().all());
    sandbox.run(&["validate", "project/workflows", "--strict"]).ok();
    let ran = sandbox.run(&["run", "project/workflows/hello.yaml", "--input", "name=Ada", "-o", "json"]).ok();
    assert_eq!(ran.json()["output"]["greeting"], "Hello Ada!");
    let tested = sandbox.run(&["test", "project", "-o", "json"]).ok().json();
    assert_eq!((tested["passed"].as_u64(), tested["failed"].as_u64()), (Some(3), Some(0)));
}

#[test]
fn init_and_new_never_overwrite_files() {
    let sandbox = Sandbox::with("workflows/hello.yaml", "mine");
    let ran = sandbox.run(&["init", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["error"]["code"].as_str()), (2, Some("file_exists")));
    assert_eq!(sandbox.read("workflows/hello.yaml"), "mine");
    // No partial project remains.
    assert!(!sandbox.path("spellflow.toml").exists());
    let ran = sandbox.run(&["new", "hello"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(sandbox.read("workflows/hello.yaml"), "mine");
}

#[test]
fn every_template_validates_and_runs() {
    let sandbox = Sandbox::new();
    for template in ["sequence", "graph", "parallel", "loop", "route"] {
        sandbox.run(&["new", template, "--template", template]).ok();
        let file = format!("{template}.yaml");
        sandbox.run(&["validate", "--strict", &file]).ok();
        let ran = sandbox.run(&["run", &file, "-o", "json"]).ok().json();
        assert_eq!(ran["status"], "completed");
        assert_eq!(ran["workflow"], template);
        assert!(ran["output"].as_object().is_some_and(|output| !output.is_empty()), "{ran}");
    }
}

#[test]
fn new_workflow_is_created_in_the_workflows_folder() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["new", "one"]).ok().out, "created one.yaml\n");
    sandbox.write("workflows/x.yaml", "");
    let ran = sandbox.run(&["new", "two", "-o", "json"]).ok().json();
    assert_eq!(ran["created"][0], "workflows/two.yaml");
    // A word such as `true`, which is not a string in YAML, is still a valid name.
    sandbox.run(&["new", "true"]).ok();
    sandbox.run(&["validate", "workflows/true.yaml"]).ok();
    for name in ["../up", "a b", ""] {
        assert_eq!(sandbox.run(&["new", name]).code, 2, "{name}");
    }
}
