//! What becomes of the run of a sub-workflow where the run around it does something special.

use std::fs;

use serde_json::json;

use crate::{
    again_inside::{effects, runs, with_pipes},
    support::{Place, expect, newest, performed, show},
};

#[test]
fn a_sub_workflow_that_a_failure_beside_it_cancelled_goes_on_when_that_is_retried() {
    let outer = "
name: outer
steps:
  - id: both
    type: parallel
    error_mode: fail_fast
    steps:
      - {id: sub, type: workflow, workflow: inner}
      - {id: right, type: shell, command: 'read up < alive; echo right >> effects; test -e ok'}
";
    let inner = "
name: inner
steps:
  - {id: begin, type: shell, command: 'echo begin >> effects'}
  - {id: long, type: shell, command: 'echo up > alive; echo long >> effects; test -e ok || read told < tell'}
  - {id: end, type: shell, command: 'echo end >> effects'}
";
    let place = Place::with_flow(outer).file("inner.yaml", inner);
    with_pipes(&place);
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 1);
    let run = newest(&place);
    assert_eq!(show(&place, &runs(&place, Some(&run))[0])["status"], "cancelled");
    assert_eq!(performed(&place).iter().filter(|line| *line == "begin").count(), 1);
    fs::write(place.path("ok"), "").unwrap();
    let retried = place.run(&["retry", &run]);
    assert_eq!((retried.code, performed(&place)), (0, effects(&["long, right, end"])), "{}", retried.stderr);
    assert_eq!(runs(&place, Some(&run)).len(), 1);
}

const WORKS: &str = "
name: inner
inputs: {n: {type: integer, default: 1}}
steps:
  - {id: begin, type: shell, command: 'echo begin {{ n }} >> effects'}
  - {id: work, type: shell, command: 'echo work {{ n }} >> effects; test -e ok'}
";

/// Each attempt of such a step is a run of its own.
#[test]
fn of_a_sub_workflow_that_was_tried_twice_the_last_run_goes_on() {
    let outer = "name: outer\nsteps: [{id: sub, type: workflow, workflow: inner, retries: {max_retries: 1, initial_delay: 1ms}}]\n";
    let place = Place::with_flow(outer).file("inner.yaml", WORKS);
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 1);
    assert_eq!(performed(&place), ["begin 1", "begin 1", "work 1", "work 1"]);
    let run = newest(&place);
    fs::write(place.path("ok"), "").unwrap();
    let retried = place.run(&["retry", &run]);
    assert_eq!((retried.code, performed(&place)), (0, effects(&["work 1"])), "{}", retried.stderr);
    let statuses: Vec<_> = runs(&place, Some(&run)).iter().map(|child| show(&place, child)["status"].take()).collect();
    assert_eq!(statuses, ["failed", "completed"]);
}

/// Two of them at once have steps of the same paths, each in its own run.
#[test]
fn steps_of_sub_workflows_are_shown_with_their_whole_paths() {
    let outer = "
name: outer
steps:
  - id: both
    type: parallel
    steps:
      - {id: a, type: workflow, workflow: inner}
      - {id: b, type: workflow, workflow: inner, input: {n: 2}}
";
    let place = Place::with_flow(outer).file("inner.yaml", WORKS).file("ok", "");
    for arguments in [&["run", "flow.yaml"][..], &["run", "flow.yaml", "--in-memory"]] {
        let said = place.run(arguments).stderr;
        for path in ["/main/both/a/main/begin", "/main/both/b/main/begin", "/main/both/a/main/work"] {
            let lines = [format!("→ started   {path}  (shell)"), format!("✓ completed {path}  ")];
            assert!(lines.iter().all(|line| said.contains(line)), "{said}");
        }
        assert!(!said.contains(" /main/begin"), "{said}");
    }
    let jsonl = place.run(&["run", "flow.yaml", "-o", "jsonl"]).stdout;
    let started = json!({"event": "step_started", "path": "/main/both/b/main/work", "type": "shell"}).to_string();
    assert!(jsonl.lines().any(|line| line == started), "{jsonl}");
    // They can be named so.
    assert_eq!(place.run(&["fork", "@last", "--from", "/main/both/b/main/work"]).code, 0);
}

/// What became of one of two equal steps says nothing of the other.
#[test]
fn a_stuck_step_of_a_sub_workflow_is_resolved_by_its_whole_path_and_never_by_half_of_it() {
    let outer = "
name: outer
steps:
  - id: each
    type: loop
    range: {start: 0, end: 2}
    mode: parallel
    steps: [{id: sub, type: workflow, workflow: inner}]
";
    let inner = "
name: inner
steps:
  - {id: pay, type: shell, at_most_once: true, timeout: 100ms, command: 'read told < tell'}
";
    let place = Place::with_flow(outer).file("inner.yaml", inner);
    with_pipes(&place);
    let stuck = place.run(&["run", "flow.yaml"]);
    assert_eq!(stuck.code, 8, "{}", stuck.stderr);
    let run = newest(&place);
    let paths = [0, 1].map(|index| format!("/main/each[{index}]/sub/main/pay"));
    assert!(paths.iter().all(|path| stuck.stderr.contains(path)), "{}", stuck.stderr);
    for half in ["pay", "sub/pay", "/main/pay"] {
        let refused = place.run(&["resolve", &run, half, "--completed", "1", "-o", "json"]);
        expect(&refused, 2, "ambiguous_step");
        assert!(paths.iter().all(|path| refused.stdout.contains(path)), "{}", refused.stdout);
    }
    let nowhere = place.run(&["resolve", &run, "each[2]/sub/pay", "--completed", "1", "-o", "json"]);
    expect(&nowhere, 4, "not_stuck");
    assert_eq!(place.run(&["resolve", &run, &paths[1], "--completed", "\"right\""]).code, 8);
    let resolved = place.run(&["resolve", &run, "each[0]/sub/pay", "--completed", "\"left\"", "-o", "json"]);
    assert_eq!((resolved.code, &resolved.json()["output"]["results"]), (0, &json!(["left", "right"])));
}
