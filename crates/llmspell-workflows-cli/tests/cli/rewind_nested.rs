//! Tests that retry, rerun, fork and resume runs at a deeply nested step. The step is in a loop in
//! a branch of a sub-workflow from another file, and the `workflow` step is itself in a loop in a
//! branch.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    Sandbox, TIMEOUT, Terminal, assert_error, newest_run, release_step, show, take_effects, wait_until,
};

const OUTER: &str = "
name: outer
steps:
  - {id: first, type: shell, command: 'echo first >> effects'}
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
              - {id: before, type: shell, command: 'echo before {{ loop.index | shell_quote }} >> effects'}
              - {id: sub, type: workflow, workflow: inner, input: {n: '{{ loop.index }}'}}
              - {id: after, type: shell, command: 'echo after {{ loop.index | shell_quote }} >> effects'}
      - {id: right, type: shell, command: 'echo right >> effects'}
  - {id: last, type: shell, command: 'echo last >> effects'}
";

/// Work 1.1 fails if a file `bad` exists. If a file `hold` exists, work 1.1 waits for a line from
/// the pipe `tell`.
const INNER: &str = "
name: inner
inputs: {n: {type: integer}}
steps:
  - {id: begin, type: shell, command: 'echo begin {{ n | shell_quote }} >> effects'}
  - id: forked
    type: parallel
    steps:
      - id: one
        type: sequence
        steps:
          - id: turn
            type: loop
            range: {start: 0, end: 2}
            steps:
              - id: work
                type: shell
                command: |
                  echo work {{ n | shell_quote }}.{{ loop.index | shell_quote }} >> effects
                  test {{ n | shell_quote }}.{{ loop.index | shell_quote }} = 1.1 || exit 0
                  if test -e hold; then echo up > alive; read told < tell; fi
                  test ! -e bad
              - {id: note, type: shell, command: 'echo note {{ n | shell_quote }}.{{ loop.index | shell_quote }} >> effects'}
      - {id: two, type: shell, command: 'echo two {{ n | shell_quote }} >> effects'}
  - {id: end, type: shell, command: 'echo end {{ n | shell_quote }} >> effects'}
";

/// The path of the second iteration's sub-workflow.
const SUB: &str = "/main/both/left/each[1]/sub";

/// The effects of the third iteration and the steps after the loop.
const REST: &str = "before 2, begin 2, work 2.0, note 2.0, work 2.1, note 2.1, two 2, end 2, after 2, last";

const INSTEAD: &str = r#"{"command": "echo instead >> effects"}"#;

/// Splits comma-separated lists of effects, and returns all effects sorted.
pub(crate) fn effects(parts: &[&str]) -> Vec<String> {
    let mut all: Vec<_> = parts.iter().flat_map(|part| part.split(", ")).map(str::to_owned).collect();
    all.sort_unstable();
    all
}

fn all_effects() -> Vec<String> {
    let first = "first, right, before 0, begin 0, work 0.0, note 0.0, work 0.1, note 0.1, two 0, end 0, after 0";
    let second = "before 1, begin 1, work 1.0, note 1.0, work 1.1, note 1.1, two 1, end 1, after 1";
    effects(&[first, second, REST])
}

fn sandbox() -> Sandbox {
    Sandbox::with_flow(OUTER).file("inner.yaml", INNER)
}

fn completed() -> (Sandbox, String) {
    let sandbox = sandbox();
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    assert_eq!(take_effects(&sandbox), all_effects());
    let run = newest_run(&sandbox);
    (sandbox, run)
}

/// Returns a sandbox and a run that failed in work 1.1; work 1.1 will not fail again.
fn failed() -> (Sandbox, String) {
    let sandbox = sandbox().file("bad", "");
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    assert!(take_effects(&sandbox).contains(&"work 1.1".to_owned()));
    fs::remove_file(sandbox.path("bad")).unwrap();
    let run = newest_run(&sandbox);
    (sandbox, run)
}

/// Returns the ids of all runs, or of the child runs of `parent`, oldest first.
pub(crate) fn runs(sandbox: &Sandbox, parent: Option<&str>) -> Vec<String> {
    let listed = sandbox.run(&["runs", "list", "-o", "json"]).json();
    let of_parent = |run: &&Value| parent.is_none_or(|parent| run["parent_run_id"] == parent);
    let id = |run: &Value| run["run_id"].as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().rev().filter(of_parent).map(id).collect()
}

/// Returns the output of all commands that show the runs `ids`: export, steps, events, state and
/// logs.
fn snapshots(sandbox: &Sandbox, ids: &[String]) -> Vec<String> {
    snapshots_by(&["export", "show", "events", "state", "logs"], sandbox, ids)
}

