//! Runs that survive: real processes that are killed, and go on where they were.

use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Place, exit_code, lines};

/// Every step leaves a line with its own path: in order, in a loop, in branches, in a loop in a branch.
const NESTED: &str = "
name: nested
steps:
  - {id: first, type: shell, command: 'echo /main/first >> effects'}
  - id: each
    type: loop
    range: {start: 0, end: 4}
    steps:
      - {id: work, type: shell, command: 'echo \"/main/each[{{ loop.index }}]/work\" >> effects'}
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
              - {id: work, type: shell, command: 'echo \"/main/both/left/again[{{ loop.index }}]/work\" >> effects'}
      - {id: right, type: shell, command: 'echo /main/both/right >> effects'}
  - {id: last, type: shell, command: 'echo /main/last >> effects; cat effects | wc -l'}
";

const STEPS: [&str; 11] = [
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
    "/main/last",
];

/// How often each step has left its line.
fn effects(place: &Place) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(place.path("effects")).unwrap_or_default();
    let mut counts = BTreeMap::new();
    text.lines().for_each(|line| *counts.entry(line.to_owned()).or_default() += 1);
    counts
}

fn performed(place: &Place) -> usize {
    effects(place).values().sum()
}

/// How often the leaves were performed whose completion the store knows.
fn acknowledged(place: &Place) -> BTreeMap<String, usize> {
    let shown = place.run(&["runs", "show", "@last", "-o", "json"]);
    if shown.code == 4 {
        return BTreeMap::new();
    }
    let effects = effects(place);
    let shown = shown.json();
    let completed = shown["steps"].as_array().unwrap().iter().filter(|step| step["status"] == "completed");
    let paths = completed.map(|step| step["path"].as_str().unwrap());
    paths.filter_map(|path| Some((path.to_owned(), *effects.get(path)?))).collect()
}

fn is_completed(place: &Place) -> bool {
    let shown = place.run(&["runs", "show", "@last", "-o", "json"]);
    shown.code == 0 && shown.json()["status"] == "completed"
}

/// Runs and kills until a process comes to the end; returns how often it was killed.
fn killed_again_and_again(place: &Place, seed: u64) -> u32 {
    let (mut chance, mut known) = (seed, BTreeMap::new());
    for kills in 0..100 {
        // Where a kill came before the start was recorded there is no run yet.
        let has_run = place.run(&["runs", "show", "@last"]).code == 0;
        let arguments = if has_run { ["resume", "@last"] } else { ["run", "flow.yaml"] };
        let mut child =
            place.command(&arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Each process comes a step further, or one that is cut again and again would be given up as poison.
        let enough = performed(place) + 2 + (chance >> 60) as usize % 3;
        let is_over = |child: &mut Child| child.try_wait().unwrap().is_some();
        while performed(place) < enough && !is_over(&mut child) {
            thread::yield_now();
        }
        let kill_at = Instant::now() + Duration::from_micros((chance >> 33) % 6_000);
        while Instant::now() < kill_at && !is_over(&mut child) {
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let effects = effects(place);
        for (path, count) in &known {
            assert_eq!(effects.get(path), Some(count), "{path} was acknowledged, and performed again (seed {seed})");
        }
        if is_completed(place) {
            return kills;
        }
        known = acknowledged(place);
    }
    panic!("it does not come to its end: {}", place.run(&["runs", "show", "@last"]).stdout);
}

#[test]
fn a_run_that_is_killed_at_any_moment_goes_on_where_it_was() {
    // `KILLS` asks for more, as `.ci/run` does.
    let wanted = std::env::var("KILLS").map_or(25, |text| text.parse().expect("a number"));
    let (mut kills, mut seed) = (0, 1);
    while kills < wanted {
        let place = Place::with_flow(NESTED);
        kills += killed_again_and_again(&place, seed);
        let effects = effects(&place);
        let missing: Vec<_> = STEPS.iter().filter(|path| !effects.contains_key(**path)).collect();
        assert!(missing.is_empty() && effects.len() == STEPS.len(), "{effects:?}");
        let shown = place.run(&["runs", "show", "@last", "-o", "json"]).json();
        assert_eq!((&shown["status"], &shown["error"]), (&json!("completed"), &Value::Null));
        seed += 1;
    }
    println!("{kills} kills");
}

#[test]
fn ctrl_c_pauses_a_run_and_names_the_command_that_goes_on() {
    let flow = "name: pausing\nsteps:\n  - {id: one, type: shell, command: 'echo one >> effects'}\n  - id: two\n    type: shell\n    command: 'test -e go && exit 0; echo up > alive; sleep 1000'\n";
    let place = Place::with_flow(flow);
    let alive = place.pipe("alive");
    let mut command = place.command(&["run", "flow.yaml"]);
    command.env("SPELLFLOW_PAUSE_GRACE", "1ms");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let stderr = lines(move || stderr);
    assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
    let listed = place.run(&["runs", "list", "-o", "json"]).json();
    assert_eq!(listed[0]["status"], "running");
    let held = place.run(&["resume", "@last"]);
    assert_eq!(held.code, 1);
    assert!(held.stderr.contains(&format!("process {}", child.id())), "{}", held.stderr);
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    assert_eq!(exit_code(child), Some(5));
    let said: Vec<_> = stderr.iter().collect();
    let id = listed[0]["run_id"].as_str().unwrap();
    assert!(said.iter().any(|line| line.contains(&format!("spellflow resume {id}"))), "{said:?}");
    assert_eq!(place.run(&["runs", "list", "-o", "json"]).json()[0]["status"], "paused");
    fs::write(place.path("go"), "").unwrap();
    let resumed = place.run(&["resume", id]);
    assert_eq!((resumed.code, effects(&place)["one"]), (0, 1), "{}", resumed.stderr);
    assert_eq!(place.run(&["resume", id]).code, 1);
    let listed = place.run(&["runs", "list"]);
    assert!(listed.stdout.contains("completed"), "{}", listed.stdout);
}

#[test]
fn a_run_in_memory_leaves_nothing_behind() {
    let place = Place::with_flow("name: gone\nsteps:\n  - {id: one, type: set, params: {x: 1}}\n");
    assert_eq!(place.run(&["run", "flow.yaml", "--in-memory"]).code, 0);
    assert!(!place.path(".spellflow").exists());
    assert_eq!(place.run(&["runs", "list", "-o", "json"]).json(), json!([]));
    assert_eq!(place.run(&["resume", "@last"]).code, 4);
    assert_eq!(place.run(&["run", "flow.yaml", "--store", "kept"]).code, 0);
    assert_eq!(place.run(&["runs", "list", "--store", "kept", "-o", "json"]).json()[0]["workflow"], "gone");
}
