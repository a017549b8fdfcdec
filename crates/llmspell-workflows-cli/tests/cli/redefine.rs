//! Tests for the commands `retry`, `fork` and `resume` with a corrected definition.

use std::fs;

use serde_json::json;

use crate::support::{CommandOutput, Sandbox, assert_error, newest_run, show, take_effects};

/// A run that fails in its third step.
const FAILS: &str = "
name: release
variables: {tag: v1}
steps:
  - {id: build, type: shell, command: 'echo build >> effects'}
  - {id: label, type: shell, command: 'echo label \"$TAG\" >> effects', env: {TAG: '{{ tag }}'}}
  - {id: test, type: shell, command: 'echo test >> effects; exit 3'}
  - {id: deploy, type: shell, command: 'echo deploy >> effects'}
";

fn failed() -> (Sandbox, String) {
    let sandbox = Sandbox::with_flow(FAILS);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    assert_eq!(take_effects(&sandbox), ["build", "label v1", "test"]);
    let run = newest_run(&sandbox);
    (sandbox, run)
}

#[test]
fn retry_shows_the_change_and_repeats_only_affected_steps() {
    let (sandbox, run) = failed();
    fs::write(sandbox.path("flow.yaml"), FAILS.replace("; exit 3", "")).unwrap();
    let preview = sandbox.run(&["retry", &run, "--definition", "flow.yaml", "--dry-run"]);
    assert_eq!(preview.code, 0, "{}", preview.stderr);
    insta::assert_snapshot!(preview.stdout, @r"
    the definition of `release` has changed:
    @@ -15,7 +15,7 @@
       - id: test
         type: shell
         params:
    -      command: echo test >> effects; exit 3
    +      command: echo test >> effects
       - id: deploy
         type: shell
         params:
    runs again:
      /main/test  it did not complete
    ");
    assert!(take_effects(&sandbox).is_empty());
    let retried = sandbox.run(&["retry", &run, "--definition", "flow.yaml", "-o", "json"]);
    assert_eq!((retried.code, &retried.json()["run_id"]), (0, &json!(run)), "{}", retried.stderr);
    assert!(retried.stderr.contains("+      command: echo test >> effects"), "{}", retried.stderr);
    assert!(retried.stderr.contains("/main/test  it did not complete"), "{}", retried.stderr);
    assert_eq!(take_effects(&sandbox), ["deploy", "test"]);
    let events = sandbox.run(&["runs", "events", &run]).stdout;
    assert!(events.contains("run.redefined"), "{events}");
}

#[test]
fn steps_that_read_a_changed_variable_run_again_unless_kept() {
    let corrected = FAILS.replace("v1", "v2").replace("; exit 3", "");
    let (sandbox, run) = failed();
    fs::write(sandbox.path("new.yaml"), &corrected).unwrap();
    let preview = sandbox.run(&["retry", &run, "--definition", "new.yaml", "--dry-run", "-o", "json"]);
    let shown = preview.json();
    assert_eq!(
        shown["runs_again"],
        json!([
            {"path": "/main/label", "completed": true, "reason": "reads", "because_of": "tag"},
            {"path": "/main/test", "completed": false, "reason": "requested", "because_of": null},
        ])
    );
    assert_eq!((&shown["run_id"], &shown["removed"], &shown["kept"]), (&json!(run), &json!([]), &json!([])));
    let kept = sandbox.run(&["retry", &run, "--definition", "new.yaml", "--keep", "label"]);
    assert_eq!(kept.code, 0, "{}", kept.stderr);
    assert!(kept.stderr.contains("changed, but kept as is:\n  /main/label"), "{}", kept.stderr);
    assert_eq!(take_effects(&sandbox), ["deploy", "test"]);

    let (sandbox, run) = failed();
    fs::write(sandbox.path("new.yaml"), &corrected).unwrap();
    assert_eq!(sandbox.run(&["retry", &run, "--definition", "new.yaml"]).code, 0);
    assert_eq!(take_effects(&sandbox), ["deploy", "label v2", "test"]);
}

#[test]
fn fork_under_a_corrected_definition_leaves_the_original_run_unchanged() {
    let (sandbox, run) = failed();
    let before = show(&sandbox, &run);
    fs::write(sandbox.path("new.yaml"), FAILS.replace("echo test >> effects; exit 3", "echo checked >> effects"))
        .unwrap();
    let forked = sandbox.run(&["fork", &run, "--from", "test", "--definition", "new.yaml"]);
    assert_eq!(forked.code, 0, "{}", forked.stderr);
    assert_eq!(take_effects(&sandbox), ["checked", "deploy"]);
    assert_eq!(show(&sandbox, &run), before);
    // Without a definition, a dry run shows what would run again.
    let preview = sandbox.run(&["fork", &run, "--from", "label", "--dry-run"]);
    insta::assert_snapshot!(preview.stdout, @r"
    runs again:
      /main/label  as you asked
      /main/test   it comes after /main/label
    ");
}

const WAITS: &str = "
name: waits
steps:
  - {id: one, type: shell, command: 'echo one >> effects'}
  - {id: gate, event: go}
  - {id: two, type: shell, command: 'echo two >> effects'}
";

#[test]
fn resume_continues_a_waiting_run_under_the_corrected_definition() {
    let sandbox = Sandbox::with_flow(WAITS);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let run = newest_run(&sandbox);
    take_effects(&sandbox);
    let changed =
        WAITS.replace("echo two", "echo changed") + "  - {id: three, type: shell, command: 'echo three >> effects'}\n";
    fs::write(sandbox.path("changed.yaml"), changed).unwrap();
    assert_eq!(sandbox.run(&["signal", &run, "go"]).code, 0);
    let resumed = sandbox.run(&["resume", &run, "--definition", "changed.yaml"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.stderr.contains("+      command: echo changed >> effects"), "{}", resumed.stderr);
    assert_eq!(take_effects(&sandbox), ["changed", "three"]);
}

#[test]
fn impossible_corrections_are_refused_and_change_nothing() {
    let (sandbox, run) = failed();
    let before = show(&sandbox, &run);
    fs::write(sandbox.path("other.yaml"), FAILS.replace("name: release", "name: other")).unwrap();
    fs::write(sandbox.path("broken.yaml"), FAILS.replace("type: shell", "type: shel")).unwrap();
    for (arguments, exit, code) in [
        (vec!["--definition", "other.yaml"], 2, "other_workflow"),
        (vec!["--definition", "broken.yaml"], 3, "invalid_definition"),
        (vec!["--definition", "none.yaml"], 4, "file_not_found"),
        (vec!["--definition", "flow.yaml", "--keep", "bulid"], 4, "step_not_found"),
        (vec!["--keep", "build"], 2, "usage"),
    ] {
        let refused = sandbox.run(&[&["retry", &run, "-o", "json"], arguments.as_slice()].concat());
        assert_error(&refused, exit, code);
    }
    assert_eq!(show(&sandbox, &run), before);
    assert!(take_effects(&sandbox).is_empty());
}

/// Each command that continues a run can allow the same hosts and folders as the command that
/// started it.
#[test]
fn every_command_that_continues_a_run_accepts_additional_folders() {
    let flow = "name: reads\nsteps:\n  - {id: read, type: tool, tool: file_operations, params: {operation: read, path: '../outside.txt'}}\n";
    let sandbox = Sandbox::with_flow(flow);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "text").unwrap();
    let path = folder.path().join("notes.txt");
    let flow = flow.replace("../outside.txt", path.to_str().unwrap());
    fs::write(sandbox.path("flow.yaml"), flow).unwrap();
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    let run = newest_run(&sandbox);
    let root = folder.path().to_str().unwrap();
    for arguments in [vec!["fork", &run, "--from", "read"], vec!["rerun", &run], vec!["retry", &run]] {
        assert_eq!(sandbox.run(&arguments).code, 1);
        let allowed = sandbox.run(&[arguments.as_slice(), &["--root", root]].concat());
        assert_eq!(allowed.code, 0, "{arguments:?}: {}", allowed.stderr);
    }
}

#[test]
fn all_failed_runs_of_a_workflow_continue_under_its_corrected_definition() {
    let (sandbox, first) = failed();
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    let second = newest_run(&sandbox);
    let other = "name: other\nsteps:\n  - {id: a, type: shell, command: 'echo other >> effects; exit 1'}\n";
    fs::write(sandbox.path("other.yaml"), other).unwrap();
    assert_eq!(sandbox.run(&["run", "other.yaml"]).code, 1);
    take_effects(&sandbox);
    fs::write(sandbox.path("flow.yaml"), FAILS.replace("; exit 3", "")).unwrap();
    let retried = sandbox.run(&["retry", "--failed", "--definition", "flow.yaml", "-o", "json"]);
    assert_eq!(retried.code, 0, "{}", retried.stderr);
    let retried = retried.json();
    let ended: Vec<_> = retried.as_array().unwrap().iter().map(|run| (&run["run_id"], &run["status"])).collect();
    assert_eq!(ended, [(&json!(first), &json!("completed")), (&json!(second), &json!("completed"))]);
    assert_eq!(take_effects(&sandbox), ["deploy", "deploy", "test", "test"]);
    // The run of the other workflow is not selected. If it is selected explicitly, it cannot
    // continue under this definition.
    let refused = sandbox.run(&["retry", "--failed", "--workflow", "other", "--definition", "flow.yaml", "-o", "json"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.json()[0]["error"].as_str().unwrap().contains("other"), "{}", refused.stdout);
    assert!(take_effects(&sandbox).is_empty());
}

#[test]
fn sub_workflow_after_a_corrected_step_receives_its_new_input() {
    let flow = |says: &str| {
        format!(
            "name: outer\nworkflows:\n  kid:\n    name: kid\n    inputs: {{i: {{type: string}}}}\n    steps:\n      \
             - {{id: k1, command: 'echo k1-$I >> effects', env: {{I: '{{{{ i }}}}'}}}}\n      \
             - {{id: k2, command: 'echo k2-$I >> effects; test $I = good', env: {{I: '{{{{ i }}}}'}}}}\n\
             steps:\n  - {{id: a, command: 'echo a >> effects; echo {says}'}}\n  \
             - {{id: s, workflow: kid, input: {{i: '{{{{ a.stdout | trim }}}}'}}}}\n"
        )
    };
    let sandbox = Sandbox::with_flow(&flow("bad"));
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    assert_eq!(take_effects(&sandbox), ["a", "k1-bad", "k2-bad"]);
    fs::write(sandbox.path("flow.yaml"), flow("good")).unwrap();
    let retried = sandbox.run(&["retry", "@last", "--definition", "flow.yaml"]);
    assert_eq!((retried.code, take_effects(&sandbox)), (0, vec!["a".into(), "k1-good".into(), "k2-good".into()]));
}

/// The handler of the failure has completed too.
#[test]
fn retry_keeps_steps_whose_failure_was_handled() {
    let handler = "on_error: [{id: invoice, command: 'echo invoice >> effects'}]";
    for handled in [handler, "on_error: continue"] {
        let flow = format!(
            "name: f\nsteps:\n  - {{id: charge, command: 'echo charge >> effects; exit 1', {handled}}}\n  \
             - {{id: ship, command: 'echo ship >> effects'}}\n  - {{id: mail, command: 'echo mail >> effects; test -e ok'}}\n"
        );
        let sandbox = Sandbox::with_flow(&flow);
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
        fs::write(sandbox.path("ok"), "").unwrap();
        take_effects(&sandbox);
        let retried = sandbox.run(&["retry", "@last"]);
        assert_eq!(
            (retried.code, take_effects(&sandbox)),
            (0, vec!["mail".to_owned()]),
            "{handled}: {}",
            retried.stderr
        );
    }
}

/// The stored definition does not keep the order of the variables.
#[test]
fn variables_that_refer_to_each_other_have_the_same_values_after_a_resume() {
    let flow = "\
name: v
variables: {z: 1, a: '{{ z }}-{{ m }}', m: '{{ variables.z ?? 9 }}'}
environments: {prod: {z: 5}}
steps:
  - {id: first, command: 'echo $A >> effects', env: {A: '{{ a }}'}}
  - {id: go, event: go}
  - {id: last, command: 'echo $A >> effects', env: {A: '{{ a }}'}}
";
    for (options, value) in [(&["run", "flow.yaml"][..], "1-1"), (&["run", "flow.yaml", "--env", "prod"], "5-5")] {
        let sandbox = Sandbox::with_flow(flow);
        assert_eq!(sandbox.run(options).code, 5);
        assert_eq!(sandbox.run(&["signal", "@last", "go"]).code, 0);
        assert_eq!(sandbox.run(&["resume", "@last"]).code, 0);
        assert_eq!(take_effects(&sandbox), [value, value]);
    }
}

/// A process that resumes a run may have another environment. Secrets are not recorded, so they keep their new values.
#[test]
fn variables_keep_the_environment_in_which_the_run_started() {
    let flow = "\
name: v
env: [TARGET, MODE, KEY]
secrets: [KEY]
variables: {to: '{{ env.TARGET }}', mode: '{{ env.MODE ?? \"plain\" }}', all: '{{ to }}/{{ mode }}', key: '{{ env.KEY }}'}
environments: {prod: {to: 'prod-{{ env.TARGET }}'}}
workflows:
  kid:
    name: kid
    env: [TARGET]
    variables: {t: '{{ env.TARGET }}'}
    steps: [{id: go, event: go}, {id: last, command: 'echo kid-$T >> effects', env: {T: '{{ t }}'}}]
steps:
  - {id: kid, type: workflow, workflow: kid}
  - {id: last, command: 'echo $A $K >> effects', env: {A: '{{ all }}', K: '{{ key | length }}'}}
";
    for (options, expected) in
        [(&["run", "flow.yaml"][..], "first/plain"), (&["run", "flow.yaml", "--env", "prod"], "prod-first/plain")]
    {
        let sandbox = Sandbox::with_flow(flow).file("spellflow.toml", "[secrets]\nKEY = { env = \"KEY\" }\n");
        let within = |arguments: &[&str], environment: &[(&str, &str)]| {
            let mut command = sandbox.command(arguments);
            command.envs(environment.iter().copied()).stdin(std::process::Stdio::null());
            CommandOutput::new(command.output().unwrap())
        };
        let started = within(options, &[("TARGET", "first"), ("KEY", "secret-number-1")]);
        assert_eq!(started.code, 5, "{}", started.stderr);
        let later = [("TARGET", "second"), ("MODE", "fast"), ("KEY", "secret-number-two")];
        assert_eq!(within(&["signal", "@last", "go"], &later).code, 0);
        let resumed = within(&["resume", "@last"], &later);
        assert_eq!(resumed.code, 0, "{}", resumed.stderr);
        let mut effects = vec!["kid-first".to_owned(), format!("{expected} 17")];
        effects.sort_unstable();
        assert_eq!(take_effects(&sandbox), effects);
        let exported = within(&["runs", "export", "@last"], &later).stdout;
        assert!(exported.contains(r#""TARGET": "first""#) && !exported.contains("secret-number"), "{exported}");
    }
}
