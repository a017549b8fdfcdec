//! A second terminal beside one that works: real processes over one store.

use std::{fs, io::Write};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Ended, PATIENCE, Place, Terminal, until};

const WAITS: &str = "
name: waits
steps:
  - {id: gate, type: wait_for_event, event: open, timeout: 1h}
  - {id: after, type: shell, command: 'echo after >> effects'}
";

/// A step that says that it is at work, and ends when it is told to.
const WORKS: &str = "
name: works
steps:
  - {id: one, type: shell, command: 'echo up > alive; read told < tell; echo one >> effects'}
  - {id: two, type: shell, command: 'echo two >> effects'}
";

/// One in which [`WORKS`] has come to its first step; `tell` lets it go on.
fn at_work(place: &Place) -> Terminal {
    let alive = place.pipe("alive");
    place.make_pipe("tell");
    let terminal = Terminal::open(place, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
    terminal
}

pub(crate) fn tell(place: &Place) {
    fs::OpenOptions::new().write(true).open(place.path("tell")).unwrap().write_all(b"on\n").unwrap();
}

fn show(place: &Place, run: &str) -> Value {
    place.run(&["runs", "show", run, "-o", "json"]).json()
}

/// The run that the first terminal has, once it is so.
fn run_that_is(place: &Place, status: &str) -> String {
    until(|| {
        let runs = place.run(&["runs", "list", "--status", status, "-o", "json"]).json();
        runs[0]["run_id"].as_str().map(str::to_owned)
    })
}

fn effects(place: &Place) -> String {
    fs::read_to_string(place.path("effects")).unwrap_or_default()
}

#[test]
fn it_lists_shows_watches_and_signals_a_run_that_waits() {
    let place = Place::with_flow(WAITS).file("other.yaml", "name: other\nsteps: [{id: a, type: set, params: {x: 1}}]");
    let first = Terminal::open(&place, &["run", "flow.yaml", "--wait"]);
    let run = run_that_is(&place, "waiting");
    let gate = show(&place, &run)["steps"][0].clone();
    assert_eq!((&gate["path"], &gate["status"]), (&json!("/main/gate"), &json!("waiting")));
    let time = |name: &str| gate["waits_for"][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(gate["waits_for"]["signal"], "open");
    assert_eq!(time("until").duration_since(time("since")), jiff::SignedDuration::from_hours(1));
    let text = place.run(&["runs", "show", &run]).stdout;
    let expected = format!("waits for the event `open` since {}, until {}", time("since"), time("until"));
    assert!(text.contains(&expected), "{text}");
    let listed = place.run(&["runs", "list"]).stdout;
    assert!(listed.contains(first.name().trim()), "{listed}");

    let watch = Terminal::open(&place, &["runs", "watch", &run]);
    let jsonl = Terminal::open(&place, &["runs", "watch", &run, "-o", "jsonl"]);
    let line = watch.stdout.recv_timeout(PATIENCE).unwrap();
    assert!(line.starts_with("waiting   /main/gate  waits for the event `open`"), "{line}");
    let line: Value = serde_json::from_str(&jsonl.stdout.recv_timeout(PATIENCE).unwrap()).unwrap();
    assert_eq!(line, json!({"event": "step", "path": "/main/gate", "status": "waiting", "error": null}));

    // Another run comes and goes meanwhile.
    assert_eq!(place.run(&["run", "other.yaml"]).code, 0);
    let told = place.run(&["signal", &run[..20], "open", "--data", "{\"by\": \"Ada\"}", "-o", "json"]);
    assert_eq!(told.json(), json!({"run_id": run, "delivery": "told"}));

    let (code, _, said) = first.end();
    assert_eq!((code, effects(&place).as_str()), (Some(0), "after\n"), "{said}");
    let (code, told, said) = watch.end();
    assert_eq!((code, said.as_str()), (Some(0), format!("completed {run}").as_str()));
    let after: Vec<_> = told.iter().map(|line| line.trim_end()).collect();
    assert!(after.contains(&"completed /main/gate") && after.last() == Some(&"completed /main/after"), "{after:?}");
    let (code, told, _) = jsonl.end();
    let last: Value = serde_json::from_str(told.last().unwrap()).unwrap();
    assert_eq!((code, &last["status"], &last["run_id"]), (Some(0), &json!("completed"), &json!(run)));
    assert_eq!(show(&place, &run)["steps"][0]["output"]["data"], json!({"by": "Ada"}));
}

#[test]
fn it_pauses_a_run_at_work_which_ends_its_step_and_goes_on_later() {
    let place = Place::with_flow(WORKS);
    let first = at_work(&place);
    let run = run_that_is(&place, "running");
    let paused = place.run(&["pause", &run]);
    assert_eq!(paused.code, 0);
    assert!(paused.stderr.contains("as soon as what is at work has ended"), "{}", paused.stderr);
    tell(&place);
    let (code, _, said) = first.end();
    assert_eq!((code, effects(&place).as_str()), (Some(5), "one\n"), "{said}");
    assert!(said.contains(&format!("spellflow resume {run}")), "{said}");
    let listed = place.run(&["runs", "list"]).stdout;
    assert!(listed.contains("paused") && listed.contains(&format!("spellflow resume {run}")), "{listed}");
    let again = place.run(&["pause", &run]);
    assert!(again.stderr.contains("no process is at work on the run"), "{}", again.stderr);
    assert_eq!(place.run(&["resume", &run]).code, 0);
    assert_eq!(effects(&place), "one\ntwo\n");
}

#[test]
fn it_cancels_a_run_at_work_and_one_that_nobody_has() {
    let place = Place::with_flow(
        "name: long\nsteps: [{id: a, type: shell, command: 'echo up > alive; sleep 1000'}]\nfinally: [{id: z, type: shell, command: 'echo z >> effects'}]",
    );
    let alive = place.pipe("alive");
    let first = Terminal::open(&place, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
    let run = run_that_is(&place, "running");
    assert_eq!(place.run(&["cancel", &run]).code, 0);
    let (code, _, said) = first.end();
    assert_eq!((code, effects(&place).as_str()), (Some(130), "z\n"), "{said}");
    assert_eq!(show(&place, &run)["status"], "cancelled");
    let again = place.run(&["cancel", &run, "-o", "json"]);
    assert_eq!((again.code, &again.json()["error"]["code"]), (1, &json!("run_ended")));

    let place = place.file("waits.yaml", &WAITS.replace(", timeout: 1h", ""));
    assert_eq!(place.run(&["run", "waits.yaml"]).code, 5);
    let cancelled = place.run(&["cancel", "@last"]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.stderr);
    assert_eq!(show(&place, "@last")["status"], "cancelled");
}

/// Of two that find a killed process's run one goes on with it, and the other is told who that is; whoever only looks
/// is in nobody's way.
#[test]
fn of_two_that_resume_a_killed_process_s_run_one_gets_it() {
    let place = Place::with_flow(WORKS);
    let alive = place.pipe("alive");
    place.make_pipe("tell");
    let first = Terminal::open(&place, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
    let run = run_that_is(&place, "running");
    first.kill();
    // The shell that it leaves behind comes to its end.
    tell(&place);
    until(|| (effects(&place) == "one\n").then_some(()));
    let alive = place.again("alive");
    let looks: Vec<_> = (0..3).map(|_| Terminal::open(&place, &["runs", "list"])).collect();
    let mut both = [(); 2].map(|()| Terminal::open(&place, &["resume", &run]));
    assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
    let loser = until(|| both.iter_mut().position(Terminal::has_ended));
    let [zero, one] = both;
    let (winner, loser) = if loser == 0 { (one, zero) } else { (zero, one) };
    let (code, _, said) = loser.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&winner.name()), "{said}");
    tell(&place);
    let (code, _, said) = winner.end();
    assert_eq!((code, effects(&place).as_str()), (Some(0), "one\none\ntwo\n"), "{said}");
    assert!(looks.into_iter().all(|look| look.end().0 == Some(0)));
}

#[test]
fn a_stopped_process_keeps_its_runs_and_is_named() {
    let place = Place::with_flow(WAITS);
    let first = Terminal::open(&place, &["run", "flow.yaml", "--wait"]);
    let run = run_that_is(&place, "waiting");
    first.signal(Signal::STOP);
    let held = place.run(&["resume", &run]);
    assert_eq!(held.code, 1);
    assert!(held.stderr.contains(&first.name()), "{}", held.stderr);
    let listed = place.run(&["runs", "list"]).stdout;
    assert!(listed.contains(first.name().trim()), "{listed}");
    let unanswered = place.run(&["signal", &run, "open"]);
    let said = &unanswered.stderr;
    assert!(said.contains(&first.name()) && said.contains("does not answer"), "{said}");
    let Ended { code, stdout, .. } = place.run(&["signal", &run, "open", "-o", "json"]);
    assert_eq!((code, stdout.contains("unanswered")), (0, true), "{stdout}");
    first.signal(Signal::CONT);
    let (code, _, said) = first.end();
    assert_eq!((code, effects(&place).as_str()), (Some(0), "after\n"), "{said}");
}

/// Whoever comes second to a journal for one process is told who has it, whatever it wants.
#[test]
fn a_journal_for_one_process_names_its_holder() {
    for journal in ["sled", "fjall"] {
        let place = Place::with_flow(WAITS).file("spellflow.toml", &format!("store.journal = '{journal}'\n"));
        let first = Terminal::open(&place, &["run", "flow.yaml", "--wait", "-o", "jsonl"]);
        assert!(first.stdout.recv_timeout(PATIENCE).unwrap().contains("run_started"));
        while !first.stdout.recv_timeout(PATIENCE).unwrap().contains("step_started") {}
        let refused = place.run(&["runs", "list", "-o", "json"]);
        let error = &refused.json()["error"];
        assert_eq!((refused.code, &error["code"]), (1, &json!("store_in_use")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&first.name()) && message.contains(journal), "{message}");
        for arguments in [&["run", "flow.yaml"][..], &["resume", "@last"], &["signal", "@last", "open"]] {
            let refused = place.run(arguments);
            assert_eq!(refused.code, 1, "{arguments:?}");
            assert!(refused.stderr.contains(&first.name()), "{}", refused.stderr);
        }
        first.kill();
        let run = run_that_is(&place, "waiting");
        assert_eq!(place.run(&["signal", &run, "open"]).code, 0);
        assert_eq!(place.run(&["resume", &run]).code, 0);
        let other = place.run(&["runs", "list", "-o", "json", "--store", ".spellflow"]);
        assert_eq!(other.json()[0]["status"], "completed");
        fs::remove_file(place.path("spellflow.toml")).unwrap();
        let other = place.run(&["runs", "list", "-o", "json"]);
        assert_eq!((other.code, &other.json()["error"]["code"]), (2, &json!("other_journal")));
    }
}
