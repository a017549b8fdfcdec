//! Runs the test files in `fixtures`, and cases that would never end on their own.

use std::{path::Path, time::Instant};

use serde_json::Value;

use crate::support::Sandbox;

#[test]
fn test_files_of_waiting_workflows_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authoring/fixtures");
    let began = Instant::now();
    let ran = Sandbox::new().run(&["test", &folder.display().to_string(), "-o", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = ran.json();
    assert_eq!((ran["files"].as_array().map(Vec::len), ran["failed"].as_u64()), (Some(10), Some(0)));
    assert!(ran["passed"].as_u64() >= Some(28), "{ran}");
    // The cases wait for more than two months.
    assert!(began.elapsed().as_secs() < 60);
}

/// Runs a single case of `flow` and returns its report.
fn case(flow: &str, case: &str, options: &[&str]) -> Value {
    let sandbox = Sandbox::with("flow.yaml", flow);
    sandbox.write("flow.test.yaml", &format!("workflow: flow.yaml\ncases:\n  - {{name: case, {case}}}\n"));
    let ran = sandbox.run(&[&["test", "flow.test.yaml", "-o", "json"], options].concat());
    let report = ran.json()["files"][0]["cases"][0].clone();
    assert_eq!(ran.code == 0, report["passed"] == true, "{ran:?}");
    report
}

#[test]
fn endless_process_is_stopped() {
    let flow = "name: f\nsteps: [{id: slow, argv: [sleep, '600']}]\n";
    let report = case(flow, "timeout: 300ms", &["--allow-real"]);
    let error = report["error"].as_str().unwrap();
    assert!(
        error.starts_with("the case took longer than its `timeout` of 300ms; still running: /main/slow"),
        "{error}"
    );
    assert!(report["duration_ms"].as_u64() < Some(60_000), "{report}");
}

#[test]
fn endless_loop_reaches_a_limit() {
    let flow = "name: f\nsteps:\n  - id: poll\n    type: loop\n    while: 'true'\n    steps: [{id: nap, type: sleep, duration: 1d}]\n";
    let report = case(flow, "expect: {error: {code: loop_iterations_max}}", &[]);
    assert_eq!(report["passed"], true, "{report}");
}

#[test]
fn endless_computing_loop_is_stopped() {
    let flow = "name: f\nsteps:\n  - id: spin\n    type: loop\n    while: 'true'\n    max_iterations: 1000000000\n    steps: [{id: x, type: set, params: {x: 1}}]\n";
    let report = case(flow, "timeout: 200ms", &[]);
    let error = report["error"].as_str().unwrap();
    assert!(error.starts_with("the case took longer than its `timeout` of 200ms"), "{error}");
}

#[test]
fn mocked_sub_workflow_is_retried_and_needs_no_inner_mocks() {
    let flow = "name: f\nworkflows: {sub: {name: sub, steps: [{id: w, type: function, function: missing}]}}\nsteps: [{id: a, workflow: sub, retries: {max_attempts: 3, initial_delay: 2h}}]\n";
    let answers = "mocks: {a: {calls: [{error: down}, {error: down}, {output: up}]}}";
    let report = case(flow, &format!("{answers}, expect: {{output: up, steps: {{a: {{attempts: 3}}}}}}"), &[]);
    assert_eq!(report["passed"], true, "{report}");
    // The last attempt counts.
    let answers = "mocks: {w: {calls: [{error: down}, {output: up}]}}";
    let steps = "{a: {attempts: 2}, a/main/w: {status: completed, output: up}}";
    let report = case(flow, &format!("{answers}, expect: {{steps: {steps}}}"), &[]);
    assert_eq!(report["passed"], true, "{report}");
}

#[test]
fn case_can_run_a_sub_workflow_mocked_by_its_file() {
    let flow = "name: f\nworkflows: {sub: {name: sub, steps: [{id: w, type: set, params: {x: 1}}]}}\nsteps: [{id: a, workflow: sub}]\n";
    let sandbox = Sandbox::with("flow.yaml", flow);
    let cases =
        "[{name: mocked, expect: {output: 7}}, {name: real, mocks: {a: {real: true}}, expect: {output: {x: 1}}}]";
    sandbox.write(
        "flow.test.yaml",
        &format!("workflow: flow.yaml\nmocks: {{'workflow:sub': {{output: 7}}}}\ncases: {cases}\n"),
    );
    sandbox.run(&["test", "flow.test.yaml"]).ok();
}

#[test]
fn waits_in_cleanup_and_before_retries_do_not_hang() {
    let finally = "name: f\nsteps: [{id: a, type: set, params: {x: 1}}]\nfinally: [{id: bye, event: bye}]\n";
    assert_eq!(case(finally, "messages: [{signal: bye}]", &[])["passed"], true);
    let report = case(finally, "expect: {status: completed}", &[]);
    let note = report["mismatches"][0]["note"].as_str().unwrap();
    assert!(note.contains("cleanup_step_max") && note.contains("add `messages: [{signal: bye, data: …}]`"), "{note}");
    let undo = "name: f\nsteps:\n  - {id: a, type: function, function: g, compensate: {event: undone}}\n  - {id: b, type: function, function: h}\n";
    let mocks = "mocks: {'function:g': {output: 1}, 'function:h': {error: {class: validation}}}";
    let sent = format!("{mocks}, messages: [{{signal: undone}}], expect: {{status: compensated}}");
    assert_eq!(case(undo, &sent, &[])["passed"], true);
    let waits = "stop_after: 1m, expect: {status: waiting, steps: {a/$undo: {waits_for: undone}}}";
    let report = case(undo, &format!("{mocks}, {waits}"), &[]);
    assert_eq!(report["passed"], true, "{report}");
    let retry =
        "name: f\nsteps: [{id: a, type: function, function: g, retries: {max_attempts: 9, initial_delay: 2h}}]\n";
    let report = case(retry, "mocks: {a: {error: down}}, stop_after: 1s, expect: {status: waiting}", &[]);
    assert_eq!(report["passed"], true, "{report}");
}

#[test]
fn missing_event_is_named_when_the_run_times_out() {
    let flow = "name: f\ntimeouts: {total: 1h}\nsteps: [{id: a, event: go}]\n";
    let report = case(flow, "expect: {status: completed}", &[]);
    let note = report["mismatches"][0]["note"].as_str().unwrap();
    assert!(note.contains("run_timed_out") && note.contains("add `messages: [{signal: go, data: …}]`"), "{note}");
}

#[test]
fn each_signal_is_received_by_one_step() {
    let flow = "name: f\nworkflows: {sub: {name: sub, steps: [{id: w, event: go}]}}\nsteps:\n  - id: both\n    type: parallel\n    branches: [{id: here, event: go}, {id: there, workflow: sub}]\n";
    let report = case(flow, "messages: [{signal: go}], expect: {status: waiting}", &[]);
    assert_eq!(report["passed"], true, "{report}");
    let report = case(flow, "messages: [{signal: go}, {signal: go}]", &[]);
    assert_eq!(report["passed"], true, "{report}");
    let report = case(flow, "messages: [{signal: go}, {signal: go}, {signal: go}]", &[]);
    assert_eq!(report["mismatches"][0]["at"], "messages/2", "{report}");
}

#[test]
fn file_mocks_not_used_by_any_case_are_reported() {
    let sandbox = Sandbox::with("flow.yaml", "name: f\nsteps: [{id: a, type: function, function: g, condition: on}]\n");
    let file = |case: &str| {
        let mocks = "mocks: {a: {output: 1}}";
        let cases =
            format!("cases: [{{name: off, input: {{on: false}}, {case}}}, {{name: also, input: {{on: false}}}}]");
        sandbox.write("flow.test.yaml", &format!("workflow: flow.yaml\n{mocks}\n{cases}\n"));
    };
    file("expect: {}");
    let ran = sandbox.run(&["test", "flow.test.yaml"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("mocks/a") && ran.out.contains("2 passed, 0 failed, 1 unused mock"), "{ran:?}");
    // The mock may be meant for the other cases.
    sandbox.run(&["test", "flow.test.yaml", "--case", "also"]).ok();
    file("expect: {calls: {a: 0}}");
    sandbox.run(&["test", "flow.test.yaml"]).ok();
}

/// Without a number, a path means the loop; with a number, the iteration.
#[test]
fn expectations_name_a_loop_or_one_of_its_iterations() {
    let flow = "name: w\nsteps:\n  - {id: each, items: [a, b], steps: [{id: one, type: set, params: {v: '{{ loop.item }}'}}]}\n";
    for (steps, passes) in [
        ("each: {status: completed}", true),
        ("/main/each: {status: completed}", true),
        ("'each[1]/one': {output: {v: b}}", true),
        ("'each[1]/one': {output: {v: a}}", false),
        ("'each[0]': {status: completed}", true),
        ("each: {status: failed}", false),
    ] {
        let result = case(flow, &format!("expect: {{steps: {{{steps}}}}}"), &[]);
        assert_eq!(result["passed"], passes, "{steps}: {result}");
    }
}
