//! Tests for names on the command line that select nothing.

use crate::support::Sandbox;

const WORKS: &str = "
name: works
steps:
  - {id: build, type: shell, command: echo built}
  - {id: check, type: shell, command: exit 1}
  - {id: ship, type: shell, command: echo shipped}
";

const CASES: &str = "workflow: flow.yaml\ncases:\n  - {name: ships, expect: {status: failed}}\n";

/// Each command names the missing item and the existing ones.
#[test]
fn names_that_select_nothing_are_reported_with_existing_names() {
    let sandbox = Sandbox::with_flow(WORKS).file("flow.test.yaml", CASES);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    for (command, code, error, parts) in [
        ("runs logs @last --step nonsense", 4, "step_not_found", &["`nonsense`", "`/main/build`"][..]),
        ("runs logs @last --step biuld", 4, "step_not_found", &["did you mean `/main/build`?"]),
        ("runs logs @last --step nonsense -f -o jsonl", 4, "step_not_found", &["`/main/ship`"]),
        ("runs state @last --at biuld", 4, "step_not_found", &["`biuld`", "/main/build"]),
        ("runs diff @last --from biuld --to build", 4, "step_not_found", &["`biuld`", "/main/build"]),
        ("fork @last --from biuld", 4, "step_not_found", &["`biuld`", "/main/build"]),
        ("retry @last --from biuld", 4, "step_not_found", &["`biuld`", "/main/build"]),
        ("retry @last --definition flow.yaml --keep biuld", 4, "step_not_found", &["`biuld`", "/main/build"]),
        ("resolve @last biuld --failed", 4, "not_stuck", &["biuld"]),
        ("retry --failed --workflow wroks", 4, "nothing_found", &["`wroks`", "did you mean `works`?"]),
        ("retry --failed --workflow zzz", 4, "nothing_found", &["`zzz`", "workflows with runs are `works`"]),
        ("runs list --parent 00000000", 4, "run_not_found", &["00000000"]),
        ("runs list --status faild", 2, "usage", &["faild", "failed"]),
        ("runs prune --status faild", 2, "usage", &["faild", "failed"]),
        ("run flow.yaml --start-step biuld", 2, "unknown_starting_step", &["biuld", "build"]),
        ("test flow.test.yaml --case shops", 4, "nothing_found", &["shops"]),
        ("tools show file_operation", 4, "unknown_tool", &["file_operations"]),
        ("explain unknown_tol", 4, "nothing_to_explain", &["unknown_tool"]),
    ] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        if !arguments.contains(&"-o") {
            arguments.extend(["-o", "json"]);
        }
        let ended = sandbox.run(&arguments);
        let said = ended.stdout + &ended.stderr;
        assert_eq!(ended.code, code, "{command}: {said}");
        assert!(said.contains(&format!("\"{error}\"")), "{command}: {said}");
        parts.iter().for_each(|part| assert!(said.contains(part), "{command}: {part} in {said}"));
    }
}

/// A filter that finds nothing is not an error.
#[test]
fn empty_list_has_a_note_that_the_workflow_has_no_runs() {
    let sandbox = Sandbox::with_flow(WORKS);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    for (arguments, payload) in [
        (&["runs", "list", "--workflow", "wroks"][..], "[]\n"),
        (&["runs", "prune", "--workflow", "wroks"], "{\n  \"deleted\": [],\n  \"held\": []\n}\n"),
    ] {
        let ended = sandbox.run(&[arguments, &["-o", "json"]].concat());
        assert_eq!((ended.code, &*ended.stdout), (0, payload), "{arguments:?}");
        assert!(
            ended.stderr.contains("no runs of a workflow named `wroks`; did you mean `works`?"),
            "{}",
            ended.stderr
        );
    }
    let known = sandbox.run(&["runs", "list", "--workflow", "works", "--status", "completed"]);
    assert_eq!((known.code, &*known.stderr), (0, ""));
    let none = sandbox.run(&["runs", "logs", "@last", "--step", "ship"]);
    assert_eq!((none.code, &*none.stdout, &*none.stderr), (0, "", "`ship` has no output\n"));
    let completed = Sandbox::with_flow("name: ok\nsteps: [{id: a, type: set, params: {x: 1}}]");
    assert_eq!(completed.run(&["run", "flow.yaml"]).code, 0);
    let nothing = completed.run(&["retry", "--failed", "--workflow", "ok"]);
    assert_eq!((nothing.code, &*nothing.stderr), (0, "no failed run to retry\n"));
}
