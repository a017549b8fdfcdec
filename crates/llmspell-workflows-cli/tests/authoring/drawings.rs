//! Tests for `spellflow graph` and `spellflow schema`.

use crate::support::Sandbox;

const FLOW: &str = r#"
name: release
version: 1.2.0
steps:
  - {id: build, type: shell, command: make, retries: 2, timeout: 5m, on_error: {steps: [{id: tell, type: set, params: {k: 1}}]}}
  - {id: lint, tool: text_summarizer, params: {input: "a <b> & \"c\" #1"}}
  - id: decide
    type: conditional
    needs: [build, lint]
    condition: build.exit_code == 0 && lint.result != "x"
    then_steps:
      - id: each
        type: loop
        items: [1, 2]
        mode: parallel
        max_parallelism: 2
        steps: [{id: one, type: set, params: {k: "{{ loop.item }}"}}]
      - id: both
        type: parallel
        steps: [{id: left, type: sleep, duration: 1}, {id: right, type: sleep, duration: 2}]
    else_steps: [{id: stop, type: set, params: {k: 0}}]
  - id: ask
    type: route
    needs: [decide]
    when: state.k == 1
    steps:
      - {id: draft, type: set, params: {n: 1}, next_step: judge}
      - {id: judge, type: set, params: {ok: true}, next_step: [{condition: output.ok, target: end}, {target: draft}]}
finally:
  - {id: clean, type: shell, command: rm -f x}
"#;

#[test]
fn every_format_always_produces_the_same_text() {
    let sandbox = Sandbox::with("flow.yaml", FLOW);
    for format in ["mermaid", "dot", "ascii"] {
        let ran = sandbox.run(&["graph", "flow.yaml", "--format", format]).ok();
        insta::assert_snapshot!(format, ran.out);
        assert_eq!(sandbox.run(&["graph", "flow.yaml", "--format", format]).out, ran.out);
        let data = sandbox.run(&["graph", "flow.yaml", "--format", format, "-o", "json"]).ok().json();
        assert_eq!((data["text"].as_str(), data["format"].as_str()), (Some(ran.out.as_str()), Some(format)));
    }
    let ascii = sandbox.run(&["graph", "flow.yaml", "--format", "ascii"]).out;
    assert!(ascii.is_ascii(), "{ascii}");
}

#[test]
fn control_characters_in_a_definition_are_not_printed() {
    let sandbox =
        Sandbox::with("f.yaml", "name: \"a\\e[31m\"\nsteps: [{id: a, name: \"x\\ey\", type: set, params: {k: 1}}]\n");
    for arguments in [
        ["graph", "f.yaml", "--format", "ascii"],
        ["graph", "f.yaml", "--format", "dot"],
        ["plan", "f.yaml", "-i", "a=b"],
    ] {
        let ran = sandbox.run(&arguments).ok();
        assert!(!ran.out.contains('\u{1b}'), "{ran:?}");
    }
}

#[test]
fn invalid_definition_is_not_drawn() {
    let sandbox = Sandbox::with("flow.yaml", "name: x\nsteps: [{id: a, tpye: set}]\n");
    assert_eq!(sandbox.run(&["graph", "flow.yaml"]).code, 3);
}

#[test]
fn schema_is_printed_or_written_to_a_file() {
    let sandbox = Sandbox::new();
    let printed = sandbox.run(&["schema"]).ok().json();
    assert_eq!(printed["title"], "Workflow");
    let ran = sandbox.run(&["schema", "--to", "s.json"]).ok();
    assert!(ran.out.is_empty() && ran.err.contains("yaml-language-server: $schema=s.json"), "{ran:?}");
    assert_eq!(sandbox.read("s.json"), format!("{printed:#}\n"));
}
