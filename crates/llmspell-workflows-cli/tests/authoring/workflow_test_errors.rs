//! The messages of `spellflow test` about invalid test files and failed cases.

use std::fmt::Write;

use crate::support::Sandbox;

/// A workflow that waits, calls a sub-workflow and undoes steps.
const FLOW: &str = "
name: flow
workflows:
  inner:
    name: inner
    inputs: {id: {type: string, required: true}}
    steps:
      - {id: lookup, type: function, function: find, params: {id: '{{ id }}'}}
steps:
  - id: book
    type: function
    function: book
    compensate: {id: unbook, argv: [unbook]}
  - {id: approval, event: approved, filter: event.data.ok, timeout: 2d}
  - {id: confirmed, event: confirmed}
  - id: each
    type: loop
    items: [1, 2]
    steps: [{id: one, workflow: inner, input: {id: 'x-{{ loop.item }}'}}]
";

/// Mocks and messages that let the workflow complete.
const REST: &str = "mocks: {'function:book': {output: 1}, 'function:find': {output: 2}}";
const BOTH: &str = "messages: [{signal: approved, data: {ok: true}}, {signal: confirmed}]";

/// Runs one case per row and returns the output of `spellflow test`.
fn printed(flow: &str, rows: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (title, case) in rows {
        let sandbox = Sandbox::with("flow.yaml", flow);
        let body: String = case.lines().map(|line| format!("    {line}\n")).collect();
        sandbox.write("flow.test.yaml", &format!("workflow: flow.yaml\ncases:\n  - name: case\n{body}"));
        let ran = sandbox.run(&["test", "flow.test.yaml"]);
        assert!(!ran.err.contains("flow.yaml:"), "the workflow is valid: {ran:?}");
        writeln!(text, "# {title}\n{}", ran.all()).expect("writing to a String cannot fail");
    }
    let run_id = regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").expect("the pattern is valid");
    run_id.replace_all(&text, "RUN").into_owned()
}

#[test]
fn invalid_test_files_are_explained() {
    let rows = [
        ("a message without content", "messages: [{after: 2d}]".to_owned()),
        ("an unknown field of a message", "messages: [{signal: approved, payload: 1}]".to_owned()),
        ("an event that no step waits for", "messages: [{signal: aproved}]".to_owned()),
        ("an invalid duration", "messages: [{signal: approved, after: soon}]\nstop_after: '{{ days }}'".to_owned()),
        ("an invalid flag", "messages: [{signal: approved, received: nobody}]".to_owned()),
        ("an invalid cancellation", "messages: [{cancel: false}, {cancel: true, data: 1}]".to_owned()),
        ("a mock of a wait", "mocks: {approval: {output: {ok: true}}}".to_owned()),
        ("a mock of a block", "mocks: {each: {output: 1}}".to_owned()),
        ("a mock of a step that does not exist", "mocks: {each/on: {output: 1}}".to_owned()),
        ("a mock of an unknown step inside", "mocks: {/main/each/one/main/look: {output: 1}}".to_owned()),
        ("a path without the list of the sub-workflow", "mocks: {one/lookup: {output: 1}}".to_owned()),
        ("a mock of an unknown activity", "mocks: {'function:fnd': {output: 1}}".to_owned()),
        ("a mock of an unknown sub-workflow", "mocks: {'workflow:iner': {output: 1}}".to_owned()),
        ("a mock of a compensation by its id", "mocks: {unbook: {output: 1}}".to_owned()),
        ("a sub-workflow that sets state", "mocks: {one: {output: 1, state: {a: 1}}}".to_owned()),
        ("an unknown status", "expect: {status: compensate, steps: {book: {status: compensatd}}}".to_owned()),
        ("an unknown expected step", "expect: {steps: {one/main/lokup: {status: failed}}, order: [boook]}".to_owned()),
        ("a count of an unknown mock", format!("{REST}\nexpect: {{calls: {{'function:bok': 1}}}}")),
        ("an unknown expectation", "expect: {steps: {approval: {wait_for: approved}}}".to_owned()),
    ];
    insta::assert_snapshot!(printed(FLOW, &rows));
}

#[test]
fn failed_cases_say_what_to_write() {
    let flow = FLOW.replace("    compensate: {id: unbook, argv: [unbook]}\n", "");
    let rows = [
        ("a signal that is missing", format!("{REST}\nmessages: [{{signal: approved, data: {{ok: true}}}}]")),
        ("a wait with a timeout", format!("{REST}\nstop_after: 1d")),
        (
            "a signal that the filter refuses",
            format!("{REST}\nmessages: [{{signal: approved, data: {{ok: false}}}}]\nstop_after: 1d"),
        ),
        (
            "a signal after the timeout",
            format!("{REST}\nmessages: [{{signal: approved, data: {{ok: true}}, after: 3d}}]"),
        ),
        (
            "a signal after the end",
            format!("{REST}\nmessages: [{{signal: confirmed}}]\nexpect: {{error: {{code: event_timeout}}}}"),
        ),
        (
            "a signal that should not be received",
            format!("{REST}\n{}", BOTH.replace("ok: true}", "ok: true}, received: false")),
        ),
        ("a cancellation after the end", format!("{REST}\n{}", BOTH.replace("}]", "}, {cancel: true, after: 9d}]"))),
        (
            "a signal after time has stopped",
            format!("{REST}\nmessages: [{{signal: approved, data: {{ok: true}}, after: 3h}}]\nstop_after: 1h"),
        ),
        ("a run that does not wait", format!("{REST}\nexpect: {{status: waiting}}")),
        (
            "an event other than expected",
            format!(
                "{REST}\nstop_after: 1h\nexpect: {{status: waiting, steps: {{approval: {{waits_for: confirmed}}}}}}"
            ),
        ),
        (
            "a mock that nothing calls",
            format!("{}\n{BOTH}", REST.replace("{output: 2}", "{output: 2}, 'each[7]/one': {output: 3}")),
        ),
        (
            "a mock with too few answers",
            format!("{}\n{BOTH}", REST.replace("'function:find': {output: 2}", "one: {outputs: [2]}")),
        ),
        (
            "a step of a sub-workflow that is not mocked",
            format!("mocks: {{'function:book': {{output: 1}}, 'each[0]/one/main/lookup': {{output: 2}}}}\n{BOTH}"),
        ),
        ("a mock with too many answers", format!("{}\n{BOTH}", REST.replace("output: 1", "outputs: [1, 2]"))),
        (
            "a sub-workflow that is mocked as a whole",
            format!(
                "{}\n{BOTH}\nexpect: {{steps: {{lookup: {{status: completed}}}}}}",
                REST.replace("'function:find'", "one")
            ),
        ),
    ];
    insta::assert_snapshot!(printed(&flow, &rows));
}
