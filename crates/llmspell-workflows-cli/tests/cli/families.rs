//! Sub-workflows follow their parent runs.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Sandbox, assert_error, json_of, newest_run, show, take_effects};

/// A workflow whose sub-workflow waits for an event, followed by a step that fails until a file
/// `ok` exists.
const WAITS: &str = "
name: outer
workflows:
  kid:
    name: kid
    steps:
      - {id: k, type: shell, command: 'echo k >> effects', compensate: {type: shell, command: 'echo undo-k >> effects'}}
      - {id: w, type: wait_for_event, event: go}
    finally: [{id: clean, type: shell, command: 'echo clean >> effects'}]
steps:
  - {id: a, type: shell, command: 'echo a >> effects', compensate: {type: shell, command: 'echo undo-a >> effects'}}
  - {id: sub, type: workflow, workflow: kid}
  - {id: last, type: shell, command: 'echo last >> effects; test -e ok'}
";

/// Returns a sandbox that contains the waiting run, the run's id and its sub-workflow's id.
fn waiting() -> (Sandbox, String, String) {
    let sandbox = Sandbox::with_flow(WAITS);
    let ended = sandbox.run(&["run", "flow.yaml"]);
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    let run = newest_run(&sandbox);
    let children = json_of(&sandbox, &["runs", "list", "--parent", &run]);
    let child = children[0]["run_id"].as_str().unwrap().to_owned();
    // The hint names the waiting run, the event, and the run to resume.
    let hint = format!("next: spellflow signal {child} go\nthen: spellflow resume {run} ");
    assert!(ended.stderr.contains(&hint), "{}", ended.stderr);
    (sandbox, run, child)
}

