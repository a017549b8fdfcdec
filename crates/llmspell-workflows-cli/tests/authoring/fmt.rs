//! Tests for `spellflow fmt`.

use std::{fs, path::Path};

use crate::support::Sandbox;

const LOOSE: &str = "\
# Summarizes a text.
steps:
- {needs: [], tool: text_summarizer, id: a, with: {input: '{{ text }}'}, retries: 1}


- id:   b
  # The quotes stay.
  command: 'echo done'   # last
name: loose
";

#[test]
fn formatted_workflow_keeps_comments_and_field_order() {
    let sandbox = Sandbox::with("loose.yaml", LOOSE);
    let ran = sandbox.run(&["fmt", "loose.yaml"]).ok();
    insta::assert_snapshot!(ran.out, @r"
    # Summarizes a text.
    steps:
      - {dependencies: [], tool: text_summarizer, id: a, params: {input: '{{ text }}'}, retries: 1}

      - id: b
        # The quotes stay.
        command: 'echo done'   # last
    name: loose
    ");
    assert_eq!(sandbox.read("loose.yaml"), LOOSE);
    // Formatting the result again changes nothing.
    assert_eq!(sandbox.run_with(&["fmt", "-"], &[], &ran.out).ok().out, ran.out);
}

#[test]
fn check_fails_until_write_formats_the_file() {
    let sandbox = Sandbox::with("loose.yaml", LOOSE);
    let ran = sandbox.run(&["fmt", "--check", "loose.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "loose.yaml: not formatted\n"));
    assert_eq!(sandbox.run(&["fmt", "--write", "loose.yaml"]).ok().out, "loose.yaml: written\n");
    assert_eq!(sandbox.run(&["fmt", "--check", "."]).ok().out, "");
    assert_eq!(sandbox.run(&["fmt", "--write", "loose.yaml", "-o", "json"]).ok().json()[0]["written"], false);
}

#[test]
fn defaults_and_personas_are_kept() {
    let text =
        "name: x\npersonas: [critic]\ndefaults: {tool: {timeout: 5}}\nsteps:\n  - {id: a, tool: json_processor}\n";
    let sandbox = Sandbox::with("x.yaml", text);
    assert_eq!(sandbox.run(&["fmt", "--check", "x.yaml"]).ok().out, "");
}

#[test]
fn json_is_formatted_as_json() {
    let sandbox =
        Sandbox::with("x.json", "{\"name\": \"x\", \"steps\": [{\"id\": \"a\", \"command\": \"b\", \"if\": true}]}\n");
    sandbox.run(&["fmt", "--write", "x.json"]).ok();
    assert!(sandbox.read("x.json").contains("\"condition\": true"));
}

#[test]
fn new_and_init_write_formatted_workflows() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init"]).ok();
    for template in ["sequence", "graph", "parallel", "loop", "route"] {
        sandbox.run(&["new", &format!("my_{template}"), "--template", template]).ok();
    }
    assert_eq!(fs::read_dir(sandbox.path("workflows")).unwrap().count(), 7);
    assert_eq!(sandbox.run(&["fmt", "--check", "workflows"]).ok().out, "");
}

#[test]
fn every_example_is_formatted() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").canonicalize().unwrap();
    let ran = Sandbox::new().run(&["fmt", "--check", &examples.display().to_string(), "-o", "json"]).ok().json();
    let files = ran.as_array().unwrap();
    assert!(files.len() >= 9, "only {} examples", files.len());
    assert!(files.iter().all(|file| file["formatted"] == true), "{ran}");
}

#[test]
fn invalid_file_prevents_all_changes() {
    let sandbox = Sandbox::with("a.yaml", LOOSE);
    sandbox.write("b.yaml", "name: b\nstepps: []\n");
    assert_eq!(sandbox.run(&["fmt", "--write", "a.yaml", "b.yaml"]).code, 3);
    assert_eq!(sandbox.read("a.yaml"), LOOSE);
    assert_eq!(sandbox.run_with(&["fmt", "--write", "-"], &[], LOOSE).code, 2);
}
