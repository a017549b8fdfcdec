//! `graph` and `schema`.

use crate::support::Place;

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
fn every_format_draws_the_same_flow() {
    let place = Place::with("flow.yaml", FLOW);
    for format in ["mermaid", "dot", "ascii"] {
        let ran = place.run(&["graph", "flow.yaml", "--format", format]).ok();
        insta::assert_snapshot!(format, ran.out);
        assert_eq!(place.run(&["graph", "flow.yaml", "--format", format]).out, ran.out);
        let data = place.run(&["graph", "flow.yaml", "--format", format, "-o", "json"]).ok().json();
        assert_eq!((data["text"].as_str(), data["format"].as_str()), (Some(ran.out.as_str()), Some(format)));
    }
    let ascii = place.run(&["graph", "flow.yaml", "--format", "ascii"]).out;
    assert!(ascii.is_ascii(), "{ascii}");
}

#[test]
fn what_a_definition_says_does_not_command_the_terminal() {
    let place =
        Place::with("f.yaml", "name: \"a\\e[31m\"\nsteps: [{id: a, name: \"x\\ey\", type: set, params: {k: 1}}]\n");
    for arguments in [
        ["graph", "f.yaml", "--format", "ascii"],
        ["graph", "f.yaml", "--format", "dot"],
        ["plan", "f.yaml", "-i", "a=b"],
    ] {
        let ran = place.run(&arguments).ok();
        assert!(!ran.out.contains('\u{1b}'), "{ran:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_invalid() {
    let place = Place::with("flow.yaml", "name: x\nsteps: [{id: a, tpye: set}]\n");
    assert_eq!(place.run(&["graph", "flow.yaml"]).code, 3);
}

#[test]
fn the_schema_is_printed_or_written() {
    let place = Place::new();
    let printed = place.run(&["schema"]).ok().json();
    assert_eq!(printed["title"], "Workflow");
    let ran = place.run(&["schema", "--to", "s.json"]).ok();
    assert!(ran.out.is_empty() && ran.err.contains("yaml-language-server: $schema=s.json"), "{ran:?}");
    assert_eq!(place.read("s.json"), format!("{printed:#}\n"));
}
