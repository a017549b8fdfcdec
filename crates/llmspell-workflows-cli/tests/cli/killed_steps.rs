//! After a kill, the attempts that ended before it count, and processes that outlived the killed
//! process are ended.

use std::fs;

use serde_json::json;

use crate::support::{Sandbox, Terminal, show, wait_until};

fn log(sandbox: &Sandbox) -> Vec<String> {
    fs::read_to_string(sandbox.path("log")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Runs a failing step, and kills `spellflow` after each of the first two attempts, while it waits
/// for the next attempt. Returns `None` if the next attempt began before the kill.
fn killed_between_attempts() -> Option<Sandbox> {
    let sandbox = Sandbox::with_flow(
        "name: f\nsteps:\n  - {id: a, type: shell, command: 'echo \"$SPELLFLOW_ATTEMPT\" >> log; exit 1', \
         retry: {strategy: fixed_delay, max_attempts: 3, initial_delay: 400ms, jitter: false}}\n",
    );
    for ended in 1..=2 {
        let arguments: &[&str] = if ended == 1 { &["run", "flow.yaml"] } else { &["resume", "@last"] };
        let process = Terminal::open(&sandbox, arguments);
        wait_until(|| (log(&sandbox).len() >= ended).then_some(()));
        // The attempt has ended once the delay before the next attempt is recorded.
        wait_until(|| (show(&sandbox, "@last")["steps"][0]["status"] != "running").then_some(()));
        process.kill();
        if log(&sandbox).len() > ended {
            return None;
        }
    }
    Some(sandbox)
}

#[test]
fn attempts_ended_before_a_kill_count_and_keep_their_delay() {
    // On a busy machine, the delay can pass before the kill.
    let sandbox = (0..20).find_map(|_| killed_between_attempts()).expect("the machine is too busy");
    let resumed = sandbox.run(&["resume", "@last"]);
    assert_eq!(resumed.code, 1, "{}", resumed.stderr);
    assert_eq!(log(&sandbox), ["1", "2", "3"]);
    assert_eq!(show(&sandbox, "@last")["steps"][0]["attempts"], json!(3));
}

#[test]
fn killed_attempt_is_reported_but_does_not_count_for_the_retry_policy() {
    let sandbox = Sandbox::with_flow(
        "name: f\nsteps:\n  - {id: a, type: shell, command: 'echo \"$SPELLFLOW_ATTEMPT\" >> log; test -e ok || sleep 60'}\n",
    );
    let process = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    wait_until(|| (log(&sandbox).len() == 1).then_some(()));
    process.kill();
    fs::write(sandbox.path("ok"), "").unwrap();
    let run = show(&sandbox, "@last")["run_id"].as_str().unwrap().to_owned();
    let another = sandbox.run(&["run", "flow.yaml"]);
    let offer = format!("note: run {run} of this workflow was interrupted; `spellflow resume {run}` continues it\n");
    assert!(another.stderr.starts_with(&offer), "{}", another.stderr);
    assert_eq!(log(&sandbox), ["1", "1"]);
    let resumed = sandbox.run(&["resume", &run, "-o", "json"]);
    assert_eq!((resumed.code, &resumed.json()["steps"][0]["attempts"]), (0, &json!(2)), "{}", resumed.stderr);
    assert_eq!(log(&sandbox), ["1", "1", "2"]);
    assert_eq!(show(&sandbox, &run)["steps"][0]["attempts"], json!(2));
    let after = sandbox.run(&["run", "flow.yaml"]);
    assert!(!after.stderr.contains("interrupted"), "{}", after.stderr);
}

/// The process of a step outlives the program. It is ended before the step runs again or the run is
/// cancelled, even if it has left its process group.
#[test]
fn processes_of_a_killed_program_end_before_the_run_continues() {
    for leaves in ["", "setsid "] {
        for request in ["resume", "cancel"] {
            let step = format!("{leaves}sh -c 'echo begin >> log; test -e ok || sleep 3; echo end >> log'");
            let flow = format!("name: f\nsteps:\n  - {{id: a, type: shell, command: {step:?}}}\n");
            let sandbox = Sandbox::with_flow(&flow);
            let process = Terminal::open(&sandbox, &["run", "flow.yaml"]);
            wait_until(|| (log(&sandbox).len() == 1).then_some(()));
            process.kill();
            fs::write(sandbox.path("ok"), "").unwrap();
            let ended = sandbox.run(&[request, "@last"]);
            let expected: &[&str] = if request == "resume" { &["begin", "begin", "end"] } else { &["begin"] };
            assert_eq!(log(&sandbox), expected, "{request} {leaves}: {}", ended.stderr);
        }
    }
}

/// Nothing wakes the run, so it must not look as if it were merely waiting.
#[test]
fn run_whose_process_was_killed_during_a_sleep_is_interrupted() {
    let sandbox = Sandbox::with_flow("name: f\nsteps:\n  - {id: nap, type: sleep, duration: 1h}\n");
    let process = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    wait_until(|| sandbox.run(&["runs", "list"]).stdout.contains("waiting").then_some(()));
    process.kill();
    let shown = show(&sandbox, "@last");
    assert_eq!((&shown["status"], &shown["waits"][0]["path"]), (&json!("interrupted"), &json!("/main/nap")));
    let another = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    let offer = another.stderr.recv().unwrap();
    assert!(offer.contains("was interrupted; `spellflow resume"), "{offer}");
    another.kill();
}

/// The rows are converted one at a time, so there is time for the kill once the temporary file exists.
#[test]
fn unfinished_file_of_a_killed_tool_is_removed_when_the_run_is_resumed() {
    let flow = "name: f\nsteps:\n  - {id: convert, type: tool, tool: file_writer, \
                params: {path: out.csv, input_path: rows.jsonl, columns: [n]}}\n";
    let sandbox = Sandbox::with_flow(flow);
    let rows: String = (0..400_000).map(|n| format!("{{\"n\": {n}}}\n")).collect();
    fs::write(sandbox.path("rows.jsonl"), rows).unwrap();
    let process = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    let names = || {
        let names = fs::read_dir(sandbox.path("")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.contains("out.csv")).collect();
        names.sort();
        names
    };
    wait_until(|| (!names().is_empty()).then_some(()));
    process.kill();
    assert_eq!(names(), [".out.csv.unfinished-0.tmp"]);
    let resumed = sandbox.run(&["resume", "@last"]);
    assert_eq!((resumed.code, names()), (0, vec!["out.csv".to_owned()]), "{}", resumed.stderr);
    let written = fs::read_to_string(sandbox.path("out.csv")).unwrap();
    assert_eq!((written.lines().count(), written.lines().last()), (400_001, Some("399999")));
}

/// Each file is synced, so there is time for the kill once the first one exists.
#[test]
fn unfinished_copy_of_a_directory_is_removed_when_the_run_is_resumed() {
    let flow = "name: f\nsteps:\n  - {id: copy, tool: file_operations, \
                params: {operation: copy, path: from, target_path: to, recursive: true}}\n";
    let sandbox = Sandbox::with_flow(flow);
    fs::create_dir_all(sandbox.path("from/deep")).unwrap();
    (0..500).for_each(|n| fs::write(sandbox.path(&format!("from/deep/{n}")), n.to_string()).unwrap());
    let unfinished = sandbox.path(".to.unfinished-0.tmp");
    let process = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    wait_until(|| unfinished.join("deep").exists().then_some(()));
    process.kill();
    assert!(unfinished.exists() && !sandbox.path("to").exists());
    let resumed = sandbox.run(&["resume", "@last"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(!unfinished.exists());
    assert_eq!(fs::read_dir(sandbox.path("to/deep")).unwrap().count(), 500);
}
