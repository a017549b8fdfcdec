//! Compensation and `finally` as users see them. No request stops them, and failed cleanup steps
//! can be retried.

use std::{fs, sync::mpsc::Receiver};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Sandbox, TIMEOUT, Terminal, newest_run, release_step, show};

/// A run that fails and then undoes `b` and `a`; undoing `b` waits for the test.
const UNDOES: &str = "\
name: undoes
steps:
  - {id: a, type: shell, command: 'echo a >> effects', compensate: {type: shell, command: 'echo undo-a >> effects'}}
  - id: b
    type: shell
    command: 'echo b >> effects'
    compensate: {type: shell, command: 'exec 3>alive; echo up >&3; read line < tell; echo undo-b >> effects'}
  - {id: bad, type: shell, command: 'exit 3'}
finally:
  - {id: last, type: shell, command: 'echo \"last $V\" >> effects', env: {V: '{{ steps.b.status }}'}}
";

const UNDONE: &str = "a\nb\nundo-b\nundo-a\nlast completed\n";

fn effects(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("effects")).unwrap_or_default()
}

/// Starts the run and waits until a step reports that it is running.
fn start(sandbox: &Sandbox, arguments: &[&str]) -> (Terminal, Receiver<String>) {
    let alive = sandbox.pipe("alive");
    sandbox.make_pipe("tell");
    let first = Terminal::open(sandbox, &[&["run", "flow.yaml"], arguments].concat());
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    (first, alive)
}

#[test]
fn cancel_requests_do_not_stop_compensation() {
    for requests in [&[&["cancel"][..]][..], &[&["cancel", "--compensate"]], &[&["cancel"], &["cancel"]]] {
        let sandbox = Sandbox::with_flow(UNDOES);
        let (first, _alive) = start(&sandbox, &[]);
        let run = newest_run(&sandbox);
        for request in requests {
            let asked = sandbox.run(&[&request[..1], &[&run], &request[1..]].concat());
            assert_eq!(asked.code, 0, "{}", asked.stderr);
        }
        release_step(&sandbox);
        let (code, _, stderr) = first.end();
        assert_eq!((code, effects(&sandbox).as_str()), (Some(1), UNDONE), "{requests:?}: {stderr}");
        assert_eq!(show(&sandbox, &run)["status"], "compensated");
        assert_eq!(show(&sandbox, &run)["error"]["code"], "process_failed");
    }
}

#[test]
fn paused_compensation_continues_even_if_the_run_is_cancelled() {
    let sandbox = Sandbox::with_flow(UNDOES);
    let (first, _alive) = start(&sandbox, &[]);
    let run = newest_run(&sandbox);
    first.signal(Signal::INT);
    while !first.stderr.recv_timeout(TIMEOUT).unwrap().contains("pausing the run") {}
    release_step(&sandbox);
    let (code, _, stderr) = first.end();
    assert_eq!((code, effects(&sandbox).as_str()), (Some(5), "a\nb\nundo-b\n"), "{stderr}");
    let cancelled = sandbox.run(&["cancel", &run]);
    assert_eq!(effects(&sandbox), UNDONE, "{}", cancelled.stderr);
    assert_eq!(show(&sandbox, &run)["status"], "compensated");
}

#[test]
fn cleanup_continues_after_the_process_was_killed() {
    let sandbox = Sandbox::with_flow(UNDOES);
    let (first, alive) = start(&sandbox, &[]);
    let run = newest_run(&sandbox);
    first.kill();
    release_step(&sandbox);
    assert!(alive.recv_timeout(TIMEOUT).is_err(), "the shell of the killed process has ended");
    fs::write(sandbox.path("effects"), "a\nb\n").unwrap();
    let _alive = sandbox.open_pipe("alive");
    let second = Terminal::open(&sandbox, &["resume", &run]);
    release_step(&sandbox);
    let (_, _, stderr) = second.end();
    assert_eq!(effects(&sandbox), UNDONE, "{stderr}");
    assert_eq!(show(&sandbox, &run)["status"], "compensated");
}

#[test]
fn step_interrupted_by_a_kill_is_undone_as_uncertain() {
    let undo = |id: &str| {
        format!(
            "compensate: {{type: shell, command: 'echo \"undo-{id} $C\" >> effects', env: {{C: '{{{{ certain }}}}'}}}}"
        )
    };
    let flow = format!(
        "name: cut\nsteps:\n  - {{id: a, type: shell, command: 'echo a >> effects', {}}}\n  - {{id: b, type: shell, command: \
         'echo up > alive; read line < tell', {}}}\n",
        undo("a"),
        undo("b")
    );
    let sandbox = Sandbox::with_flow(&flow);
    let (first, _alive) = start(&sandbox, &[]);
    let run = newest_run(&sandbox);
    first.kill();
    release_step(&sandbox);
    let cancelled = sandbox.run(&["cancel", &run, "--compensate"]);
    assert_eq!(effects(&sandbox), "a\nundo-b false\nundo-a true\n", "{}", cancelled.stderr);
    assert_eq!(show(&sandbox, &run)["status"], "compensated");
}

