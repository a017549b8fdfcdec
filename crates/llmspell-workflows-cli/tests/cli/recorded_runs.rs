//! Tests for commands on recorded runs: state, diff, events, logs, export, import, delete, prune
//! and bulk retry.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Sandbox, Terminal, json_of, wait_until};

const COUNTS: &str = "
name: counts
steps:
  - {id: begin, type: set, params: {count: 0, by: {left: none}}}
  - id: each
    type: loop
    range: {start: 0, end: 3}
    steps:
      - {id: count, type: set, params: {count: '{{ loop.index }}'}}
  - id: both
    type: parallel
    steps:
      - {id: left, type: sequence, steps: [{id: one, type: set, params: {left: 1}}, {id: two, type: set, params: {left: 2}}]}
      - {id: right, type: sequence, steps: [{id: one, type: set, params: {right: 1}}]}
  - {id: end, type: set, params: {end: true}}
";

fn error_of(sandbox: &Sandbox, arguments: &[&str]) -> (i32, String) {
    let ended = sandbox.run(&[arguments, &["-o", "json"]].concat());
    (ended.code, ended.json()["error"]["code"].as_str().unwrap().to_owned())
}

fn newest_run(sandbox: &Sandbox) -> String {
    json_of(sandbox, &["runs", "show", "@last"])["run_id"].as_str().unwrap().to_owned()
}

/// Runs the definition in a new sandbox; returns the sandbox and the run's id.
fn ran(flow: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::with_flow(flow);
    sandbox.run(&["run", "flow.yaml"]);
    let run = newest_run(&sandbox);
    (sandbox, run)
}

#[test]
fn state_is_shown_after_every_step() {
    let (sandbox, run) = ran(COUNTS);
    let by = json!({"left": "none"});
    for (at, expected) in [
        ("begin", json!({"count": 0, "by": by})),
        ("each[0]/count", json!({"count": 0, "by": by})),
        ("each[1]/count", json!({"count": 1, "by": by})),
        ("each", json!({"count": 2, "by": by})),
        // A branch sees its own changes; other branches' changes are merged at the join.
        ("left/one", json!({"count": 2, "by": by, "left": 1})),
        ("right/one", json!({"count": 2, "by": by, "right": 1})),
        ("both", json!({"count": 2, "by": by, "left": 2, "right": 1})),
        ("end", json!({"count": 2, "by": by, "left": 2, "right": 1, "end": true})),
    ] {
        assert_eq!(json_of(&sandbox, &["runs", "state", &run, "--at", at]), expected, "{at}");
    }
    let whole = json!({"count": 2, "by": by, "left": 2, "right": 1, "end": true});
    assert_eq!(json_of(&sandbox, &["runs", "state", &run]), whole);
    assert_eq!(error_of(&sandbox, &["runs", "state", &run, "--at", "nowhere"]), (4, "step_not_found".to_owned()));
    assert_eq!(error_of(&sandbox, &["runs", "state", &run, "--at", "count"]), (2, "ambiguous_step".to_owned()));
}

#[test]
fn current_state_of_an_unfinished_run_is_shown() {
    let flow = COUNTS.replace("  - {id: end,", "  - {id: gate, event: go}\n  - {id: end,");
    let (sandbox, run) = ran(&flow);
    let expected = json!({"count": 2, "by": {"left": "none"}, "left": 2, "right": 1});
    assert_eq!(json_of(&sandbox, &["runs", "state", &run]), expected);
}

#[test]
fn diff_compares_two_runs_or_two_steps() {
    let (sandbox, run) = ran(
        "name: greets\nsteps:\n  - {id: a, type: set, params: {who: '{{ who }}'}}\n  - {id: b, type: set, params: {done: true}}\n",
    );
    assert_eq!(sandbox.run(&["run", "flow.yaml", "--input", "who=Ada"]).code, 0);
    let ada = newest_run(&sandbox);
    assert_eq!(sandbox.run(&["rerun", &ada, "--input", "who=Bob"]).code, 0);
    let bob = newest_run(&sandbox);
    assert_ne!(run, bob);
    let same = sandbox.run(&["runs", "diff", &ada, &ada]);
    assert_eq!((same.code, same.stdout.as_str(), same.stderr.as_str()), (0, "", "no differences\n"));
    let found = json_of(&sandbox, &["runs", "diff", &ada, &bob]);
    let change = |at: &str| json!({"path": at, "before": "Ada", "after": "Bob"});
    let expected = [change("/input/who"), change("/state/who"), change("/steps/~1main~1a/output/who")];
    assert_eq!(found["differences"], json!(expected));
    let text = sandbox.run(&["runs", "diff", &ada, &bob]).stdout;
    assert!(text.contains("-  who: Ada\n+  who: Bob\n"), "{text}");
    let points = json_of(&sandbox, &["runs", "diff", &ada, "--from", "a", "--to", "b"]);
    let expected = json!([
        {"path": "/output/done", "after": true}, {"path": "/output/who", "before": "Ada"}, {"path": "/state/done", "after": true},
    ]);
    assert_eq!(points["differences"], expected);
    assert_eq!(sandbox.run(&["runs", "diff", &ada]).code, 2);
}

