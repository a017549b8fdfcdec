//! Tests that move a run between journals or stores. Moves are exclusive, and an interrupted move
//! has no effect.

use std::{
    fs,
    process::{Child, Command},
};

use serde_json::{Value, json};

use crate::support::{Sandbox, exit_code, json_of, newest_run, show, wait_until};

/// Each iteration has an effect and a long output. The last step fails until a file `ok` exists.
const LONG: &str = "
name: long
steps:
  - id: each
    type: loop
    range: {start: 0, end: 8}
    steps:
      - {id: work, type: shell, command: 'echo $SPELLFLOW_IDEMPOTENCY_KEY >> effects; head -c 150000 /dev/zero | tr \"\\0\" x'}
  - {id: last, type: shell, command: 'echo $SPELLFLOW_IDEMPOTENCY_KEY >> effects; test -e ok'}
  - {id: wait, type: wait_for_event, event: go}
";

/// Returns a sandbox with a failed run in the archive, and the run's id.
fn failed_in_archive() -> (Sandbox, String) {
    let sandbox = Sandbox::with_flow(LONG);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    assert_eq!(sandbox.run(&["store", "compact"]).code, 0);
    let run = newest_run(&sandbox);
    (sandbox, run)
}

/// Returns how many effects each step had; the run's id is omitted.
fn effects(sandbox: &Sandbox) -> Vec<(String, usize)> {
    let text = fs::read_to_string(sandbox.path("effects")).unwrap_or_default();
    let mut steps: Vec<String> = text.lines().map(|line| line[36..].to_owned()).collect();
    steps.sort();
    steps.chunk_by(|one, other| one == other).map(|same| (same[0].clone(), same.len())).collect()
}

/// Runs `spellflow` with a limit on the size of files, in blocks of 512 bytes, so that the system
/// ends it in the middle of a write.
fn cut_off(sandbox: &Sandbox, blocks: u32, arguments: &[&str]) -> Option<i32> {
    let spellflow = sandbox.command(&[]);
    let script = format!("ulimit -c 0; ulimit -f {blocks}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", spellflow.get_program().to_str().unwrap()]).args(arguments);
    command.current_dir(sandbox.path("")).env("HOME", sandbox.path("home"));
    command.output().unwrap().status.code()
}

fn statuses(sandbox: &Sandbox, store: &str) -> Vec<Value> {
    let listed = json_of(sandbox, &["runs", "list", "--store", store]);
    listed.as_array().unwrap().iter().map(|run| run["status"].clone()).collect()
}