/// The shell must not expand the path in the command that resolves the step.
#[test]
fn failed_compensation_is_shown_with_the_command_that_resolves_it() {
    let flow = "\
name: stuck
steps:
  - {id: a, type: shell, command: 'true', compensate: {type: shell, command: exit 4}}
  - {id: b, type: shell, command: exit 3}
";
    let sandbox = Sandbox::with_flow(flow);
    let ended = sandbox.run(&["run", "flow.yaml"]);
    let run = newest_run(&sandbox);
    let command = format!("spellflow resolve {run} '/main/a/$undo' --completed JSON");
    assert!(ended.code == 8 && ended.stderr.contains(&command), "{}", ended.stderr);
    let shown = sandbox.run(&["runs", "show", &run]).stdout;
    assert!(shown.contains("error[process_failed]: /main/a/$undo: the process ended with exit code 4"), "{shown}");
    assert!(shown.contains(&format!("next: {command}")), "{shown}");
    assert_eq!(sandbox.run(&["resolve", &run, "/main/a/$undo", "--failed"]).code, 1);
    let shown = sandbox.run(&["runs", "show", &run]).stdout;
    assert!(!shown.contains("resolve "), "{shown}");
    assert!(shown.ends_with(&format!("next: spellflow retry {run}\n")), "{shown}");
}

#[test]
fn failed_finally_step_does_not_prevent_the_other_finally_steps() {
    let flow = "\
name: cleans
steps: [{id: main, type: shell, command: 'echo part; exit 3'}]
finally:
  - {id: one, type: shell, command: 'echo \"one $V\" >> effects', env: {V: '{{ main.stdout }}'}}
  - {id: two, type: shell, command: 'echo two >> effects'}
  - {id: three, type: shell, command: 'echo three >> effects; exit 4'}
  - {id: four, type: shell, command: 'echo four >> effects'}
";
    let expected = |report: &Value| {
        let error = |error: &Value| format!("{} {}", error["code"].as_str().unwrap(), error["path"].as_str().unwrap());
        assert_eq!(
            (&report["status"], error(&report["error"]).as_str()),
            (&json!("failed"), "process_failed /main/main")
        );
        let later: Vec<_> = report["later_errors"].as_array().unwrap().iter().map(error).collect();
        assert_eq!(later, ["expression_unresolved /main/$finally/one", "process_failed /main/$finally/three"]);
    };
    for mode in [&["--in-memory"][..], &[]] {
        let sandbox = Sandbox::with_flow(flow);
        let ended = sandbox.run(&[&["run", "flow.yaml", "-o", "json"], mode].concat());
        assert_eq!((ended.code, effects(&sandbox).as_str()), (1, "two\nthree\nfour\n"));
        expected(&ended.json());
        if mode.is_empty() {
            expected(&show(&sandbox, "@last"));
            let text = sandbox.run(&["runs", "show", "@last"]).stdout;
            assert!(text.contains("later error[expression_unresolved]"), "{text}");
        }
        let text = sandbox.run(&[&["run", "flow.yaml"], mode].concat()).stderr;
        let (error, later) = (text.find("error[process_failed]").unwrap(), text.find("later error[").unwrap());
        assert!(error < later && text.contains("--> /main/$finally/three"), "{text}");
    }
}

