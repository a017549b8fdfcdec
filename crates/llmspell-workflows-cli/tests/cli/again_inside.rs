//! Retry, rerun, fork and resume of a step inside a loop, in a branch, in a sub-workflow of another file, which itself is
//! a step inside a loop in a branch.

use std::fs;

use serde_json::{Value, json};

use crate::{
    second_terminal::tell,
    support::{PATIENCE, Place, Terminal, expect, newest, performed, show, until},
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
              - {id: before, type: shell, command: 'echo before {{ loop.index }} >> effects'}
              - {id: sub, type: workflow, workflow: inner, input: {n: '{{ loop.index }}'}}
              - {id: after, type: shell, command: 'echo after {{ loop.index }} >> effects'}
      - {id: right, type: shell, command: 'echo right >> effects'}
  - {id: last, type: shell, command: 'echo last >> effects'}
";

/// Where there is a file `bad`, work 1.1 fails; where there is a file `hold`, it waits to be told to go on.
const INNER: &str = "
name: inner
inputs: {n: {type: integer}}
steps:
  - {id: begin, type: shell, command: 'echo begin {{ n }} >> effects'}
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
                  echo work {{ n }}.{{ loop.index }} >> effects
                  test {{ n }}.{{ loop.index }} = 1.1 || exit 0
                  if test -e hold; then echo up > alive; read told < tell; fi
                  test ! -e bad
              - {id: note, type: shell, command: 'echo note {{ n }}.{{ loop.index }} >> effects'}
      - {id: two, type: shell, command: 'echo two {{ n }} >> effects'}
  - {id: end, type: shell, command: 'echo end {{ n }} >> effects'}
";

/// The sub-workflow of the second iteration.
const SUB: &str = "/main/both/left/each[1]/sub";

/// What is performed for the third iteration and after the loop.
const REST: &str = "before 2, begin 2, work 2.0, note 2.0, work 2.1, note 2.1, two 2, end 2, after 2, last";

const INSTEAD: &str = r#"{"command": "echo instead >> effects"}"#;

/// Effects in words, sorted.
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

fn place() -> Place {
    Place::with_flow(OUTER).file("inner.yaml", INNER)
}

fn completed() -> (Place, String) {
    let place = place();
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 0);
    assert_eq!(performed(&place), all_effects());
    let run = newest(&place);
    (place, run)
}

/// A run that failed in work 1.1, which does no more.
fn failed() -> (Place, String) {
    let place = place().file("bad", "");
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 1);
    assert!(performed(&place).contains(&"work 1.1".to_owned()));
    fs::remove_file(place.path("bad")).unwrap();
    let run = newest(&place);
    (place, run)
}

/// The ids of the runs, the oldest first; those that are steps of `parent` where there is one.
pub(crate) fn runs(place: &Place, parent: Option<&str>) -> Vec<String> {
    let listed = place.run(&["runs", "list", "-o", "json"]).json();
    let of_parent = |run: &&Value| parent.is_none_or(|parent| run["parent_run_id"] == parent);
    let id = |run: &Value| run["run_id"].as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().rev().filter(of_parent).map(id).collect()
}

/// All that is told of the runs `ids`: what is exported of each, its steps, its events, its state.
fn told(place: &Place, ids: &[String]) -> Vec<String> {
    told_by(&["export", "show", "events", "state", "logs"], place, ids)
}

fn told_by(commands: &[&str], place: &Place, ids: &[String]) -> Vec<String> {
    let mut told = Vec::new();
    for id in ids {
        for what in commands {
            let ended = place.run(&["runs", what, id, "-o", "json"]);
            assert_eq!(ended.code, 0, "{what}: {}", ended.stderr);
            let is_now = |line: &&str| line.trim_start().starts_with("\"exported_at\":");
            told.push(ended.stdout.lines().filter(|line| !is_now(line)).collect::<Vec<_>>().join("\n"));
        }
    }
    told
}

/// From where a completed run happens again, with which input, and what is performed then.
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
        // The end of a path is enough, also where it begins around the sub-workflow.
        ("each[1]/sub/main/forked/two".to_owned(), None, rest("two 1, end 1, after 1")),
        ("each[2]/sub/main/end".to_owned(), Some(INSTEAD), effects(&["instead, after 2, last"])),
        // Iterations, blocks, and the sub-workflow as a whole, which takes an input, too.
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
fn a_fork_performs_its_step_and_what_follows_and_leaves_the_old_runs_as_they_are() {
    let (place, run) = completed();
    let old = runs(&place, None);
    assert_eq!(old.len(), 4);
    let (before, exported) = (told(&place, &old), told_by(&["export"], &place, &old));
    for (from, input, expected) in points() {
        let mut arguments = vec!["fork", &run, "--from", &from];
        arguments.extend(input.iter().flat_map(|input| ["--step-input", input]));
        let ended = place.run(&arguments);
        assert_eq!(ended.code, 0, "{from}: {}", ended.stderr);
        assert_eq!(performed(&place), expected, "{from}");
        let fork = newest(&place);
        assert_ne!(fork, run);
        let text = place.run(&["runs", "show", &fork]).stdout;
        let made_of = text.lines().nth(1).unwrap();
        assert!(made_of.starts_with(&format!("made of {run} from /main/")) && made_of.ends_with(&from), "{made_of}");
        assert!(told_by(&["export"], &place, &old) == exported, "an old run has changed with {from}");
    }
    // One of the sub-workflow alone is a run of its own.
    let child = &runs(&place, Some(&run))[1];
    assert_eq!(place.run(&["fork", child, "--from", "turn[1]/note"]).code, 0);
    assert_eq!(performed(&place), effects(&["note 1.1, end 1"]));
    // A fork can be forked.
    assert_eq!(place.run(&["fork", "@last", "--from", "end", "--step-input", INSTEAD]).code, 0);
    assert_eq!(performed(&place), ["instead"]);
    assert!(told(&place, &old) == before);
}

