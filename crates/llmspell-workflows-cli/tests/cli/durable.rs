//! Durable runs resume where they stopped when their process was killed.

use std::{
    fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Sandbox, TIMEOUT, exit_code, lines};

/// Every step writes a line that contains its own path. There are steps in a sequence, a loop,
/// branches, a loop in a branch, and a sub-workflow.
const NESTED: &str = "
name: nested
steps:
  - {id: first, type: shell, command: 'echo /main/first >> effects'}
  - id: each
    type: loop
    range: {start: 0, end: 4}
    steps:
      - {id: work, type: shell, command: 'echo \"/main/each[\"{{ loop.index | shell_quote }}\"]/work\" >> effects'}
  - id: both
    type: parallel
    steps:
      - id: left
        type: sequence
        steps:
          - {id: one, type: shell, command: 'echo /main/both/left/one >> effects'}
          - id: again
            type: loop
            range: {start: 0, end: 3}
            steps:
              - {id: work, type: shell, command: 'echo \"/main/both/left/again[\"{{ loop.index | shell_quote }}\"]/work\" >> effects'}
      - {id: right, type: shell, command: 'echo /main/both/right >> effects'}
  - {id: sub, type: workflow, workflow: child, input: {n: 3}}
  - {id: last, type: shell, command: 'echo /main/last >> effects; cat effects | wc -l'}
workflows:
  child:
    name: child
    steps:
      - id: each
        type: loop
        range: {start: 0, end: '{{ n }}'}
        steps:
          - {id: work, type: shell, command: 'echo \"/main/sub/main/each[\"{{ loop.index | shell_quote }}\"]/work\" >> effects'}
";

const STEPS: [&str; 14] = [
    "/main/first",
    "/main/each[0]/work",
    "/main/each[1]/work",
    "/main/each[2]/work",
    "/main/each[3]/work",
    "/main/both/left/one",
    "/main/both/left/again[0]/work",
    "/main/both/left/again[1]/work",
    "/main/both/left/again[2]/work",
    "/main/both/right",
    "/main/sub/main/each[0]/work",
    "/main/sub/main/each[1]/work",
    "/main/sub/main/each[2]/work",
    "/main/last",
];

