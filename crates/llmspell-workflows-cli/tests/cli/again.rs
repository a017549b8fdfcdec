//! Retry, rerun, fork, and resume under another definition, from the command line.

use std::fs;

use serde_json::json;

use crate::support::{Place, expect, newest, performed, show};

/// A loop in a branch; the second iteration fails until there is a file `ok`.
const NESTED: &str = "
name: nested
inputs: {who: {type: string, default: nobody}}
steps:
  - {id: first, type: shell, command: 'echo first {{ who }} >> effects'}
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
              - {id: work, type: shell, command: 'echo work {{ loop.index }} >> effects; test -e ok || test {{ loop.index }} != 1'}
              - {id: note, type: shell, command: 'echo note {{ loop.index }} >> effects'}
      - {id: right, type: shell, command: 'echo right >> effects'}
  - {id: last, type: shell, command: 'echo last >> effects'}
";

/// A place with a run that failed in the loop, and the run.
fn failed() -> (Place, String) {
    let place = Place::with_flow(NESTED);
    let ended = place.run(&["run", "flow.yaml"]);
    assert_eq!(ended.code, 1);
    let run = newest(&place);
    assert!(ended.stderr.contains(&format!("next: spellflow retry {run}")), "{}", ended.stderr);
    assert_eq!(performed(&place), ["first nobody", "note 0", "right", "work 0", "work 1"]);
    (place, run)
}

fn completed() -> (Place, String) {
    let place = Place::with_flow(NESTED).file("ok", "");
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 0);
    performed(&place);
    let run = newest(&place);
    (place, run)
}

#[test]
fn a_retry_performs_what_failed_and_what_follows() {
    let (place, run) = failed();
    assert_eq!(place.run(&["retry", &run]).code, 1);
    assert_eq!(performed(&place), ["work 1"]);
    fs::write(place.path("ok"), "").unwrap();
    let retried = place.run(&["retry", &run, "-o", "json"]);
    assert_eq!((retried.code, &retried.json()["run_id"]), (0, &json!(run)), "{}", retried.stderr);
    assert_eq!(performed(&place), ["last", "note 1", "note 2", "work 1", "work 2"]);
    expect(&place.run(&["retry", &run, "-o", "json"]), 1, "run_not_failed");
}

#[test]
fn a_retry_from_a_step_in_the_loop_can_have_another_input() {
    let (place, run) = failed();
    let input = r#"{"command": "echo instead >> effects"}"#;
    let retried = place.run(&["retry", &run, "--from", "each[1]/work", "--step-input", input]);
    assert_eq!(retried.code, 0, "{}", retried.stderr);
    assert_eq!(performed(&place), ["instead", "last", "note 1", "note 2", "work 2"]);

    let (place, run) = failed();
    fs::write(place.path("ok"), "").unwrap();
    assert_eq!(place.run(&["retry", &run, "--from", "each[0]/note"]).code, 0);
    assert_eq!(performed(&place), ["last", "note 0", "note 1", "note 2", "work 1", "work 2"]);
}

#[test]
fn a_fork_from_a_step_in_the_loop_leaves_the_old_run_as_it_is() {
    let (place, run) = completed();
    let before = show(&place, &run);
    let forked = place.run(&["fork", &run, "--from", "/main/both/left/each[1]/work", "-o", "json"]);
    assert_eq!(forked.code, 0, "{}", forked.stderr);
    assert_eq!(performed(&place), ["last", "note 1", "note 2", "work 1", "work 2"]);
    let input = r#"{"command": "echo instead >> effects"}"#;
    let edited = place.run(&["fork", &run, "--from", "each[2]/note", "--step-input", input]);
    assert_eq!(edited.code, 0, "{}", edited.stderr);
    assert_eq!(performed(&place), ["instead", "last"]);
    assert_eq!(show(&place, &run), before);
    let text = place.run(&["runs", "show", "@last"]).stdout;
    assert!(text.contains(&format!("made of {run} from /main/both/left/each[2]/note")), "{text}");
    assert_ne!(newest(&place), run);
    for (from, code, error) in
        [("nowhere", 4, "step_not_found"), ("work", 2, "ambiguous_step"), ("each[1]/wrk", 4, "step_not_found")]
    {
        expect(&place.run(&["fork", &run, "--from", from, "-o", "json"]), code, error);
    }
    let block = place.run(&["fork", &run, "--from", "left", "--step-input", "1", "-o", "json"]);
    expect(&block, 2, "no_step_input");
}

/// Leaves of different iterations have one end of a path in common.
#[test]
fn a_step_that_is_not_there_or_not_the_only_one_is_refused_with_those_that_could_be_meant() {
    let (place, run) = completed();
    let ambiguous = place.run(&["fork", &run, "--from", "work"]).stderr;
    let all = [0, 1, 2].map(|index| format!("/main/both/left/each[{index}]/work")).join(", ");
    assert_eq!(ambiguous, format!("error: `work` could be any of {all}\n"));
}

