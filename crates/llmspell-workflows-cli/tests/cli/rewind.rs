//! Tests for the commands `retry`, `rerun` and `fork`, and for `resume` with a newer version of the
//! definition.

use std::fs;

use serde_json::json;

use crate::support::{Sandbox, assert_error, newest_run, show, take_effects};

/// A loop in a branch; the second iteration fails until a file `ok` exists.
const NESTED: &str = "
name: nested
inputs: {who: {type: string, default: nobody}}
steps:
  - {id: first, type: shell, command: 'echo first {{ who | shell_quote }} >> effects'}
  - id: both
    type: parallel
    steps:
      - id: left
        type: sequence
        steps:
          - id: each
            type: loop
            range: {start: 0, end: 3}
            steps:
              - {id: work, type: shell, command: 'echo work {{ loop.index | shell_quote }} >> effects; test -e ok || test {{ loop.index | shell_quote }} != 1'}
              - {id: note, type: shell, command: 'echo note {{ loop.index | shell_quote }} >> effects'}
      - {id: right, type: shell, command: 'echo right >> effects'}
  - {id: last, type: shell, command: 'echo last >> effects'}
";

/// Returns a sandbox with a run that failed in the loop, and the run's id.
fn failed() -> (Sandbox, String) {
    let sandbox = Sandbox::with_flow(NESTED);
    let ended = sandbox.run(&["run", "flow.yaml"]);
    assert_eq!(ended.code, 1);
    let run = newest_run(&sandbox);
    assert!(ended.stderr.contains(&format!("next: spellflow retry {run}")), "{}", ended.stderr);
    assert_eq!(take_effects(&sandbox), ["first nobody", "note 0", "right", "work 0", "work 1"]);
    (sandbox, run)
}

fn completed() -> (Sandbox, String) {
    let sandbox = Sandbox::with_flow(NESTED).file("ok", "");
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    take_effects(&sandbox);
    let run = newest_run(&sandbox);
    (sandbox, run)
}

#[test]
fn retry_reruns_the_failed_step_and_later_steps() {
    let (sandbox, run) = failed();
    assert_eq!(sandbox.run(&["retry", &run]).code, 1);
    assert_eq!(take_effects(&sandbox), ["work 1"]);
    fs::write(sandbox.path("ok"), "").unwrap();
    let retried = sandbox.run(&["retry", &run, "-o", "json"]);
    assert_eq!((retried.code, &retried.json()["run_id"]), (0, &json!(run)), "{}", retried.stderr);
    assert_eq!(take_effects(&sandbox), ["last", "note 1", "note 2", "work 1", "work 2"]);
    assert_error(&sandbox.run(&["retry", &run, "-o", "json"]), 1, "run_not_failed");
}

#[test]
fn retry_from_a_loop_step_accepts_a_new_input() {
    let (sandbox, run) = failed();
    let input = r#"{"command": "echo instead >> effects"}"#;
    let retried = sandbox.run(&["retry", &run, "--from", "each[1]/work", "--step-input", input]);
    assert_eq!(retried.code, 0, "{}", retried.stderr);
    assert_eq!(take_effects(&sandbox), ["instead", "last", "note 1", "note 2", "work 2"]);

    let (sandbox, run) = failed();
    fs::write(sandbox.path("ok"), "").unwrap();
    assert_eq!(sandbox.run(&["retry", &run, "--from", "each[0]/note"]).code, 0);
    assert_eq!(take_effects(&sandbox), ["last", "note 0", "note 1", "note 2", "work 1", "work 2"]);
}

#[test]
fn fork_from_a_loop_step_leaves_the_original_run_unchanged() {
    let (sandbox, run) = completed();
    let before = show(&sandbox, &run);
    let forked = sandbox.run(&["fork", &run, "--from", "/main/both/left/each[1]/work", "-o", "json"]);
    assert_eq!(forked.code, 0, "{}", forked.stderr);
    assert_eq!(take_effects(&sandbox), ["last", "note 1", "note 2", "work 1", "work 2"]);
    let input = r#"{"command": "echo instead >> effects"}"#;
    let edited = sandbox.run(&["fork", &run, "--from", "each[2]/note", "--step-input", input]);
    assert_eq!(edited.code, 0, "{}", edited.stderr);
    assert_eq!(take_effects(&sandbox), ["instead", "last"]);
    assert_eq!(show(&sandbox, &run), before);
    let text = sandbox.run(&["runs", "show", "@last"]).stdout;
    assert!(text.contains(&format!("created from run {run} at /main/both/left/each[2]/note")), "{text}");
    assert_ne!(newest_run(&sandbox), run);
    for (from, code, error) in
        [("nowhere", 4, "step_not_found"), ("work", 2, "ambiguous_step"), ("each[1]/wrk", 4, "step_not_found")]
    {
        assert_error(&sandbox.run(&["fork", &run, "--from", from, "-o", "json"]), code, error);
    }
    let block = sandbox.run(&["fork", &run, "--from", "left", "--step-input", "1", "-o", "json"]);
    assert_error(&block, 2, "no_step_input");
}