/// Returns the lines written by steps, in order.
fn effects(sandbox: &Sandbox) -> Vec<String> {
    let text = fs::read_to_string(sandbox.path("effects")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The state of the store and the effects after a kill.
struct Kill {
    /// The leaves shown as completed in the store.
    completed: Vec<String>,
    /// The number of lines written so far.
    effects: usize,
}

impl Kill {
    /// Reads the store after a kill; `None` if the run has completed.
    fn read(sandbox: &Sandbox) -> Option<Self> {
        let effects = effects(sandbox).len();
        let shown = sandbox.run(&["runs", "show", "@last", "-o", "json"]);
        // The kill may come before the start is recorded.
        if shown.code == 4 {
            return Some(Self { completed: Vec::new(), effects });
        }
        assert_eq!(shown.code, 0, "{}{}", shown.stdout, shown.stderr);
        let shown = shown.json();
        let completed = shown["steps"].as_array().unwrap().iter().filter(|step| step["status"] == "completed");
        // A retried step has a different generation but writes the same line.
        let paths = completed.map(|step| step["path"].as_str().unwrap().split('~').next().unwrap());
        let completed = paths.filter(|path| STEPS.contains(path)).map(str::to_owned).collect();
        (shown["status"] != "completed").then_some(Self { completed, effects })
    }
}

/// Starts and kills processes until one of them completes the run; returns the state after each
/// kill.
fn kill_until_completed(sandbox: &Sandbox, seed: u64) -> Vec<Kill> {
    let (mut chance, mut kills) = (seed, Vec::new());
    while kills.len() < 100 {
        let arguments = match sandbox.run(&["runs", "list", "-o", "json"]).json()[0]["status"].as_str() {
            None => ["run", "flow.yaml"],
            // The same step happened to be interrupted three times, so it failed as poison.
            Some("failed") => ["retry", "@last"],
            Some(_) => ["resume", "@last"],
        };
        let mut child = sandbox
            .command(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Each process completes at least one step; otherwise a repeatedly interrupted step would fail as poison.
        let enough = effects(sandbox).len() + 2 + (chance >> 60) as usize % 3;
        let has_exited = |child: &mut Child| child.try_wait().unwrap().is_some();
        while effects(sandbox).len() < enough && !has_exited(&mut child) {
            thread::yield_now();
        }
        let kill_at = Instant::now() + Duration::from_micros((chance >> 33) % 6_000);
        while Instant::now() < kill_at && !has_exited(&mut child) {
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        match Kill::read(sandbox) {
            Some(kill) => kills.push(kill),
            None => return kills,
        }
    }
    panic!("the run does not complete: {}", sandbox.run(&["runs", "show", "@last"]).stdout);
}

/// Kills processes with the journal kind `journal`, `KILLS` times (default 20), with the seeds 1,
/// 2, 3, … For more kills, run
/// `KILLS=200 cargo test -p llmspell-workflows-cli --test cli journal_ -- --nocapture`.
fn survives_kills(journal: &str) {
    let wanted = std::env::var("KILLS").map_or(20, |text| text.parse().expect("KILLS must be a number"));
    let began = Instant::now();
    let (mut killed, mut acknowledged, mut seed) = (0, 0, 0);
    while killed < wanted {
        seed += 1;
        let sandbox = Sandbox::with_flow(NESTED).file("spellflow.toml", &format!("store.journal = '{journal}'\n"));
        let kills = kill_until_completed(&sandbox, seed);
        assert!(sandbox.path(".spellflow").join(journal).exists());
        let effects = effects(&sandbox);
        for (number, kill) in kills.iter().enumerate() {
            for path in &kill.completed {
                let at = format!("{path}, completed before kill {number} of seed {seed}");
                assert!(effects[..kill.effects].contains(path), "no effect of {at}: {effects:?}");
                assert!(!effects[kill.effects..].contains(path), "a later effect of {at}: {effects:?}");
                acknowledged += 1;
            }
        }
        let missing: Vec<_> = STEPS.iter().filter(|path| !effects.iter().any(|line| line == *path)).collect();
        assert!(missing.is_empty(), "no effect of {missing:?} with seed {seed}");
        let strange: Vec<_> = effects.iter().filter(|line| !STEPS.contains(&line.as_str())).collect();
        assert!(strange.is_empty(), "{strange:?}");
        let shown = sandbox.run(&["runs", "show", "@last", "-o", "json"]).json();
        assert_eq!((&shown["status"], &shown["error"]), (&json!("completed"), &Value::Null));
        killed += kills.len();
    }
    assert!(acknowledged > killed, "most kills must happen after an acknowledged completion");
    let took = began.elapsed().as_secs_f64();
    println!(
        "{journal}: {killed} kills over {seed} runs (seeds 1 to {seed}), {acknowledged} acknowledged completions checked, {took:.1} s"
    );
}

#[test]
fn log_journal_survives_kills_at_any_moment() {
    survives_kills("log");
}

#[test]
fn fjall_journal_survives_kills_at_any_moment() {
    survives_kills("fjall");
}

#[test]
fn sled_journal_survives_kills_at_any_moment() {
    survives_kills("sled");
}

#[test]
fn ctrl_c_pauses_a_run_and_prints_the_resume_command() {
    let flow = "name: pausing\nsteps:\n  - {id: one, type: shell, command: 'echo one >> effects'}\n  - id: two\n    type: shell\n    command: 'test -e go && exit 0; echo up > alive; sleep 1000'\n";
    let sandbox = Sandbox::with_flow(flow);
    let alive = sandbox.pipe("alive");
    let mut command = sandbox.command(&["run", "flow.yaml"]);
    command.env("SPELLFLOW_PAUSE_GRACE", "1ms");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let stderr = lines(move || stderr);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    let listed = sandbox.run(&["runs", "list", "-o", "json"]).json();
    assert_eq!(listed[0]["status"], "running");
    let held = sandbox.run(&["resume", "@last"]);
    assert_eq!(held.code, 1);
    assert!(held.stderr.contains(&format!("process {}", child.id())), "{}", held.stderr);
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    assert_eq!(exit_code(child), Some(5));
    let stderr: Vec<_> = stderr.iter().collect();
    let id = listed[0]["run_id"].as_str().unwrap();
    assert!(stderr.iter().any(|line| line.contains(&format!("spellflow resume {id}"))), "{stderr:?}");
    assert_eq!(sandbox.run(&["runs", "list", "-o", "json"]).json()[0]["status"], "paused");
    fs::write(sandbox.path("go"), "").unwrap();
    let resumed = sandbox.run(&["resume", id]);
    assert_eq!((resumed.code, effects(&sandbox)), (0, vec!["one".to_owned()]), "{}", resumed.stderr);
    assert_eq!(sandbox.run(&["resume", id]).code, 1);
    let listed = sandbox.run(&["runs", "list"]);
    assert!(listed.stdout.contains("completed"), "{}", listed.stdout);
}

#[test]
fn in_memory_run_leaves_no_files() {
    let sandbox = Sandbox::with_flow("name: gone\nsteps:\n  - {id: one, type: set, params: {x: 1}}\n");
    assert_eq!(sandbox.run(&["run", "flow.yaml", "--in-memory"]).code, 0);
    assert!(!sandbox.path(".spellflow").exists());
    assert_eq!(sandbox.run(&["runs", "list", "-o", "json"]).json(), json!([]));
    assert_eq!(sandbox.run(&["resume", "@last"]).code, 4);
    assert_eq!(sandbox.run(&["run", "flow.yaml", "--store", "kept"]).code, 0);
    assert_eq!(sandbox.run(&["runs", "list", "--store", "kept", "-o", "json"]).json()[0]["workflow"], "gone");
}