/// Events that the old run has got are its own; the fork waits for new ones.
#[test]
fn a_fork_keeps_the_events_before_and_waits_for_its_own_after() {
    let steps = "[{id: a, event: go}, {id: b, event: go}, {id: c, type: shell, command: 'echo c >> effects'}]";
    let place = Place::with_flow(&format!("name: waits\nsteps: {steps}\n"));
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 5);
    let run = newest(&place);
    for data in ["1", "2"] {
        assert_eq!(place.run(&["signal", &run, "go", "--data", data]).code, 0);
    }
    assert_eq!(place.run(&["resume", &run]).code, 0);
    let before = show(&place, &run);
    assert_eq!(place.run(&["fork", &run, "--from", "b"]).code, 5);
    let fork = newest(&place);
    assert_eq!(place.run(&["signal", &fork, "go", "--data", "3"]).code, 0);
    assert_eq!(place.run(&["resume", &fork]).code, 0, "{}", show(&place, &fork));
    let after = show(&place, &fork);
    assert_eq!((&after["steps"][0]["output"]["data"], &after["steps"][1]["output"]["data"]), (&json!(1), &json!(3)));
    assert_eq!(show(&place, &run), before);
}

#[test]
fn a_rerun_reuses_nothing_and_may_have_another_input_and_definition() {
    let (place, run) = completed();
    let before = show(&place, &run);
    assert_eq!(place.run(&["rerun", &run, "--input", "who=Ada"]).code, 0);
    let all = ["first Ada", "last", "note 0", "note 1", "note 2", "right", "work 0", "work 1", "work 2"];
    assert_eq!(performed(&place), all);
    // The run keeps to its definition, whatever becomes of the file.
    fs::write(
        place.path("flow.yaml"),
        "name: nested\nsteps: [{id: only, type: shell, command: 'echo only >> effects'}]",
    )
    .unwrap();
    assert_eq!(place.run(&["rerun", "@last"]).code, 0);
    assert_eq!(performed(&place), all);
    assert_eq!(place.run(&["rerun", "@last", "--definition", "flow.yaml"]).code, 0);
    assert_eq!(performed(&place), ["only"]);
    assert_eq!(show(&place, &run), before);
}

const PINNED: &str = "
name: pinned
steps:
  - {id: one, type: shell, command: 'echo one >> effects'}
  - {id: gate, event: go}
  - {id: two, type: shell, command: 'echo two >> effects'}
";

#[test]
fn another_definition_is_refused_with_what_differs_unless_it_is_asked_for() {
    let changed =
        PINNED.replace("echo two", "echo changed") + "  - {id: three, type: shell, command: 'echo three >> effects'}\n";
    let without = PINNED.replace("id: one", "id: uno");
    let place = Place::with_flow(PINNED).file("changed.yaml", &changed).file("without.yaml", &without);
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 5);
    let run = newest(&place);
    assert_eq!(place.run(&["signal", &run, "go"]).code, 0);
    let refused = place.run(&["resume", &run, "--definition", "changed.yaml"]);
    assert_eq!(refused.code, 1);
    insta::assert_snapshot!(refused.stderr.replace(&run, "RUN"), @r"
    error: the run RUN was started with another definition:
    @@ -10,4 +10,8 @@
       - id: two
         type: shell
         params:
    -      command: echo two >> effects
    +      command: echo changed >> effects
    +  - id: three
    +    type: shell
    +    params:
    +      command: echo three >> effects
      help: `--accept-changes` goes on with the new definition where every recorded step still exists
    ");
    let refused = place.run(&["resume", &run, "--definition", "without.yaml", "--accept-changes", "-o", "json"]);
    expect(&refused, 1, "definition_changed");
    assert!(refused.stdout.contains("no step at /main/one"), "{}", refused.stdout);
    assert_eq!(performed(&place), ["one"]);
    let accepted = place.run(&["resume", &run, "--definition", "changed.yaml", "--accept-changes"]);
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    assert_eq!(performed(&place), ["changed", "three"]);
}

#[test]
fn a_run_goes_on_in_a_later_version_with_its_state_migrated() {
    let flow = |version: &str, list: &str, more: &str| {
        let steps = format!(
            "steps:\n  - id: each\n    type: loop\n    items: [1, 2]\n    steps:\n      - {{id: add, type: set, params: {{{list}: '{{{{ concat(state.{list} || [], [loop.item]) }}}}'}}}}\n  - {{id: gate, event: go}}\n  - {{id: last, type: set, params: {{all: '{{{{ state.{list} }}}}'}}}}\n"
        );
        format!("name: shop\nversion: {version}\n{more}{steps}")
    };
    let migration = "migrations:\n  1.0.0:\n    rename: {cart: basket}\n    set: {count: '{{ len(state.cart) }}'}\n";
    let place = Place::with_flow(&flow("1.0.0", "cart", ""))
        .file("later.yaml", &flow("2.0.0", "basket", migration))
        .file("other.yaml", &flow("3.0.0", "basket", &migration.replace("1.0.0", "2.0.0")));
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 5);
    let run = newest(&place);
    assert_eq!(place.run(&["signal", &run, "go"]).code, 0);
    let refused = place.run(&["resume", &run, "--definition", "other.yaml", "--accept-changes", "-o", "json"]);
    expect(&refused, 2, "no_migration");
    let accepted = place.run(&["resume", &run, "--definition", "later.yaml", "--accept-changes"]);
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    // What is on record is counted, and not shown as if it happened again.
    assert!(accepted.stderr.contains("that had ended before"), "{}", accepted.stderr);
    assert!(!accepted.stderr.contains("each[0]"), "{}", accepted.stderr);
    let state: serde_json::Value =
        serde_json::from_str(&place.run(&["runs", "state", &run, "-o", "json"]).stdout).unwrap();
    assert_eq!(state, json!({"basket": [1, 2], "count": 2, "all": [1, 2]}));
    let events = place.run(&["runs", "events", &run]).stdout;
    assert!(events.contains("run.redefined"), "{events}");
}