fn snapshots_by(commands: &[&str], sandbox: &Sandbox, ids: &[String]) -> Vec<String> {
    let mut snapshots = Vec::new();
    for id in ids {
        for command in commands {
            let ended = sandbox.run(&["runs", command, id, "-o", "json"]);
            if ended.stdout.contains("is exported with it") {
                // The parent's export contains the sub-workflow.
                continue;
            }
            assert_eq!(ended.code, 0, "{command}: {}", ended.stderr);
            let is_time = |line: &&str| line.trim_start().starts_with("\"exported_at\":");
            snapshots.push(ended.stdout.lines().filter(|line| !is_time(line)).collect::<Vec<_>>().join("\n"));
        }
    }
    snapshots
}

/// Returns the steps from which a completed run is forked, each with an optional input and the effects of the fork.
fn points() -> Vec<(String, Option<&'static str>, Vec<String>)> {
    let rest = |own: &str| effects(&[own, REST]);
    vec![
        (format!("{SUB}/main/forked/one/turn[0]/note"), None, rest("note 1.0, work 1.1, note 1.1, end 1, after 1")),
        (format!("{SUB}/main/forked/one/turn[1]/work"), None, rest("work 1.1, note 1.1, end 1, after 1")),
        (
            format!("{SUB}/main/forked/one/turn[0]/work"),
            Some(INSTEAD),
            rest("instead, note 1.0, work 1.1, note 1.1, end 1, after 1"),
        ),
        // A path suffix is enough, even if it begins outside the sub-workflow.
        ("each[1]/sub/main/forked/two".to_owned(), None, rest("two 1, end 1, after 1")),
        ("each[2]/sub/main/end".to_owned(), Some(INSTEAD), effects(&["instead, after 2, last"])),
        // The first step can also be an iteration, a block, or the whole sub-workflow, which
        // accepts an input.
        (format!("{SUB}/main/forked/one/turn[1]"), None, rest("work 1.1, note 1.1, end 1, after 1")),
        (format!("{SUB}/main/forked"), None, rest("work 1.0, note 1.0, work 1.1, note 1.1, two 1, end 1, after 1")),
        (SUB.to_owned(), None, rest("begin 1, work 1.0, note 1.0, work 1.1, note 1.1, two 1, end 1, after 1")),
        (
            SUB.to_owned(),
            Some(r#"{"n": 7}"#),
            rest("begin 7, work 7.0, note 7.0, work 7.1, note 7.1, two 7, end 7, after 1"),
        ),
        ("each[1]/after".to_owned(), Some(INSTEAD), rest("instead")),
        ("right".to_owned(), None, effects(&["right, last"])),
    ]
}

#[test]
fn fork_reruns_the_chosen_and_later_steps_and_leaves_old_runs_unchanged() {
    let (sandbox, run) = completed();
    let old = runs(&sandbox, None);
    assert_eq!(old.len(), 4);
    let (before, exports) = (snapshots(&sandbox, &old), snapshots_by(&["export"], &sandbox, &old));
    for (from, input, expected) in points() {
        let mut arguments = vec!["fork", &run, "--from", &from];
        arguments.extend(input.iter().flat_map(|input| ["--step-input", input]));
        let ended = sandbox.run(&arguments);
        assert_eq!(ended.code, 0, "{from}: {}", ended.stderr);
        assert_eq!(take_effects(&sandbox), expected, "{from}");
        let fork = newest_run(&sandbox);
        assert_ne!(fork, run);
        let text = sandbox.run(&["runs", "show", &fork]).stdout;
        let origin = text.lines().nth(1).unwrap();
        assert!(
            origin.starts_with(&format!("created from run {run} at /main/")) && origin.ends_with(&from),
            "{origin}"
        );
        assert!(snapshots_by(&["export"], &sandbox, &old) == exports, "an old run has changed with {from}");
    }
    // A fork of a sub-workflow's run is an independent run.
    let child = &runs(&sandbox, Some(&run))[1];
    assert_eq!(sandbox.run(&["fork", child, "--from", "turn[1]/note"]).code, 0);
    assert_eq!(take_effects(&sandbox), effects(&["note 1.1, end 1"]));
    // A fork can be forked.
    assert_eq!(sandbox.run(&["fork", "@last", "--from", "end", "--step-input", INSTEAD]).code, 0);
    assert_eq!(take_effects(&sandbox), ["instead"]);
    assert_eq!(snapshots(&sandbox, &old), before);
}

#[test]
fn retry_reruns_the_nested_failed_step_and_later_steps() {
    let (sandbox, run) = failed();
    let [done, broken] = <[String; 2]>::try_from(runs(&sandbox, Some(&run))).unwrap();
    let before = snapshots(&sandbox, std::slice::from_ref(&done));
    let expected = effects(&["work 1.1, note 1.1, end 1, after 1", REST]);
    assert_eq!(sandbox.run(&["retry", &run]).code, 0);
    assert_eq!(take_effects(&sandbox), expected);
    // The failed run of the sub-workflow was resumed; the completed one is unchanged.
    assert_eq!(show(&sandbox, &broken)["status"], "completed");
    let children = runs(&sandbox, Some(&run));
    assert_eq!((children.len(), &children[..2]), (3, &[done.clone(), broken][..]));
    assert!(snapshots(&sandbox, &[done]) == before);
}

#[test]
fn retry_from_a_nested_step_accepts_a_new_input() {
    for (from, input, expected) in points() {
        // These steps had not started, or are unrelated to the failure.
        if from.contains("each[2]") || from == "each[1]/after" || from == "right" {
            continue;
        }
        let (sandbox, run) = failed();
        let [done, _] = <[String; 2]>::try_from(runs(&sandbox, Some(&run))).unwrap();
        let before = snapshots(&sandbox, std::slice::from_ref(&done));
        let mut arguments = vec!["retry", &run, "--from", &from];
        arguments.extend(input.iter().flat_map(|input| ["--step-input", input]));
        let ended = sandbox.run(&arguments);
        // The failed sibling is not retried.
        if from.ends_with("two") {
            assert_eq!((ended.code, take_effects(&sandbox)), (1, effects(&["two 1"])), "{}", ended.stderr);
        } else {
            assert_eq!((ended.code, take_effects(&sandbox)), (0, expected), "{from}: {}", ended.stderr);
        }
        assert!(snapshots(&sandbox, &[done]) == before, "{from}");
    }
}

/// Covers the failed step itself and a step in a completed sub-workflow.
#[test]
fn retry_applies_a_new_input_to_one_step_only() {
    let (sandbox, run) = failed();
    let from = format!("{SUB}/main/forked/one/turn[1]/work");
    assert_eq!(sandbox.run(&["retry", &run, "--from", &from, "--step-input", INSTEAD]).code, 0);
    assert_eq!(take_effects(&sandbox), effects(&["instead, note 1.1, end 1, after 1", REST]));

    let (sandbox, run) = failed();
    let children = runs(&sandbox, Some(&run));
    assert_eq!(sandbox.run(&["retry", &run, "--from", "each[0]/sub/main/end", "--step-input", INSTEAD]).code, 0);
    let second = "before 1, begin 1, work 1.0, note 1.0, work 1.1, note 1.1, two 1, end 1, after 1";
    assert_eq!(take_effects(&sandbox), effects(&["instead, after 0", second, REST]));
    assert_eq!(show(&sandbox, &children[0])["status"], "completed");
}

#[test]
fn rerun_executes_all_steps_and_leaves_old_runs_unchanged() {
    let (sandbox, run) = completed();
    let old = runs(&sandbox, None);
    let before = snapshots(&sandbox, &old);
    assert_eq!(sandbox.run(&["rerun", &run]).code, 0);
    assert_eq!(take_effects(&sandbox), all_effects());
    assert_eq!(runs(&sandbox, Some(&newest_run(&sandbox))).len(), 3);
    // The sub-workflow's run can be rerun by itself, with its original input or a new one.
    let child = &runs(&sandbox, Some(&run))[2];
    for (inputs, n) in [(&[][..], 2), (&["--input", "n:=7"], 7)] {
        assert_eq!(sandbox.run(&[&["rerun", child][..], inputs].concat()).code, 0);
        let inner = "begin N, work N.0, note N.0, work N.1, note N.1, two N, end N".replace('N', &n.to_string());
        assert_eq!(take_effects(&sandbox), effects(&[&inner]));
    }
    assert_eq!(snapshots(&sandbox, &old), before);
}

/// Kills the command while only work 1.1 is running, and lets the orphaned shell end.
fn kill_during_work(sandbox: &Sandbox, arguments: &[&str]) {
    fs::write(sandbox.path("hold"), "").unwrap();
    let alive = sandbox.open_pipe("alive");
    let terminal = Terminal::open(sandbox, arguments);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    let is_done = |run: &str, path: &str| {
        let steps = show(sandbox, run)["steps"].take();
        steps.as_array().unwrap().iter().any(|step| step["path"] == path && step["status"] == "completed")
    };
    wait_until(|| {
        let run = newest_run(sandbox);
        let child = runs(sandbox, Some(&run)).pop()?;
        (is_done(&run, "/main/both/right") && is_done(&child, "/main/forked/two")).then_some(())
    });
    terminal.kill();
    fs::remove_file(sandbox.path("hold")).unwrap();
    release_step(sandbox);
}

/// Creates the pipes that [`kill_during_work`] uses.
pub(crate) fn with_pipes(sandbox: &Sandbox) {
    ["alive", "tell"].iter().for_each(|name| sandbox.make_pipe(name));
}

#[test]
fn killed_run_resumes_at_the_running_nested_step() {
    let rest = || effects(&["work 1.1, note 1.1, end 1, after 1", REST]);
    let resumed = |sandbox: &Sandbox, run: &str| {
        let ended = sandbox.run(&["resume", run]);
        assert_eq!((ended.code, take_effects(sandbox)), (0, rest()), "{}", ended.stderr);
    };
    // Kill and resume the run itself.
    let sandbox = sandbox();
    with_pipes(&sandbox);
    kill_during_work(&sandbox, &["run", "flow.yaml"]);
    let (run, done) = (newest_run(&sandbox), take_effects(&sandbox));
    assert!(done.contains(&"work 1.1".to_owned()) && !done.contains(&"note 1.1".to_owned()), "{done:?}");
    resumed(&sandbox, &run);
    // Kill and resume a fork of the run, from a nested step.
    let old = runs(&sandbox, None);
    let before = snapshots(&sandbox, &old);
    let from = format!("{SUB}/main/forked/one/turn[0]/work");
    kill_during_work(&sandbox, &["fork", &run, "--from", &from, "--step-input", INSTEAD]);
    assert_eq!(take_effects(&sandbox), ["instead", "note 1.0", "work 1.1"]);
    resumed(&sandbox, &newest_run(&sandbox));
    assert_eq!(snapshots(&sandbox, &old), before);
    // Kill and resume a rerun of the run.
    kill_during_work(&sandbox, &["rerun", &run]);
    take_effects(&sandbox);
    resumed(&sandbox, &newest_run(&sandbox));
    assert_eq!(snapshots(&sandbox, &old), before);
}

#[test]
fn killed_retry_resumes_at_the_running_nested_step() {
    let rest = effects(&["work 1.1, note 1.1, end 1, after 1", REST]);
    for (from, first) in [(None, "work 1.1"), (Some("each[1]/sub/main/forked/one/turn[0]/note"), "note 1.0, work 1.1")]
    {
        let (sandbox, run) = failed();
        with_pipes(&sandbox);
        let mut arguments = vec!["retry", &run];
        arguments.extend(from.iter().flat_map(|from| ["--from", from]));
        kill_during_work(&sandbox, &arguments);
        assert_eq!(take_effects(&sandbox), effects(&[first]));
        let ended = sandbox.run(&["resume", &run]);
        assert_eq!((ended.code, take_effects(&sandbox)), (0, rest.clone()), "{}", ended.stderr);
        assert_eq!(runs(&sandbox, Some(&run)).len(), 3);
    }
}

#[test]
fn errors_name_the_full_path_of_a_nested_step() {
    let (sandbox, run) = completed();
    let fork = |from: &str, input: &[&str]| {
        sandbox.run(&[&["fork", &run, "--from", from][..], input, &["-o", "json"]].concat())
    };
    let ambiguous = fork("turn[0]/note", &[]);
    assert_error(&ambiguous, 2, "ambiguous_step");
    let all = [0, 1, 2].map(|n| format!("/main/both/left/each[{n}]/sub/main/forked/one/turn[0]/note")).join(", ");
    assert_eq!(ambiguous.json()["error"]["message"], json!(format!("`turn[0]/note` could be any of {all}")));
    assert_error(&fork("each[1]/sub/main/nowhere", &[]), 4, "step_not_found");
    let no_input = fork(&format!("{SUB}/main/forked"), &["--step-input", "{}"]);
    assert_error(&no_input, 2, "no_step_input");
    let message = no_input.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("{SUB}/main/forked takes no input")), "{message}");
}

#[test]
fn sub_workflow_run_is_retried_with_its_parent() {
    let (sandbox, run) = failed();
    let child = runs(&sandbox, Some(&run)).swap_remove(1);
    for verb in ["retry", "resume"] {
        let refused = sandbox.run(&[verb, &child, "-o", "json"]);
        assert_error(&refused, 1, "run_is_child");
        assert!(refused.json()["error"]["help"].as_str().unwrap().contains(&run), "{}", refused.stdout);
    }
    let all = sandbox.run(&["retry", "--failed", "-o", "json"]);
    assert_eq!((all.code, all.json()), (0, json!([{"run_id": run, "status": "completed", "error": null}])));
    assert_eq!(take_effects(&sandbox), effects(&["work 1.1, note 1.1, end 1, after 1", REST]));
}
