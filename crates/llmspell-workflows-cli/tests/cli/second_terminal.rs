//! Commands in a second terminal while a run is in progress; the processes share one store.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TIMEOUT, Terminal, newest_run, release_step, wait_until};

const WAITS: &str = "
name: waits
steps:
  - {id: gate, type: wait_for_event, event: open, timeout: 1h}
  - {id: after, type: shell, command: 'echo after >> effects'}
";

/// The first step reports that it is running, and waits for a line from the pipe `tell`.
const WORKS: &str = "
name: works
steps:
  - {id: one, type: shell, command: 'echo up > alive; read told < tell; echo one >> effects'}
  - {id: two, type: shell, command: 'echo two >> effects'}
";

/// Starts [`WORKS`] and waits until its first step is running; [`release_step`] lets it finish.
fn start_run(sandbox: &Sandbox) -> Terminal {
    let alive = sandbox.pipe("alive");
    sandbox.make_pipe("tell");
    let terminal = Terminal::open(sandbox, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    terminal
}

fn show(sandbox: &Sandbox, run: &str) -> Value {
    sandbox.run(&["runs", "show", run, "-o", "json"]).json()
}

/// Waits for a run with this status and returns its id.
fn run_with_status(sandbox: &Sandbox, status: &str) -> String {
    wait_until(|| {
        let runs = sandbox.run(&["runs", "list", "--status", status, "-o", "json"]).json();
        runs[0]["run_id"].as_str().map(str::to_owned)
    })
}

fn effects(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("effects")).unwrap_or_default()
}