#[test]
fn retry_runs_failed_finally_steps_again() {
    let finally = "\
finally:
  - {id: clean, type: shell, command: 'echo clean >> effects; test -f ready'}
  - {id: other, type: shell, command: 'echo other >> effects'}
";
    // Each row has the steps, the status and the effects of the first run, and the effects of the
    // retry once `ready` exists.
    let completes = "steps: [{id: a, type: shell, command: 'echo a >> effects'}]";
    let fails = "steps: [{id: a, type: shell, command: 'echo a >> effects; test -f ready'}]";
    let undone = "\
steps:
  - {id: a, type: shell, command: 'echo a >> effects', compensate: {type: shell, command: 'echo undo >> effects'}}
  - {id: b, type: shell, command: 'exit 1'}";
    let table = [
        (completes, "failed", "a clean other", "clean", "completed"),
        (fails, "failed", "a clean other", "a clean other", "completed"),
        (undone, "compensated", "a undo clean other", "clean", "compensated"),
    ];
    for (steps, status, first, again, last) in table {
        let sandbox = Sandbox::with_flow(&format!("name: retried\n{steps}\n{finally}"));
        let words = || effects(&sandbox).lines().collect::<Vec<_>>().join(" ");
        let failed = sandbox.run(&["run", "flow.yaml"]);
        assert_eq!((failed.code, words().as_str(), &show(&sandbox, "@last")["status"]), (1, first, &json!(status)));
        assert!(failed.stderr.contains("next: spellflow retry"), "{}", failed.stderr);
        // The cause of the failure still exists.
        assert_eq!(sandbox.run(&["retry", "@last"]).code, 1);
        fs::write(sandbox.path("ready"), "").unwrap();
        fs::write(sandbox.path("effects"), "").unwrap();
        let retried = sandbox.run(&["retry", "@last"]);
        assert_eq!(words(), again, "{steps}: {}", retried.stderr);
        let report = show(&sandbox, "@last");
        assert_eq!((&report["status"], &report["later_errors"]), (&json!(last), &json!([])), "{}", retried.stderr);
    }
}

#[test]
fn retry_of_a_cancelled_run_only_repeats_failed_finally_steps() {
    let flow = |command: &str| {
        format!(
            "name: cancelled\nsteps: [{{id: a, type: shell, command: 'echo up > alive; sleep 1000'}}]\nfinally: [{{id: z, type: shell, command: '{command}'}}]"
        )
    };
    for (command, code) in [("echo z >> effects; test -f ready", 130), ("echo z >> effects", 1)] {
        let sandbox = Sandbox::with_flow(&flow(command));
        let (first, _alive) = start(&sandbox, &[]);
        let run = newest_run(&sandbox);
        assert_eq!(sandbox.run(&["cancel", &run]).code, 0);
        assert_eq!(first.end().0, Some(130));
        fs::write(sandbox.path("ready"), "").unwrap();
        let retried = sandbox.run(&["retry", &run]);
        assert_eq!(retried.code, code, "{}", retried.stderr);
        assert_eq!(effects(&sandbox), if code == 130 { "z\nz\n" } else { "z\n" });
        assert_eq!(show(&sandbox, &run)["status"], "cancelled");
    }
}

#[test]
fn retry_revokes_a_cancellation_that_came_too_late() {
    let flow = "\
name: late
steps: [{id: a, type: shell, command: 'echo a >> effects; test -f ready'}]
finally: [{id: z, type: shell, command: 'test -f ready || { echo up > alive; read line < tell; }'}]
";
    let sandbox = Sandbox::with_flow(flow);
    let (first, _alive) = start(&sandbox, &[]);
    let run = newest_run(&sandbox);
    assert_eq!(sandbox.run(&["cancel", &run]).code, 0);
    release_step(&sandbox);
    assert_eq!(first.end().0, Some(1));
    fs::write(sandbox.path("ready"), "").unwrap();
    let retried = sandbox.run(&["retry", &run]);
    assert_eq!((retried.code, effects(&sandbox).as_str()), (0, "a\na\n"), "{}", retried.stderr);
}

#[test]
fn time_limits_of_command_line_and_definition_are_equivalent() {
    let steps = "steps: [{id: a, type: shell, command: 'echo up > alive; sleep 1000'}]\nfinally: [{id: z, type: shell, command: 'echo z >> effects'}]";
    for (head, arguments) in [("name: w", &["--timeout", "1s"][..]), ("name: w\ntimeouts: {total: 1s}", &[])] {
        for mode in [&["--in-memory"][..], &[]] {
            let sandbox = Sandbox::with_flow(&format!("{head}\n{steps}"));
            let _alive = sandbox.pipe("alive");
            let ended = sandbox.run(&[&["run", "flow.yaml", "-o", "json"], arguments, mode].concat());
            let (code, error) = (ended.code, &ended.json()["error"]);
            assert_eq!((code, &error["code"], &error["path"]), (6, &json!("run_timed_out"), &json!("/main")));
            assert_eq!((ended.json()["status"].as_str(), effects(&sandbox).as_str()), (Some("failed"), "z\n"));
        }
    }
}

#[test]
fn resume_keeps_the_time_limit_of_the_run() {
    let flow = "name: w\nsteps: [{id: a, type: shell, command: 'echo up > alive; sleep 1000'}]";
    let sandbox = Sandbox::with_flow(flow);
    let (first, _alive) = start(&sandbox, &["--timeout", "2s"]);
    first.kill();
    let _alive = sandbox.open_pipe("alive");
    let resumed = sandbox.run(&["resume", "@last", "-o", "json"]);
    assert_eq!((resumed.code, &resumed.json()["error"]["code"]), (6, &json!("run_timed_out")));
}