/// Leaves of different iterations have the same path suffix.
#[test]
fn ambiguous_step_is_rejected_with_all_candidates() {
    let (sandbox, run) = completed();
    let ambiguous = sandbox.run(&["fork", &run, "--from", "work"]).stderr;
    let all = [0, 1, 2].map(|index| format!("/main/both/left/each[{index}]/work")).join(", ");
    assert_eq!(ambiguous, format!("error: `work` could be any of {all}\n"));
}

/// A fork does not inherit events received by the original run after the forked step; it waits for
/// new events.
#[test]
fn fork_keeps_earlier_events_and_waits_for_new_ones() {
    let steps = "[{id: a, event: go}, {id: b, event: go}, {id: c, type: shell, command: 'echo c >> effects'}]";
    let sandbox = Sandbox::with_flow(&format!("name: waits\nsteps: {steps}\n"));
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let run = newest_run(&sandbox);
    for data in ["1", "2"] {
        assert_eq!(sandbox.run(&["signal", &run, "go", "--data", data]).code, 0);
    }
    assert_eq!(sandbox.run(&["resume", &run]).code, 0);
    let before = show(&sandbox, &run);
    assert_eq!(sandbox.run(&["fork", &run, "--from", "b"]).code, 5);
    let fork = newest_run(&sandbox);
    assert_eq!(sandbox.run(&["signal", &fork, "go", "--data", "3"]).code, 0);
    assert_eq!(sandbox.run(&["resume", &fork]).code, 0, "{}", show(&sandbox, &fork));
    let after = show(&sandbox, &fork);
    assert_eq!((&after["steps"][0]["output"]["data"], &after["steps"][1]["output"]["data"]), (&json!(1), &json!(3)));
    assert_eq!(show(&sandbox, &run), before);
}

#[test]
fn rerun_executes_all_steps_and_accepts_a_new_input_and_definition() {
    let (sandbox, run) = completed();
    let before = show(&sandbox, &run);
    assert_eq!(sandbox.run(&["rerun", &run, "--input", "who=Ada"]).code, 0);
    let all = ["first Ada", "last", "note 0", "note 1", "note 2", "right", "work 0", "work 1", "work 2"];
    assert_eq!(take_effects(&sandbox), all);
    // A rerun uses the recorded definition, even if the file has changed.
    fs::write(
        sandbox.path("flow.yaml"),
        "name: nested\nsteps: [{id: only, type: shell, command: 'echo only >> effects'}]",
    )
    .unwrap();
    assert_eq!(sandbox.run(&["rerun", "@last"]).code, 0);
    assert_eq!(take_effects(&sandbox), all);
    assert_eq!(sandbox.run(&["rerun", "@last", "--definition", "flow.yaml"]).code, 0);
    assert_eq!(take_effects(&sandbox), ["only"]);
    assert_eq!(show(&sandbox, &run), before);
}

#[test]
fn resume_with_a_newer_version_migrates_the_state() {
    let flow = |version: &str, list: &str, more: &str| {
        let steps = format!(
            "steps:\n  - id: each\n    type: loop\n    items: [1, 2]\n    steps:\n      - {{id: add, type: set, params: {{{list}: '{{{{ concat(state.{list} || [], [loop.item]) }}}}'}}}}\n  - {{id: gate, event: go}}\n  - {{id: last, type: set, params: {{all: '{{{{ state.{list} }}}}'}}}}\n"
        );
        format!("name: shop\nversion: {version}\n{more}{steps}")
    };
    let migration = "migrations:\n  1.0.0:\n    rename: {cart: basket}\n    set: {count: '{{ len(state.cart) }}'}\n";
    let sandbox = Sandbox::with_flow(&flow("1.0.0", "cart", ""))
        .file("later.yaml", &flow("2.0.0", "basket", migration))
        .file("other.yaml", &flow("3.0.0", "basket", &migration.replace("1.0.0", "2.0.0")));
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let run = newest_run(&sandbox);
    assert_eq!(sandbox.run(&["signal", &run, "go"]).code, 0);
    let refused = sandbox.run(&["resume", &run, "--definition", "other.yaml", "-o", "json"]);
    assert_error(&refused, 2, "no_migration");
    let accepted = sandbox.run(&["resume", &run, "--definition", "later.yaml"]);
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    // Recorded steps are counted instead of being shown as if they ran again.
    assert!(accepted.stderr.contains("that ended earlier"), "{}", accepted.stderr);
    assert!(!accepted.stderr.contains("each[0]"), "{}", accepted.stderr);
    let state: serde_json::Value =
        serde_json::from_str(&sandbox.run(&["runs", "state", &run, "-o", "json"]).stdout).unwrap();
    assert_eq!(state, json!({"basket": [1, 2], "count": 2, "all": [1, 2]}));
    let events = sandbox.run(&["runs", "events", &run]).stdout;
    assert!(events.contains("run.redefined"), "{events}");
}
