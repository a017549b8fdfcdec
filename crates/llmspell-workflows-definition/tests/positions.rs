//! The engine's problems are reported at the right position in the source.

use llmspell_workflows_basic::{Problem, ProblemLocation};
use llmspell_workflows_definition::{StepTypes, check, read};

const TEXT: &str = "\
name: places
variables:
  base: \"{{ task.bse }}\"
conditions: {ready: is.ready}
steps:
  - id: first
    tool: web_search
    params:
      selectors: {title: \"a \\\"b\\\" {{ nobody }}\"}
    dependencies: [many, third]
  - id: choose
    type: conditional
    condition: >-
      first.ok
      && nobdy.ok
    then:
      - id: inner
        function: f
        when: \"{{ staet.x }}\"
        timeout: \"{{ minuts }}\"
    else: [second]
  - id: second
    type: loop
    range: {start: 0, end: \"{{ n }}\"}
    until: state.done
    steps: [{id: body, type: sleep, duration: 1s, retries: 2}]
  - id: many
    type: parallel
    aggregation: mine
    steps:
      - {id: own, steps: [{id: leaf, tool: t, on_error: {steps: [{id: fix, tool: u}]}}]}
  - id: pick
    type: switch
    cases: [{when: a, steps: [{id: x, tool: t}]}, {when: b.c, steps: []}]
finally: [{id: last, tool: t, limits: [web]}]
outputs: {found: \"{{ first.resul }}\"}
";

/// Returns the source text at the location of `place`.
fn found(place: ProblemLocation) -> String {
    let document = read(TEXT, "places.yml", &StepTypes::new()).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let diagnostics = document.to_diagnostics(&[Problem::error("test", place, "x")]);
    let at = &diagnostics.list()[0];
    let line = TEXT.lines().nth(at.line - 1).expect("the line exists");
    let end = if at.line == at.end_line { at.end_column - 1 } else { line.len() };
    line.chars().skip(at.column - 1).take(end + 1 - at.column).collect()
}

#[test]
fn problems_point_to_fields_and_steps() {
    for (path, field, text) in [
        ("", "variables/base", "\"{{ task.bse }}\""),
        ("", "conditions/ready", "is.ready"),
        ("", "outputs/found", "\"{{ first.resul }}\""),
        ("/main/first", "", "first"),
        ("/main/first", "activity", "web_search"),
        ("/main/first", "params/selectors/title", "\"a \\\"b\\\" {{ nobody }}\""),
        ("/main/first", "dependencies/1", "third"),
        ("/main/choose/then/inner", "condition", "\"{{ staet.x }}\""),
        ("/main/choose/then/inner", "timeout", "\"{{ minuts }}\""),
        ("/main/choose/else/second", "id", "second"),
        ("/main/choose/else/second", "over/range/end", "\"{{ n }}\""),
        ("/main/choose/else/second", "until", "state.done"),
        ("/main/choose/else/second/body", "duration", "1s"),
        ("/main/choose/else/second/body", "retry/attempts_max", "2"),
        ("/main/many", "aggregation", "mine"),
        ("/main/many/own/leaf", "activity", "t"),
        ("/main/many/own/leaf/$on_error/fix", "activity", "u"),
        ("/main/pick", "cases/1/when", "b.c"),
        ("/main/pick/case[0]/x", "", "x"),
        ("/main/$finally/last", "limits/0", "web"),
    ] {
        assert_eq!(found(ProblemLocation::new(path, field)), text, "{path} {field}");
    }
}

#[test]
fn problems_point_to_parts_of_strings() {
    for (path, field, whole, part) in [
        ("/main/choose", "condition", "first.ok && nobdy.ok", "nobdy"),
        ("/main/choose/then/inner", "condition", "staet.x", "staet"),
        ("/main/choose/then/inner", "timeout", "minuts", "minuts"),
        ("/main/first", "params/selectors/title", "a \"b\" {{ nobody }}", "nobody"),
        ("", "outputs/found", "{{ first.resul }}", "resul"),
    ] {
        let start = whole.find(part).unwrap();
        assert_eq!(
            found(ProblemLocation::new(path, field).with_span(start..start + part.len())),
            part,
            "{path} {field}"
        );
    }
}

#[test]
fn unknown_locations_fall_back_to_the_nearest_known_ancestor() {
    for (path, field, text) in [
        ("/main/first", "params/selectors/body", "{title: \"a \\\"b\\\" {{ nobody }}\"}"),
        ("/main/first", "retry", "first"),
        ("/main/nobody", "", "steps"),
        ("/main/choose/then/inner/unknown", "condition", "inner"),
        ("", "trigger", "name"),
        ("elsewhere", "x", "name"),
    ] {
        assert_eq!(found(ProblemLocation::new(path, field)), text, "{path} {field}");
    }
}

#[test]
fn reader_and_engine_errors_are_reported_together() {
    let text = "name: x\nsteps:\n  - {id: a, tool: t, timout: 3}\n  - {id: b, tool: t, condition: nobody.ok}\n";
    let diagnostics = check(text, "x.yml", &StepTypes::new(), |definition| {
        assert_eq!(definition.name, "x");
        vec![
            Problem::error(
                "unknown_tool",
                ProblemLocation::new("/main/a", "activity"),
                "a valid field of a step with an error elsewhere",
            ),
            Problem::error("nothing", ProblemLocation::new("/main/a", "params"), "a field that was not read"),
            Problem::warning("unused", ProblemLocation::new("/main/b", "id"), "a warning about half a definition"),
            Problem::error("unknown_reference", ProblemLocation::new("/main/b", "condition").with_span(0..6), "nobody"),
        ]
    })
    .unwrap_err();
    let found: Vec<_> = diagnostics.list().iter().map(|each| (each.code, each.line, each.column)).collect();
    assert_eq!(found, [("unknown_tool", 3, 19), ("unknown_field", 3, 22), ("unknown_reference", 4, 33)]);
}

#[test]
fn warnings_do_not_make_a_definition_invalid() {
    let text = "name: x\npersonas: [lead]\nsteps: [{id: a, persona: leed}]\n";
    let problem = Problem::warning("unused", ProblemLocation::new("/main/a", "id"), "x");
    let document = check(text, "x.yml", &StepTypes::new(), |_| vec![problem]).unwrap();
    let codes: Vec<_> = document.diagnostics().list().iter().map(|each| each.code).collect();
    assert_eq!(codes, ["unused", "unknown_persona"]);
}