/// A run whose process is killed after its sub-workflow has completed `a`.
const CALLS: &str = "\
name: parent
workflows:
  child:
    name: child
    steps:
      - {id: a, type: shell, command: 'echo a >> effects', compensate: {type: shell, command: 'echo undo-a >> effects'}}
      - {id: b, type: shell, command: 'echo up > alive; read line < tell; echo b >> effects'}
    finally: [{id: z, type: shell, command: 'echo z >> effects'}]
steps:
  - {id: before, type: shell, command: 'echo before >> effects'}
  - {id: call, type: workflow, workflow: child}
  - {id: after, type: shell, command: 'echo after >> effects'}
finally: [{id: last, type: shell, command: 'echo \"last $V\" >> effects', env: {V: '{{ steps.before.status }}'}}]
";

#[test]
fn interrupted_sub_workflow_cleans_up_when_its_parent_is_cancelled() {
    for (request, expected, status) in [
        (&["cancel"][..], "before\na\nz\nlast completed\n", "cancelled"),
        (&["cancel", "--compensate"], "before\na\nundo-a\nz\nlast completed\n", "compensated"),
    ] {
        let sandbox = Sandbox::with_flow(CALLS);
        let (first, _alive) = start(&sandbox, &[]);
        let run = newest_run(&sandbox);
        first.kill();
        let cancelled = sandbox.run(&[&request[..1], &[&run], &request[1..]].concat());
        assert_eq!(effects(&sandbox), expected, "{}", cancelled.stderr);
        assert_eq!(show(&sandbox, &run)["status"], status);
    }
}

#[test]
fn interrupted_sub_workflow_cleans_up_when_its_step_has_timed_out() {
    let flow = CALLS.replace("workflow: child}", "workflow: child, timeout: 1s}");
    let sandbox = Sandbox::with_flow(&flow);
    let (first, _alive) = start(&sandbox, &[]);
    first.kill();
    let _alive = sandbox.open_pipe("alive");
    let resumed = sandbox.run(&["resume", "@last", "-o", "json"]);
    assert_eq!((resumed.code, &resumed.json()["error"]["code"]), (1, &json!("timeout")), "{}", resumed.stderr);
    // The sub-workflow cleans up when it is stopped; its steps are undone because its parent fails.
    assert_eq!(effects(&sandbox), "before\na\nz\nundo-a\nlast completed\n");
}

/// Although one step was undone, the run has failed, because another step could not be undone.
#[test]
fn retry_runs_undone_steps_again() {
    let flow = "\
name: f
steps:
  - id: book
    steps:
      - {id: reserve, command: 'echo reserve >> effects', compensate: {command: exit 4}}
      - {id: pay, command: 'echo pay >> effects', compensate: {command: 'echo refund >> effects'}}
      - {id: note, command: 'echo note >> effects'}
  - {id: ship, command: 'test -e truck && echo ship >> effects'}
";
    let sandbox = Sandbox::with_flow(flow);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 8);
    assert_eq!(sandbox.run(&["resolve", "@last", "reserve/$undo", "--failed"]).code, 1);
    std::fs::write(sandbox.path("truck"), "").unwrap();
    let preview = sandbox.run(&["retry", "@last", "--dry-run"]).stdout;
    assert!(preview.contains("/main/book/pay   it was undone") && !preview.contains("reserve"), "{preview}");
    let retried = sandbox.run(&["retry", "@last"]);
    assert_eq!(retried.code, 0, "{}", retried.stderr);
    let effects = std::fs::read_to_string(sandbox.path("effects")).unwrap();
    assert_eq!(effects.lines().collect::<Vec<_>>(), ["reserve", "pay", "note", "refund", "pay", "note", "ship"]);
}

/// A fork does not rely on steps that its original run has undone.
#[test]
fn fork_of_an_undone_run_executes_the_undone_steps_again() {
    const FLOW: &str = "
name: f
steps:
  - {id: a, type: shell, command: 'echo a >> effects'}
  - {id: book, type: shell, command: 'echo book >> effects', compensate: {type: shell, command: 'echo undo >> effects'}}
  - {id: sent, type: shell, command: 'echo sent >> effects'}
  - {id: last, type: shell, command: 'echo last >> effects; test -e ok'}
";
    let sandbox = Sandbox::with_flow(FLOW);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    fs::write(sandbox.path("ok"), "").unwrap();
    let forked = sandbox.run(&["fork", "@last", "--from", "last"]);
    assert_eq!(forked.code, 0, "{}", forked.stderr);
    assert_eq!(effects(&sandbox), "a\nbook\nsent\nlast\nundo\nbook\nsent\nlast\n");
}