#[test]
fn a_retry_performs_what_failed_inside_and_what_follows() {
    let (place, run) = failed();
    let [done, broken] = <[String; 2]>::try_from(runs(&place, Some(&run))).unwrap();
    let before = told(&place, std::slice::from_ref(&done));
    let expected = effects(&["work 1.1, note 1.1, end 1, after 1", REST]);
    assert_eq!(place.run(&["retry", &run]).code, 0);
    assert_eq!(performed(&place), expected);
    // The failed run of the sub-workflow has gone on, and the one that was done stays.
    assert_eq!(show(&place, &broken)["status"], "completed");
    let children = runs(&place, Some(&run));
    assert_eq!((children.len(), &children[..2]), (3, &[done.clone(), broken][..]));
    assert!(told(&place, &[done]) == before);
}

#[test]
fn a_retry_from_a_chosen_step_inside_can_have_another_input() {
    for (from, input, expected) in points() {
        // These have not begun, or have nothing to do with it.
        if from.contains("each[2]") || from == "each[1]/after" || from == "right" {
            continue;
        }
        let (place, run) = failed();
        let [done, _] = <[String; 2]>::try_from(runs(&place, Some(&run))).unwrap();
        let before = told(&place, std::slice::from_ref(&done));
        let mut arguments = vec!["retry", &run, "--from", &from];
        arguments.extend(input.iter().flat_map(|input| ["--step-input", input]));
        let ended = place.run(&arguments);
        // What failed beside it stays as it is.
        if from.ends_with("two") {
            assert_eq!((ended.code, performed(&place)), (1, effects(&["two 1"])), "{}", ended.stderr);
        } else {
            assert_eq!((ended.code, performed(&place)), (0, expected), "{from}: {}", ended.stderr);
        }
        assert!(told(&place, &[done]) == before, "{from}");
    }
}

/// The failed step itself, and one in a sub-workflow that has completed.
#[test]
fn a_retry_with_another_input_gives_it_to_the_one_step_alone() {
    let (place, run) = failed();
    let from = format!("{SUB}/main/forked/one/turn[1]/work");
    assert_eq!(place.run(&["retry", &run, "--from", &from, "--step-input", INSTEAD]).code, 0);
    assert_eq!(performed(&place), effects(&["instead, note 1.1, end 1, after 1", REST]));

    let (place, run) = failed();
    let children = runs(&place, Some(&run));
    assert_eq!(place.run(&["retry", &run, "--from", "each[0]/sub/main/end", "--step-input", INSTEAD]).code, 0);
    let second = "before 1, begin 1, work 1.0, note 1.0, work 1.1, note 1.1, two 1, end 1, after 1";
    assert_eq!(performed(&place), effects(&["instead, after 0", second, REST]));
    assert_eq!(show(&place, &children[0])["status"], "completed");
}

#[test]
fn a_rerun_reuses_nothing_and_leaves_the_old_runs_as_they_are() {
    let (place, run) = completed();
    let old = runs(&place, None);
    let before = told(&place, &old);
    assert_eq!(place.run(&["rerun", &run]).code, 0);
    assert_eq!(performed(&place), all_effects());
    assert_eq!(runs(&place, Some(&newest(&place))).len(), 3);
    // Of the sub-workflow alone, with the input that it had or another.
    let child = &runs(&place, Some(&run))[2];
    for (inputs, n) in [(&[][..], 2), (&["--input", "n:=7"], 7)] {
        assert_eq!(place.run(&[&["rerun", child][..], inputs].concat()).code, 0);
        let inner = "begin N, work N.0, note N.0, work N.1, note N.1, two N, end N".replace('N', &n.to_string());
        assert_eq!(performed(&place), effects(&[&inner]));
    }
    assert!(told(&place, &old) == before);
}

