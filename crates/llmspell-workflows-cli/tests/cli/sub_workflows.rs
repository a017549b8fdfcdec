//! Tests for the runs of sub-workflows whose parent fails, is retried or is stuck.

use std::fs;

use serde_json::json;

use crate::{
    rewind_nested::{effects, runs, with_pipes},
    support::{Sandbox, assert_error, newest_run, show, take_effects},
};

#[test]
fn retry_resumes_a_sub_workflow_cancelled_by_a_sibling_failure() {
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
    let sandbox = Sandbox::with_flow(outer).file("inner.yaml", inner);
    with_pipes(&sandbox);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    let run = newest_run(&sandbox);
    assert_eq!(show(&sandbox, &runs(&sandbox, Some(&run))[0])["status"], "cancelled");
    assert_eq!(take_effects(&sandbox).iter().filter(|line| *line == "begin").count(), 1);
    fs::write(sandbox.path("ok"), "").unwrap();
    let retried = sandbox.run(&["retry", &run]);
    assert_eq!((retried.code, take_effects(&sandbox)), (0, effects(&["long, right, end"])), "{}", retried.stderr);
    assert_eq!(runs(&sandbox, Some(&run)).len(), 1);
}

const WORKS: &str = "
name: inner
inputs: {n: {type: integer, default: 1}}
steps:
  - {id: begin, type: shell, command: 'echo begin {{ n | shell_quote }} >> effects'}
  - {id: work, type: shell, command: 'echo work {{ n | shell_quote }} >> effects; test -e ok'}
";

/// Each attempt of a `workflow` step is a separate run.
#[test]
fn retry_resumes_the_last_run_of_a_retried_sub_workflow() {
    let outer = "name: outer\nsteps: [{id: sub, type: workflow, workflow: inner, retries: {max_retries: 1, initial_delay: 1ms}}]\n";
    let sandbox = Sandbox::with_flow(outer).file("inner.yaml", WORKS);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    assert_eq!(take_effects(&sandbox), ["begin 1", "begin 1", "work 1", "work 1"]);
    let run = newest_run(&sandbox);
    let shown = sandbox.run(&["runs", "show", &run]).stdout;
    assert!(shown.contains("\n  caused by /main/sub/main/work: the process ended with exit code 1"), "{shown}");
    fs::write(sandbox.path("ok"), "").unwrap();
    let retried = sandbox.run(&["retry", &run]);
    assert_eq!((retried.code, take_effects(&sandbox)), (0, effects(&["work 1"])), "{}", retried.stderr);
    let statuses: Vec<_> =
        runs(&sandbox, Some(&run)).iter().map(|child| show(&sandbox, child)["status"].take()).collect();
    assert_eq!(statuses, ["failed", "completed"]);
}

/// Two concurrent runs of a sub-workflow have steps with the same paths.
#[test]
fn steps_of_sub_workflows_are_shown_with_full_paths() {
    let outer = "
name: outer
steps:
  - id: both
    type: parallel
    steps:
      - {id: a, type: workflow, workflow: inner}
      - {id: b, type: workflow, workflow: inner, input: {n: 2}}
";
    let sandbox = Sandbox::with_flow(outer).file("inner.yaml", WORKS).file("ok", "");
    for arguments in [&["run", "flow.yaml"][..], &["run", "flow.yaml", "--in-memory"]] {
        let stderr = sandbox.run(arguments).stderr;
        for path in ["/main/both/a/main/begin", "/main/both/b/main/begin", "/main/both/a/main/work"] {
            let lines = [format!("→ started   {path}  (shell)"), format!("✓ completed {path}  ")];
            assert!(lines.iter().all(|line| stderr.contains(line)), "{stderr}");
        }
        assert!(!stderr.contains(" /main/begin"), "{stderr}");
    }
    let jsonl = sandbox.run(&["run", "flow.yaml", "-o", "jsonl"]).stdout;
    let started = json!({"event": "step.started", "path": "/main/both/b/main/work", "type": "shell"}).to_string();
    assert!(jsonl.lines().any(|line| line == started), "{jsonl}");
    // The full path also works as an argument.
    assert_eq!(sandbox.run(&["fork", "@last", "--from", "/main/both/b/main/work"]).code, 0);
}

/// Resolving one of two identical steps must not affect the other.
#[test]
fn stuck_sub_workflow_step_is_resolved_only_by_an_unambiguous_path() {
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
    let sandbox = Sandbox::with_flow(outer).file("inner.yaml", inner);
    with_pipes(&sandbox);
    let stuck = sandbox.run(&["run", "flow.yaml"]);
    assert_eq!(stuck.code, 8, "{}", stuck.stderr);
    let run = newest_run(&sandbox);
    let paths = [0, 1].map(|index| format!("/main/each[{index}]/sub/main/pay"));
    assert!(paths.iter().all(|path| stuck.stderr.contains(path)), "{}", stuck.stderr);
    for partial in ["pay", "sub/pay", "/main/pay"] {
        let refused = sandbox.run(&["resolve", &run, partial, "--completed", "1", "-o", "json"]);
        assert_error(&refused, 2, "ambiguous_step");
        assert!(paths.iter().all(|path| refused.stdout.contains(path)), "{}", refused.stdout);
    }
    let nowhere = sandbox.run(&["resolve", &run, "each[2]/sub/pay", "--completed", "1", "-o", "json"]);
    assert_error(&nowhere, 4, "not_stuck");
    assert_eq!(sandbox.run(&["resolve", &run, &paths[1], "--completed", "\"right\""]).code, 8);
    let resolved = sandbox.run(&["resolve", &run, "each[0]/sub/pay", "--completed", "\"left\"", "-o", "json"]);
    assert_eq!((resolved.code, &resolved.json()["output"]["results"]), (0, &json!(["left", "right"])));
}