#[test]
fn waiting_run_can_be_listed_shown_watched_and_signalled() {
    let sandbox =
        Sandbox::with_flow(WAITS).file("other.yaml", "name: other\nsteps: [{id: a, type: set, params: {x: 1}}]");
    let first = Terminal::open(&sandbox, &["run", "flow.yaml", "--wait"]);
    let run = run_with_status(&sandbox, "waiting");
    let gate = show(&sandbox, &run)["steps"][0].clone();
    assert_eq!((&gate["path"], &gate["status"]), (&json!("/main/gate"), &json!("waiting")));
    let time = |name: &str| gate["waits_for"][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(gate["waits_for"]["signal"], "open");
    assert_eq!(time("until").duration_since(time("since")), jiff::SignedDuration::from_hours(1));
    let text = sandbox.run(&["runs", "show", &run]).stdout;
    let expected = format!("waiting for the event `open` since {}, until {}", time("since"), time("until"));
    assert!(text.contains(&expected), "{text}");
    let listed = sandbox.run(&["runs", "list"]).stdout;
    assert!(listed.contains(first.name().trim()), "{listed}");

    let watch = Terminal::open(&sandbox, &["runs", "watch", &run]);
    let jsonl = Terminal::open(&sandbox, &["runs", "watch", &run, "-o", "jsonl"]);
    let line = watch.stdout.recv_timeout(TIMEOUT).unwrap();
    assert!(line.starts_with("waiting   /main/gate  waiting for the event `open`"), "{line}");
    let line: Value = serde_json::from_str(&jsonl.stdout.recv_timeout(TIMEOUT).unwrap()).unwrap();
    assert_eq!(line, json!({"event": "step.waiting", "path": "/main/gate", "error": null}));

    // Another run completes in the meantime.
    assert_eq!(sandbox.run(&["run", "other.yaml"]).code, 0);
    let refused = sandbox.run(&["signal", &run[..20], "open", "--data", "{by: Ada}", "-o", "json"]);
    assert_eq!(refused.code, 2);
    let help = "write a string as '\"text\"' and an object as '{\"name\": \"text\"}'";
    assert_eq!(refused.json()["error"]["help"], help);
    let sent = sandbox.run(&["signal", &run[..20], "open", "--data", "{\"by\": \"Ada\"}", "-o", "json"]);
    assert_eq!(
        sent.json(),
        json!({"run_id": run, "delivery": "told", "is_awaited": true, "waiting_for": ["open"], "not_accepted_by": []})
    );

    let (code, _, stderr) = first.end();
    assert_eq!((code, effects(&sandbox).as_str()), (Some(0), "after\n"), "{stderr}");
    let (code, lines, stderr) = watch.end();
    assert_eq!((code, stderr.as_str()), (Some(0), format!("completed {run}").as_str()));
    let after: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    assert!(after.contains(&"completed /main/gate") && after.last() == Some(&"completed /main/after"), "{after:?}");
    let (code, lines, _) = jsonl.end();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!((code, &last["status"], &last["run_id"]), (Some(0), &json!("completed"), &json!(run)));
    assert_eq!(show(&sandbox, &run)["steps"][0]["output"]["data"], json!({"by": "Ada"}));
}

#[test]
fn paused_run_finishes_its_running_step_and_can_be_resumed() {
    let sandbox = Sandbox::with_flow(WORKS);
    let first = start_run(&sandbox);
    let run = run_with_status(&sandbox, "running");
    let paused = sandbox.run(&["pause", &run]);
    assert_eq!(paused.code, 0);
    assert!(paused.stderr.contains("as soon as the running steps have ended"), "{}", paused.stderr);
    release_step(&sandbox);
    let (code, _, stderr) = first.end();
    assert_eq!((code, effects(&sandbox).as_str()), (Some(5), "one\n"), "{stderr}");
    assert!(stderr.contains(&format!("spellflow resume {run}")), "{stderr}");
    let listed = sandbox.run(&["runs", "list"]).stdout;
    assert!(listed.contains("paused") && listed.contains(&format!("spellflow resume {run}")), "{listed}");
    let again = sandbox.run(&["pause", &run]);
    assert!(again.stderr.contains("is not running in any process"), "{}", again.stderr);
    assert_eq!(sandbox.run(&["resume", &run]).code, 0);
    assert_eq!(effects(&sandbox), "one\ntwo\n");
}

#[test]
fn cancel_stops_running_and_parked_runs() {
    let sandbox = Sandbox::with_flow(
        "name: long\nsteps: [{id: a, type: shell, command: 'echo up > alive; sleep 1000'}]\nfinally: [{id: z, type: shell, command: 'echo z >> effects'}]",
    );
    let alive = sandbox.pipe("alive");
    let first = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    let run = run_with_status(&sandbox, "running");
    assert_eq!(sandbox.run(&["cancel", &run]).code, 0);
    let (code, _, stderr) = first.end();
    assert_eq!((code, effects(&sandbox).as_str()), (Some(130), "z\n"), "{stderr}");
    assert_eq!(show(&sandbox, &run)["status"], "cancelled");
    let again = sandbox.run(&["cancel", &run, "-o", "json"]);
    assert_eq!((again.code, &again.json()["error"]["code"]), (1, &json!("run_ended")));

    let sandbox = sandbox.file("waits.yaml", &WAITS.replace(", timeout: 1h", ""));
    assert_eq!(sandbox.run(&["run", "waits.yaml"]).code, 5);
    let cancelled = sandbox.run(&["cancel", "@last"]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.stderr);
    assert_eq!(show(&sandbox, "@last")["status"], "cancelled");
}

/// If two processes try to resume the run of a killed process, one succeeds and the other one names
/// the owner. Listing runs at the same time does not interfere.
#[test]
fn only_one_concurrent_resume_wins() {
    let sandbox = Sandbox::with_flow(WORKS);
    let alive = sandbox.pipe("alive");
    sandbox.make_pipe("tell");
    let first = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    let run = run_with_status(&sandbox, "running");
    first.kill();
    // Lets the orphaned shell end.
    release_step(&sandbox);
    wait_until(|| (effects(&sandbox) == "one\n").then_some(()));
    let alive = sandbox.open_pipe("alive");
    let lists: Vec<_> = (0..3).map(|_| Terminal::open(&sandbox, &["runs", "list"])).collect();
    let mut both = [(); 2].map(|()| Terminal::open(&sandbox, &["resume", &run]));
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    let loser = wait_until(|| both.iter_mut().position(Terminal::has_ended));
    let [zero, one] = both;
    let (winner, loser) = if loser == 0 { (one, zero) } else { (zero, one) };
    let (code, _, stderr) = loser.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&winner.name()), "{stderr}");
    release_step(&sandbox);
    let (code, _, stderr) = winner.end();
    assert_eq!((code, effects(&sandbox).as_str()), (Some(0), "one\none\ntwo\n"), "{stderr}");
    assert!(lists.into_iter().all(|list| list.end().0 == Some(0)));
}