/// Starts several `spellflow` processes at once, and returns their exit codes.
fn at_once(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Option<i32>> {
    let start = |_| {
        let mut command = sandbox.command(arguments);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    let all: Vec<Child> = (0..4).map(start).collect();
    all.into_iter().map(exit_code).collect()
}

#[test]
fn only_one_concurrent_retry_wins() {
    let (sandbox, run) = failed_in_archive();
    fs::write(sandbox.path("ok"), "").unwrap();
    let codes = at_once(&sandbox, &["retry", &run]);
    assert_eq!(codes.iter().filter(|code| **code == Some(5)).count(), 1, "{codes:?}");
    let last = effects(&sandbox).into_iter().find(|(step, _)| step.starts_with("/main/last")).unwrap();
    // The first attempt failed, and the retry is the next generation of the step.
    assert_eq!(last, ("/main/last".to_owned(), 1));
    assert_eq!(effects(&sandbox).into_iter().map(|(_, count)| count).max(), Some(1), "{:?}", effects(&sandbox));
    assert_eq!(statuses(&sandbox, ".spellflow"), ["waiting"]);
}

#[test]
fn only_one_concurrent_import_wins() {
    let sandbox = Sandbox::with_flow("name: w\nsteps: [{id: w, type: wait_for_event, event: go}]\n");
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let run = newest_run(&sandbox);
    assert_eq!(sandbox.run(&["runs", "export", &run, "--file", "run.json"]).code, 0);
    let codes = at_once(&sandbox, &["runs", "import", "run.json", "--store", "other"]);
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    assert_eq!(statuses(&sandbox, "other"), ["waiting"]);
    assert_eq!(json_of(&sandbox, &["runs", "show", &run, "--store", "other"])["run_id"], json!(run));
}

/// Interrupts each command at several points while it moves a run. The run must remain in its
/// original place. The same command must work afterwards, and no step may run twice.
#[test]
fn interrupted_move_leaves_the_run_where_it_was() {
    let verbs: [(&str, &[&str], &str); 3] = [
        ("retry", &["retry", "RUN"], ".spellflow"),
        ("fork", &["fork", "RUN", "--from", "last"], ".spellflow"),
        ("import", &["runs", "import", "run.json", "--store", "other"], "other"),
    ];
    for (name, arguments, store) in verbs {
        let (sandbox, run) = failed_in_archive();
        if name == "import" {
            fs::write(sandbox.path("ok"), "").unwrap();
            assert_eq!(sandbox.run(&["retry", &run]).code, 5);
            assert_eq!(sandbox.run(&["runs", "export", &run, "--file", "run.json"]).code, 0);
        }
        fs::write(sandbox.path("ok"), "").unwrap();
        let done = effects(&sandbox);
        let before = if store == "other" { Vec::new() } else { statuses(&sandbox, store) };
        let arguments: Vec<&str> = arguments.iter().map(|word| if *word == "RUN" { &*run } else { word }).collect();
        for blocks in [40, 600, 1_200, 1_800] {
            let code = cut_off(&sandbox, blocks, &arguments);
            assert!(![Some(0), Some(5)].contains(&code), "{name} at {blocks}: exit {code:?}");
            assert_eq!(statuses(&sandbox, store), before, "{name} at {blocks}");
            assert_eq!(effects(&sandbox), done, "{name} at {blocks}");
            let verified = sandbox.run(&["store", "verify", "--store", store]);
            assert_eq!(verified.code, 0, "{name} at {blocks}: {}{}", verified.stdout, verified.stderr);
        }
        let expected = if name == "import" { 0 } else { 5 };
        let again = sandbox.run(&arguments);
        assert_eq!(again.code, expected, "{name}: {}", again.stderr);
        let repeated = |step: &(String, usize)| step.1 > 1 && !step.0.starts_with("/main/last");
        assert!(!effects(&sandbox).iter().any(repeated), "{name}: {:?}", effects(&sandbox));
    }
}

#[test]
fn different_processes_can_resume_runs_of_one_journal() {
    let flow = "name: f\nsteps:\n  - {id: w, type: wait_for_event, event: go}\n  \
        - {id: a, type: shell, command: 'touch at-$SPELLFLOW_RUN_ID; read line < tell'}\n";
    let sandbox = Sandbox::with_flow(flow);
    sandbox.make_pipe("tell");
    for _ in 0..2 {
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    }
    // All runs in a backup are in one journal.
    assert_eq!(sandbox.run(&["store", "backup", "copy"]).code, 0);
    let listed = json_of(&sandbox, &["runs", "list"]);
    let runs: Vec<&str> = listed.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap()).collect();
    let mut processes = Vec::new();
    for run in &runs {
        assert_eq!(sandbox.run(&["signal", run, "go", "--store", "copy"]).code, 0);
        processes.push(sandbox.command(&["resume", run, "--store", "copy"]).spawn().unwrap());
        wait_until(|| sandbox.path(&format!("at-{run}")).exists().then_some(()));
    }
    let cancelled = sandbox.run(&["cancel", runs[1], "--store", "copy"]);
    assert!(cancelled.stderr.contains("cancelling"), "{}", cancelled.stderr);
    assert_eq!(processes.pop().map(exit_code), Some(Some(130)));
    let status = |run| json_of(&sandbox, &["runs", "show", run, "--store", "copy"])["status"].clone();
    assert_eq!([status(runs[0]), status(runs[1])], [json!("running"), json!("cancelled")]);
    crate::support::release_step(&sandbox);
    assert_eq!(processes.pop().map(exit_code), Some(Some(0)));
}

#[test]
fn frequent_resumes_do_not_increase_the_size_of_a_run() {
    let sandbox = Sandbox::with_flow("name: f\nsteps: [{id: w, type: wait_for_event, event: go}]\n");
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let room = || json_of(&sandbox, &["store", "stats"])["bytes"].as_u64().unwrap();
    let before = room();
    for _ in 0..15 {
        assert_eq!(sandbox.run(&["resume", "@last"]).code, 5);
    }
    assert!(room() < before * 5, "{before} bytes, then {}", room());
    assert_eq!(sandbox.run(&["store", "compact"]).code, 0);
    assert!(room() < before * 2, "{before} bytes, then {} after compaction", room());
    assert_eq!(sandbox.run(&["signal", "@last", "go"]).code, 0);
    assert_eq!(sandbox.run(&["resume", "@last"]).code, 0);
    assert_eq!(show(&sandbox, "@last")["status"], "completed");
}
