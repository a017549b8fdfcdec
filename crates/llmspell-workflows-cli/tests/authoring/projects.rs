//! `init` and `new`.

use crate::support::Place;

#[test]
fn a_new_project_validates_runs_and_passes_its_tests() {
    let place = Place::new();
    insta::assert_snapshot!(place.run(&["init", "project"]).ok().all());
    place.run(&["validate", "project/workflows", "--strict"]).ok();
    let ran = place.run(&["run", "project/workflows/hello.yaml", "--input", "name=Ada", "-o", "json"]).ok();
    assert_eq!(ran.json()["output"]["greeting"], "Hello Ada!");
    let tested = place.run(&["test", "project", "-o", "json"]).ok().json();
    assert_eq!((tested["passed"].as_u64(), tested["failed"].as_u64()), (Some(3), Some(0)));
}

#[test]
fn nothing_is_overwritten() {
    let place = Place::with("workflows/hello.yaml", "mine");
    let ran = place.run(&["init", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["error"]["code"].as_str()), (2, Some("file_exists")));
    assert_eq!(place.read("workflows/hello.yaml"), "mine");
    // Nor is half a project left behind.
    assert!(!place.path("spellflow.toml").exists());
    let ran = place.run(&["new", "hello"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert_eq!(place.read("workflows/hello.yaml"), "mine");
}

#[test]
fn every_template_validates_and_runs() {
    let place = Place::new();
    for template in ["sequence", "graph", "parallel", "loop", "route"] {
        place.run(&["new", template, "--template", template]).ok();
        let file = format!("{template}.yaml");
        place.run(&["validate", "--strict", &file]).ok();
        let ran = place.run(&["run", &file, "-o", "json"]).ok().json();
        assert_eq!(ran["status"], "completed");
        assert_eq!(ran["workflow"], template);
        assert!(ran["output"].as_object().is_some_and(|output| !output.is_empty()), "{ran}");
    }
}

#[test]
fn a_new_workflow_goes_where_the_others_are() {
    let place = Place::new();
    assert_eq!(place.run(&["new", "one"]).ok().out, "created one.yaml\n");
    place.write("workflows/x.yaml", "");
    let ran = place.run(&["new", "two", "-o", "json"]).ok().json();
    assert_eq!(ran["created"][0], "workflows/two.yaml");
    // A word that is no text in YAML is a name all the same.
    place.run(&["new", "true"]).ok();
    place.run(&["validate", "workflows/true.yaml"]).ok();
    for name in ["../up", "a b", ""] {
        assert_eq!(place.run(&["new", name]).code, 2, "{name}");
    }
}