/// Kills what `arguments` start while work 1.1 alone is at work, and lets the shell that it leaves behind end.
fn killed_in_the_middle(place: &Place, arguments: &[&str]) {
    fs::write(place.path("hold"), "").unwrap();
    let alive = place.again("alive");
    let terminal = Terminal::open(place, arguments);
    assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
    let is_done = |run: &str, path: &str| {
        let steps = show(place, run)["steps"].take();
        steps.as_array().unwrap().iter().any(|step| step["path"] == path && step["status"] == "completed")
    };
    until(|| {
        let run = newest(place);
        let child = runs(place, Some(&run)).pop()?;
        (is_done(&run, "/main/both/right") && is_done(&child, "/main/forked/two")).then_some(())
    });
    terminal.kill();
    fs::remove_file(place.path("hold")).unwrap();
    tell(place);
}

/// `place` with the pipes that [`killed_in_the_middle`] uses.
pub(crate) fn with_pipes(place: &Place) {
    ["alive", "tell"].iter().for_each(|name| place.make_pipe(name));
}

#[test]
fn what_is_killed_inside_goes_on_with_the_step_that_was_at_work() {
    let rest = || effects(&["work 1.1, note 1.1, end 1, after 1", REST]);
    let resumed = |place: &Place, run: &str| {
        let ended = place.run(&["resume", run]);
        assert_eq!((ended.code, performed(place)), (0, rest()), "{}", ended.stderr);
    };
    // A run.
    let place = place();
    with_pipes(&place);
    killed_in_the_middle(&place, &["run", "flow.yaml"]);
    let (run, done) = (newest(&place), performed(&place));
    assert!(done.contains(&"work 1.1".to_owned()) && !done.contains(&"note 1.1".to_owned()), "{done:?}");
    resumed(&place, &run);
    // A fork of it, from a step inside.
    let old = runs(&place, None);
    let before = told(&place, &old);
    let from = format!("{SUB}/main/forked/one/turn[0]/work");
    killed_in_the_middle(&place, &["fork", &run, "--from", &from, "--step-input", INSTEAD]);
    assert_eq!(performed(&place), ["instead", "note 1.0", "work 1.1"]);
    resumed(&place, &newest(&place));
    assert!(told(&place, &old) == before);
    // A rerun.
    killed_in_the_middle(&place, &["rerun", &run]);
    performed(&place);
    resumed(&place, &newest(&place));
    assert!(told(&place, &old) == before);
}

#[test]
fn a_retry_that_is_killed_inside_goes_on_with_the_step_that_was_at_work() {
    let rest = effects(&["work 1.1, note 1.1, end 1, after 1", REST]);
    for (from, first) in [(None, "work 1.1"), (Some("each[1]/sub/main/forked/one/turn[0]/note"), "note 1.0, work 1.1")]
    {
        let (place, run) = failed();
        with_pipes(&place);
        let mut arguments = vec!["retry", &run];
        arguments.extend(from.iter().flat_map(|from| ["--from", from]));
        killed_in_the_middle(&place, &arguments);
        assert_eq!(performed(&place), effects(&[first]));
        let ended = place.run(&["resume", &run]);
        assert_eq!((ended.code, performed(&place)), (0, rest.clone()), "{}", ended.stderr);
        assert_eq!(runs(&place, Some(&run)).len(), 3);
    }
}

#[test]
fn what_is_wrong_with_a_step_inside_names_its_whole_path() {
    let (place, run) = completed();
    let fork =
        |from: &str, input: &[&str]| place.run(&[&["fork", &run, "--from", from][..], input, &["-o", "json"]].concat());
    let ambiguous = fork("turn[0]/note", &[]);
    expect(&ambiguous, 2, "ambiguous_step");
    let all = [0, 1, 2].map(|n| format!("/main/both/left/each[{n}]/sub/main/forked/one/turn[0]/note")).join(", ");
    assert_eq!(ambiguous.json()["error"]["message"], json!(format!("`turn[0]/note` could be any of {all}")));
    expect(&fork("each[1]/sub/main/nowhere", &[]), 4, "step_not_found");
    let no_input = fork(&format!("{SUB}/main/forked"), &["--step-input", "{}"]);
    expect(&no_input, 2, "no_step_input");
    let message = no_input.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("{SUB}/main/forked takes no input")), "{message}");
}

#[test]
fn the_run_of_a_sub_workflow_is_retried_with_the_one_around_it() {
    let (place, run) = failed();
    let child = runs(&place, Some(&run)).swap_remove(1);
    for verb in ["retry", "resume"] {
        let refused = place.run(&[verb, &child, "-o", "json"]);
        expect(&refused, 1, "run_is_child");
        assert!(refused.json()["error"]["help"].as_str().unwrap().contains(&run), "{}", refused.stdout);
    }
    let all = place.run(&["retry", "--failed", "-o", "json"]);
    assert_eq!((all.code, all.json()), (0, json!([{"run_id": run, "status": "completed", "error": null}])));
    assert_eq!(performed(&place), effects(&["work 1.1, note 1.1, end 1, after 1", REST]));
}