#[test]
fn events_are_ordered_by_time() {
    let (sandbox, run) = ran(
        "name: tries\nsteps:\n  - {id: a, type: shell, command: 'test -e ok || { touch ok; exit 1; }', retries: {max_retries: 1, initial_delay: 1ms}}\n  - {id: b, type: set, params: {x: 1}, condition: 'false'}\n",
    );
    let events = json_of(&sandbox, &["runs", "events", &run]);
    let events = events.as_array().unwrap();
    let names: Vec<_> =
        events.iter().map(|one| (one["type"].as_str().unwrap(), one["path"].as_str().unwrap())).collect();
    let a = "/main/a";
    assert_eq!(names[..4], [("run.started", ""), ("step.started", a), ("step.retrying", a), ("step.completed", a)]);
    assert_eq!(names.last(), Some(&("run.completed", "")));
    let times: Vec<jiff::Timestamp> = events.iter().filter_map(|one| one["timestamp"].as_str()?.parse().ok()).collect();
    assert!(times.len() >= 4 && times.is_sorted(), "{times:?}");
    let text = sandbox.run(&["runs", "events", &run]).stdout;
    assert!(text.starts_with("+0µs") && text.contains("step.retrying"), "{text}");
}

#[test]
fn logs_show_process_output_by_path_and_attempt() {
    let (sandbox, run) = ran(
        "name: writes\nsteps:\n  - {id: a, type: shell, command: 'echo out; echo err >&2; test -e ok || { touch ok; exit 3; }', retries: {max_retries: 1, initial_delay: 1ms}}\n  - {id: b, type: shell, command: 'seq 5'}\n",
    );
    let entry = |path: &str, attempt, code, stdout: &str, stderr: &str| json!({"path": path, "attempt": attempt, "status": if code == 0 { "completed" } else { "failed" }, "exit_code": code, "stdout": stdout, "stdout_type": "text", "stderr": stderr, "stderr_type": "text", "lines_left_out": 0, "stdout_bytes_left_out": 0, "stderr_bytes_left_out": 0, "log_error": null});
    let expected = [
        entry("/main/a", 1, 3, "out\n", "err\n"),
        entry("/main/a", 2, 0, "out\n", "err\n"),
        entry("/main/b", 1, 0, "1\n2\n3\n4\n5\n", ""),
    ];
    assert_eq!(json_of(&sandbox, &["runs", "logs", &run]), json!(expected));
    let bounded = sandbox.run(&["runs", "logs", &run, "--step", "b", "--lines", "2"]).stdout;
    let left_out = "  (3 earlier lines not shown; use `--lines` to show more)\n";
    assert_eq!(bounded, format!("/main/b, attempt 1: exit code 0\n{left_out}  4\n  5\n"));
}

const WAITS: &str = "name: waits\nsteps: [{id: a, event: go}, {id: b, event: go}, {id: c, type: shell, command: 'echo c >> effects'}]\n";