fn ran(sandbox: &Sandbox) -> Vec<String> {
    fs::read_to_string(sandbox.path("effects")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn status(sandbox: &Sandbox, run: &str) -> Value {
    show(sandbox, run)["status"].clone()
}

#[test]
fn waiting_run_shows_the_wait_of_its_sub_workflow() {
    let (sandbox, run, child) = waiting();
    let shown = show(&sandbox, &run);
    assert_eq!(shown["children"], json!([child]));
    let [wait] = shown["waits"].as_array().unwrap().as_slice() else { panic!("{}", shown["waits"]) };
    let command = format!("spellflow signal {child} go");
    for (field, expected) in [
        ("path", json!("/main/sub/main/w")),
        ("run_id", json!(child)),
        ("for", json!("go")),
        ("until", json!(null)),
        ("command", json!(command)),
    ] {
        assert_eq!(wait[field], expected, "{field}");
    }
    assert!(wait["since"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{wait}");
    let text = sandbox.run(&["runs", "show", &run]).stdout;
    let line = format!("/main/sub/main/w of run {child}: waiting for the event `go` since ");
    assert!(text.contains(&line) && text.contains(&format!("next: {command}\n")), "{text}");
}

#[test]
fn signal_to_parent_or_child_reaches_the_waiting_step() {
    for to_child in [false, true] {
        let (sandbox, run, child) = waiting();
        fs::write(sandbox.path("ok"), "").unwrap();
        let signalled = sandbox.run(&["signal", if to_child { &child } else { &run }, "go"]);
        assert_eq!(signalled.code, 0, "{}", signalled.stderr);
        assert!(signalled.stderr.contains(&format!("`spellflow resume {run}`")), "{}", signalled.stderr);
        let resumed = sandbox.run(&["resume", &run]);
        assert_eq!(resumed.code, 0, "{}", resumed.stderr);
        assert_eq!(ran(&sandbox), ["a", "k", "clean", "last"]);
    }
    let (sandbox, run, _) = waiting();
    let other = sandbox.run(&["signal", &run, "other"]);
    assert!(
        other.stderr.contains("no step is waiting for `other`; kept for later; waiting now: `go`"),
        "{}",
        other.stderr
    );
}

#[test]
fn sub_workflow_and_parent_are_cancelled_together() {
    for (to_child, compensates, expected) in [
        (false, false, &["a", "k", "clean"][..]),
        (false, true, &["a", "k", "undo-k", "clean", "undo-a"]),
        (true, false, &["a", "k", "clean"]),
    ] {
        let (sandbox, run, child) = waiting();
        let mut arguments = vec!["cancel", if to_child { &child } else { &run }];
        arguments.extend(compensates.then_some("--compensate"));
        let cancelled = sandbox.run(&arguments);
        assert_eq!(ran(&sandbox), expected, "{arguments:?}: {}", cancelled.stderr);
        let ends = if compensates { ["compensated"; 2] } else { ["cancelled"; 2] };
        assert_eq!([status(&sandbox, &run), status(&sandbox, &child)], ends.map(|end| json!(end)), "{arguments:?}");
    }
}

/// However the run ends, a waiting sub-workflow is ended first, and its `finally` steps run.
#[test]
fn waiting_sub_workflow_is_ended_before_its_parent() {
    for (block, status_of_run, expected) in [
        (
            "error_mode: fail_fast, steps: [SUB, {id: bad, type: shell, command: 'until grep -q k effects; do sleep 0.01; done; exit 1'}]",
            "failed",
            &["k", "undo-k", "clean"][..],
        ),
        (
            "wait_for: any, steps: [SUB, {id: good, type: shell, command: 'until grep -q k effects; do sleep 0.01; done'}]",
            "completed",
            &["k", "clean"],
        ),
    ] {
        let sub = "{id: sub, type: workflow, workflow: kid}";
        let kid = &WAITS[..WAITS.find("steps:\n  - {id: a,").unwrap()];
        let flow = format!("{kid}steps:\n  - {{id: both, type: parallel, {}}}\n", block.replace("SUB", sub));
        let sandbox = Sandbox::with_flow(&flow);
        sandbox.run(&["run", "flow.yaml"]);
        let run = newest_run(&sandbox);
        let ended = status(&sandbox, &run);
        assert!(ended == json!(status_of_run) || (ended == "compensated" && status_of_run == "failed"), "{ended}");
        let children = json_of(&sandbox, &["runs", "list", "--parent", &run]);
        assert!(["cancelled", "compensated"].contains(&children[0]["status"].as_str().unwrap()), "{children}");
        let mut all = ran(&sandbox);
        all.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(all, expected, "{block}");
    }
}

#[test]
fn sub_workflow_steps_are_undone_when_the_parent_fails() {
    let (sandbox, run, child) = waiting();
    assert_eq!(sandbox.run(&["signal", &run, "go"]).code, 0);
    let resumed = sandbox.run(&["resume", &run]);
    assert_eq!(resumed.code, 1, "{}", resumed.stderr);
    assert_eq!(ran(&sandbox), ["a", "k", "clean", "last", "undo-k", "undo-a"]);
    assert_eq!([status(&sandbox, &run), status(&sandbox, &child)], [json!("compensated"), json!("compensated")]);
}

#[test]
fn sub_workflow_is_archived_exported_and_deleted_with_its_parent() {
    let sandbox = Sandbox::with_flow(
        "name: outer\nworkflows: {kid: {name: kid, steps: [{id: k, type: shell, command: 'echo k >> effects'}]}}\n\
         steps: [{id: sub, type: workflow, workflow: kid}, {id: w, type: wait_for_event, event: go}]\n",
    );
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let run = newest_run(&sandbox);
    let child = json_of(&sandbox, &["runs", "list", "--parent", &run])[0]["run_id"].as_str().unwrap().to_owned();
    // An ended sub-workflow stays in the journal while its parent is unfinished.
    let compacted = json_of(&sandbox, &["store", "compact"]);
    assert_eq!(compacted["archived"], 0, "{compacted}");
    assert_error(&sandbox.run(&["runs", "delete", &child, "-o", "json"]), 1, "run_is_child");
    assert_error(&sandbox.run(&["runs", "export", &child, "-o", "json"]), 1, "run_is_child");
    // An export contains both runs, and the imported sub-workflow does not run again.
    assert_eq!(sandbox.run(&["runs", "export", &run, "--file", "run.json"]).code, 0);
    // Without its sub-workflow, the run would start it again.
    let mut export: Value = serde_json::from_str(&fs::read_to_string(sandbox.path("run.json")).unwrap()).unwrap();
    export["children"] = json!([]);
    fs::write(sandbox.path("cut.json"), export.to_string()).unwrap();
    let refused = sandbox.run(&["runs", "import", "cut.json", "--store", "other", "-o", "json"]);
    assert_error(&refused, 2, "invalid_export");
    assert!(refused.stdout.contains("lacks its sub-workflow"), "{}", refused.stdout);
    assert_eq!(sandbox.run(&["runs", "import", "run.json", "--store", "other"]).code, 0);
    assert_eq!(sandbox.run(&["signal", &run, "go", "--store", "other"]).code, 0);
    assert_eq!(sandbox.run(&["resume", &run, "--store", "other"]).code, 0);
    assert_eq!(take_effects(&sandbox), ["k"]);
    assert_eq!(json_of(&sandbox, &["store", "compact", "--store", "other"])["archived"], 2);
    assert_eq!(sandbox.run(&["store", "verify", "--store", "other"]).code, 0);
    assert_eq!(sandbox.run(&["runs", "delete", &run, "--store", "other"]).code, 0);
    assert_eq!(json_of(&sandbox, &["runs", "list", "--store", "other"]), json!([]));
}

#[test]
fn run_with_a_stuck_sub_workflow_is_stuck() {
    let sandbox = Sandbox::with_flow(
        "name: outer\nworkflows: {kid: {name: kid, steps: [{id: pay, type: shell, at_most_once: true, timeout: 100ms, command: 'sleep 9'}]}}\n\
         steps: [{id: sub, type: workflow, workflow: kid}]\n",
    );
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 8);
    let listed = json_of(&sandbox, &["runs", "list"]);
    let statuses: Vec<&str> = listed.as_array().unwrap().iter().map(|run| run["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["stuck", "stuck"]);
    let resolved = sandbox.run(&["resolve", "@last", "pay", "--completed", "1"]);
    assert_eq!(resolved.code, 0, "{}", resolved.stderr);
    assert_eq!(show(&sandbox, "@last")["status"], "completed");
}