#[test]
fn stopped_process_keeps_its_runs_and_is_named_as_owner() {
    let sandbox = Sandbox::with_flow(WAITS);
    let first = Terminal::open(&sandbox, &["run", "flow.yaml", "--wait"]);
    let run = run_with_status(&sandbox, "waiting");
    first.signal(Signal::STOP);
    let held = sandbox.run(&["resume", &run]);
    assert_eq!(held.code, 1);
    assert!(held.stderr.contains(&first.name()), "{}", held.stderr);
    let listed = sandbox.run(&["runs", "list"]).stdout;
    assert!(listed.contains(first.name().trim()), "{listed}");
    let unanswered = sandbox.run(&["signal", &run, "open"]);
    let stderr = &unanswered.stderr;
    assert!(stderr.contains(&first.name()) && stderr.contains("does not respond"), "{stderr}");
    let CommandOutput { code, stdout, .. } = sandbox.run(&["signal", &run, "open", "-o", "json"]);
    assert_eq!((code, stdout.contains("unanswered")), (0, true), "{stdout}");
    first.signal(Signal::CONT);
    let (code, _, stderr) = first.end();
    assert_eq!((code, effects(&sandbox).as_str()), (Some(0), "after\n"), "{stderr}");
}

/// Every command of a second process is rejected with an error that names the owner.
#[test]
fn single_process_journal_names_its_owner() {
    for journal in ["sled", "fjall"] {
        let sandbox = Sandbox::with_flow(WAITS).file("spellflow.toml", &format!("store.journal = '{journal}'\n"));
        let first = Terminal::open(&sandbox, &["run", "flow.yaml", "--wait", "-o", "jsonl"]);
        assert!(first.stdout.recv_timeout(TIMEOUT).unwrap().contains("run.started"));
        while !first.stdout.recv_timeout(TIMEOUT).unwrap().contains("step.started") {}
        let refused = sandbox.run(&["runs", "list", "-o", "json"]);
        let error = &refused.json()["error"];
        assert_eq!((refused.code, &error["code"]), (1, &json!("store_in_use")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&first.name()) && message.contains(journal), "{message}");
        for arguments in [&["run", "flow.yaml"][..], &["resume", "@last"], &["signal", "@last", "open"]] {
            let refused = sandbox.run(arguments);
            assert_eq!(refused.code, 1, "{arguments:?}");
            assert!(refused.stderr.contains(&first.name()), "{}", refused.stderr);
        }
        first.kill();
        let run = run_with_status(&sandbox, "interrupted");
        assert_eq!(sandbox.run(&["signal", &run, "open"]).code, 0);
        assert_eq!(sandbox.run(&["resume", &run]).code, 0);
        let other = sandbox.run(&["runs", "list", "-o", "json", "--store", ".spellflow"]);
        assert_eq!(other.json()[0]["status"], "completed");
        fs::remove_file(sandbox.path("spellflow.toml")).unwrap();
        let other = sandbox.run(&["runs", "list", "-o", "json"]);
        assert_eq!((other.code, &other.json()["error"]["code"]), (2, &json!("other_journal")));
    }
}

#[test]
fn stored_event_is_not_requested_again() {
    let flow = |filter: &str| format!("name: f\nsteps:\n  - {{id: gate, type: wait_for_event, event: go{filter}}}\n");
    let sandbox = Sandbox::with_flow(&flow(""));
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let run = newest_run(&sandbox);
    let next = |sandbox: &Sandbox, run: &str| {
        let text = sandbox.run(&["runs", "show", run]).stdout;
        let lines: Vec<String> = text.lines().filter(|line| line.starts_with("next: ")).map(str::to_owned).collect();
        (lines, show(sandbox, run)["waits"][0]["command"].as_str().unwrap().to_owned())
    };
    let (signal, resume) = (format!("spellflow signal {run} go"), format!("spellflow resume {run}"));
    assert_eq!(next(&sandbox, &run), (vec![format!("next: {signal}")], signal));
    assert_eq!(sandbox.run(&["signal", &run, "other"]).code, 0);
    assert!(next(&sandbox, &run).1.contains("signal"));
    assert_eq!(sandbox.run(&["signal", &run, "go"]).code, 0);
    assert_eq!(next(&sandbox, &run), (vec![format!("next: {resume}")], resume));
    let shown = sandbox.run(&["runs", "show", &run]).stdout;
    assert!(shown.contains("the event `go` for /main/gate is stored"), "{shown}");
    assert_eq!(sandbox.run(&["resume", &run]).code, 0);

    // Until the step has read the event, it is unknown whether the step accepts it.
    fs::write(sandbox.path("filtered.yaml"), flow(", filter: event.data == 1")).unwrap();
    assert_eq!(sandbox.run(&["run", "filtered.yaml"]).code, 5);
    let run = newest_run(&sandbox);
    assert_eq!(sandbox.run(&["signal", &run, "go"]).code, 0);
    assert!(next(&sandbox, &run).1.contains("signal"));
}