#[test]
fn imported_run_can_be_resumed() {
    let (sandbox, run) = ran(WAITS);
    assert_eq!(sandbox.run(&["signal", &run, "go", "--data", "1"]).code, 0);
    assert_eq!(sandbox.run(&["resume", &run]).code, 5);
    let exported = sandbox.run(&["runs", "export", &run, "--file", "run.json"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    assert_eq!(error_of(&sandbox, &["runs", "import", "run.json"]), (1, "run_exists".to_owned()));
    let before = json_of(&sandbox, &["runs", "show", &run]);

    let elsewhere = Sandbox::new().file("run.json", &fs::read_to_string(sandbox.path("run.json")).unwrap());
    assert_eq!(json_of(&elsewhere, &["runs", "import", "run.json"]), json!({"run_id": run, "status": "waiting"}));
    assert_eq!(json_of(&elsewhere, &["runs", "show", &run])["steps"], before["steps"]);
    assert_eq!(elsewhere.run(&["signal", &run, "go", "--data", "2"]).code, 0);
    let resumed = elsewhere.run(&["resume", &run]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    let after = json_of(&elsewhere, &["runs", "show", &run]);
    assert_eq!((&after["steps"][0]["output"]["data"], &after["steps"][1]["output"]["data"]), (&json!(1), &json!(2)));
    assert_eq!(fs::read_to_string(elsewhere.path("effects")).unwrap(), "c\n");
    // Ended runs can be exported too, here through a pipe.
    let document = elsewhere.run(&["runs", "export", &run]).stdout;
    let third = Sandbox::new();
    assert_eq!(third.run_with_stdin(&["runs", "import", "-"], &document).code, 0);
    assert_eq!(json_of(&third, &["runs", "show", &run]), after);
    assert_eq!(json_of(&third, &["store", "verify"])["archived"], 1);
}

#[test]
fn invalid_or_newer_exports_are_rejected() {
    let (sandbox, run) = ran(COUNTS);
    let document = json_of(&sandbox, &["runs", "export", &run]);
    let hash = document["definitions"].as_object().unwrap().keys().next().unwrap().clone();
    type Change = Box<dyn Fn(&mut Value)>;
    let changes: [(Change, i32, &str, &str); 6] = [
        (Box::new(|it| it["spellflow_export"] = json!(4)), 2, "newer_export", "format 4"),
        (Box::new(|it| *it = json!([1])), 2, "invalid_export", "spellflow_export"),
        (Box::new(|it| it["records"] = json!([])), 2, "invalid_export", "no start"),
        (Box::new(|it| it["definitions"] = json!({})), 2, "invalid_export", "is missing"),
        (
            Box::new(move |it| it["definitions"][&hash]["name"] = json!("other")),
            2,
            "invalid_export",
            "a different hash",
        ),
        (Box::new(|it| it["records"][1] = json!({"nothing": 1})), 2, "invalid_export", "`records`"),
    ];
    for (change, code, error, part) in changes {
        let mut changed = document.clone();
        change(&mut changed);
        let elsewhere = Sandbox::new().file("run.json", &changed.to_string());
        let refused = elsewhere.run(&["runs", "import", "run.json", "-o", "json"]);
        let found = &refused.json()["error"];
        assert_eq!((refused.code, &found["code"]), (code, &json!(error)), "{found}");
        assert!(found["message"].as_str().unwrap().contains(part), "{found}");
        assert_eq!(json_of(&elsewhere, &["runs", "list"]), json!([]));
    }
}

#[test]
fn export_contains_no_secret() {
    let flow = "name: hides\nsecrets: [TOKEN]\nsteps: [{id: a, type: shell, command: 'echo $TOKEN; test -n \"$TOKEN\"', env: {TOKEN: '{{ secrets.TOKEN }}'}}]\n";
    let sandbox = Sandbox::with_flow(flow).file("spellflow.toml", "secrets.TOKEN.env = 'PLANTED'\n");
    let mut run = sandbox.command(&["run", "flow.yaml"]);
    assert!(run.env("PLANTED", "planted-5ecret").output().unwrap().status.success());
    let mut export = sandbox.command(&["runs", "export", "@last"]);
    let text = String::from_utf8(export.env("PLANTED", "planted-5ecret").output().unwrap().stdout).unwrap();
    assert!(text.contains("***") && !text.contains("planted-5ecret"), "{text}");
}

#[test]
fn ended_runs_are_deleted_completely() {
    let (sandbox, first) = ran(COUNTS);
    sandbox.run(&["run", "flow.yaml"]);
    let second = newest_run(&sandbox);
    let deleted = json_of(&sandbox, &["runs", "delete", &first]);
    assert_eq!(deleted, json!({"deleted": [first], "held": []}));
    assert_eq!(error_of(&sandbox, &["runs", "show", &first]), (4, "run_not_found".to_owned()));
    // Ended runs are also deleted from the archive.
    assert_eq!(json_of(&sandbox, &["store", "compact"])["archived"], 1);
    assert_eq!(sandbox.run(&["runs", "delete", &second]).code, 0);
    assert_eq!(json_of(&sandbox, &["runs", "list"]), json!([]));
    assert_eq!(json_of(&sandbox, &["store", "verify"])["archived"], 0);

    let (sandbox, run) = ran(WAITS);
    assert_eq!(error_of(&sandbox, &["runs", "delete", &run]), (1, "run_not_ended".to_owned()));
}

#[test]
fn journal_of_a_running_process_is_kept() {
    let sandbox = Sandbox::with_flow(WAITS);
    let first = Terminal::open(&sandbox, &["run", "flow.yaml", "--wait"]);
    let run = wait_until(|| {
        let runs = json_of(&sandbox, &["runs", "list", "--status", "waiting"]);
        runs[0]["run_id"].as_str().map(str::to_owned)
    });
    assert_eq!(error_of(&sandbox, &["runs", "delete", &run]), (1, "run_not_ended".to_owned()));
    let pruned = json_of(&sandbox, &["runs", "prune", "--older-than", "1ms"]);
    assert_eq!(pruned, json!({"deleted": [], "held": []}));
    let compacted = json_of(&sandbox, &["store", "compact"]);
    assert_eq!((&compacted["journals_held"], &compacted["journals_removed"]), (&json!(1), &json!(0)));
    assert_eq!(sandbox.run(&["cancel", &run]).code, 0);
    assert_eq!(first.end().0, Some(130));
    assert_eq!(sandbox.run(&["runs", "delete", &run]).code, 0);
}

#[test]
fn prune_deletes_only_old_matching_runs() {
    let sandbox =
        Sandbox::with_flow(COUNTS).file("fails.yaml", "name: fails\nsteps: [{id: a, type: shell, command: exit 1}]");
    for _ in 0..3 {
        sandbox.run(&["run", "flow.yaml"]);
    }
    sandbox.run(&["run", "fails.yaml"]);
    let sandbox = sandbox.file("waits.yaml", WAITS);
    sandbox.run(&["run", "waits.yaml"]);
    let pruned = |arguments: &[&str], name: &str| {
        json_of(&sandbox, &[&["runs", "prune"], arguments].concat())[name].as_array().unwrap().len()
    };
    let deleted = |arguments: &[&str]| pruned(arguments, "deleted");
    // By default, runs are kept for 30 days.
    assert_eq!(deleted(&[]), 0);
    let old = ["--older-than", "1ms"];
    assert_eq!(pruned(&[&old[..], &["--dry-run"]].concat(), "would_delete"), 4);
    assert_eq!(deleted(&[&old[..], &["--status", "cancelled"]].concat()), 0);
    assert_eq!(deleted(&[&old[..], &["--workflow", "counts", "--keep", "2"]].concat()), 1);
    assert_eq!(deleted(&[&old[..], &["--status", "failed"]].concat()), 1);
    fs::write(sandbox.path("spellflow.toml"), "store.retention = '1ms'\n").unwrap();
    assert_eq!(deleted(&[]), 2);
    let left = json_of(&sandbox, &["runs", "list"]);
    assert_eq!((left.as_array().unwrap().len(), &left[0]["status"]), (1, &json!("waiting")));
    assert_eq!(sandbox.run(&["runs", "prune", "--status", "waiting"]).code, 2);
}

#[test]
fn all_failed_runs_of_a_workflow_are_retried() {
    let fails = |name: &str| {
        format!("name: {name}\nsteps: [{{id: a, type: shell, command: 'test -e ok && echo {name} >> effects'}}]\n")
    };
    let sandbox = Sandbox::new().file("one.yaml", &fails("one")).file("two.yaml", &fails("two"));
    for file in ["one.yaml", "two.yaml", "one.yaml"] {
        assert_eq!(sandbox.run(&["run", file]).code, 1);
    }
    let still = sandbox.run(&["retry", "--failed", "-o", "json"]);
    assert_eq!((still.code, still.json().as_array().unwrap().len()), (1, 3));
    let sandbox = sandbox.file("ok", "");
    let retried = json_of(&sandbox, &["retry", "--failed", "--workflow", "one"]);
    assert!(retried.as_array().unwrap().iter().all(|one| one["status"] == "completed"), "{retried}");
    assert_eq!(fs::read_to_string(sandbox.path("effects")).unwrap(), "one\none\n");
    assert_eq!(json_of(&sandbox, &["retry", "--failed"]).as_array().unwrap().len(), 1);
    assert_eq!(json_of(&sandbox, &["retry", "--failed"]), json!([]));
    assert_eq!(sandbox.run(&["retry"]).code, 2);
}

#[test]
fn failed_runs_are_retried_each_with_its_own_permissions() {
    let sandbox = Sandbox::with_flow(
        "name: f\ninputs: {file: {type: string}}\nsteps:\n  - {id: a, tool: file_operations, params: {operation: read, path: '{{ file }}'}}\n",
    );
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let path = |folder: &tempfile::TempDir| folder.path().join("text").display().to_string();
    for folder in &folders {
        let (file, root) = (format!("file={}", path(folder)), folder.path().to_str().unwrap());
        assert_eq!(sandbox.run(&["run", "flow.yaml", "--input", &file, "--root", root]).code, 1);
    }
    // Without the option, the folder is not permitted.
    assert_eq!(sandbox.run(&["run", "flow.yaml", "--input", &format!("file={}", path(&folders[0]))]).code, 1);
    folders.iter().for_each(|folder| fs::write(folder.path().join("text"), "x").unwrap());
    let retried = sandbox.run(&["retry", "--failed", "-o", "json"]);
    let results = retried.json();
    let statuses: Vec<_> = results.as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["completed", "completed", "failed"], "{results}");
    assert!(results[2]["error"].as_str().unwrap().contains("outside"), "{results}");
    assert_eq!(retried.code, 1);
}
