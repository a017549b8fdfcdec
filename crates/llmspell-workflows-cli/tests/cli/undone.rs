//! Undone steps: each execution is undone once, and what has been undone does not count as done.

use serde_json::json;

use crate::support::{Sandbox, assert_error, json_of, show};

fn effects(sandbox: &Sandbox) -> Vec<String> {
    std::fs::read_to_string(sandbox.path("effects")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn count(sandbox: &Sandbox, effect: &str) -> usize {
    effects(sandbox).iter().filter(|line| *line == effect).count()
}

/// A retry repeats an undone step as a new generation; its former execution stays undone.
#[test]
fn retries_undo_each_execution_of_a_step_once() {
    let step = "{id: a, command: echo do >> effects, compensate: {command: echo undo >> effects}}";
    for step in [
        step.to_owned(),
        format!("{{id: each, items: [1], steps: [{step}]}}"),
        format!("{{id: block, steps: [{step}]}}"),
        format!("{{id: kid, type: workflow, workflow: kid}}\nworkflows: {{kid: {{name: kid, steps: [{step}]}}}}"),
    ] {
        let (step, workflows) = step.split_once('\n').unwrap_or((&step, ""));
        let sandbox = Sandbox::with_flow(&format!(
            "name: f\nsteps:\n  - {{id: x, command: echo x, compensate: {{command: exit 7}}}}\n  - {step}\n  \
             - {{id: d, command: exit 1}}\n{workflows}\n"
        ));
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 8, "{step}");
        assert_eq!(sandbox.run(&["resolve", "@last", "x/$undo", "--failed"]).code, 1, "{step}");
        for executions in 2..=4 {
            assert_eq!(sandbox.run(&["retry", "@last"]).code, 1, "{step}");
            let counts = (count(&sandbox, "do"), count(&sandbox, "undo"));
            assert_eq!(counts, (executions, executions), "{step}");
        }
    }
}

#[test]
fn compensation_that_failed_twice_is_resolved_under_its_path() {
    let undo = "test -f ok && echo undo >> effects";
    let sandbox = Sandbox::with_flow(&format!(
        "name: f\nsteps:\n  - {{id: a, command: echo do >> effects, compensate: {{command: '{undo}'}}}}\n  \
         - {{id: d, command: exit 1}}\n"
    ));
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 8);
    assert_eq!(sandbox.run(&["resolve", "@last", "a/$undo", "--run-again"]).code, 8);
    std::fs::write(sandbox.path("ok"), "").unwrap();
    let resolved = sandbox.run(&["resolve", "@last", "a/$undo", "--run-again"]);
    assert_eq!(resolved.code, 1, "{}", resolved.stderr);
    let shown = show(&sandbox, "@last");
    assert_eq!((&shown["status"], &shown["steps"][0]["status"]), (&json!("compensated"), &json!("compensated")));
    let text = sandbox.run(&["runs", "show", "@last"]).stdout;
    assert!(!text.contains("stuck") && !text.contains("next:"), "{text}");
    let again = sandbox.run(&["resolve", "@last", "a/$undo", "--run-again", "-o", "json"]);
    assert_eq!(again.json()["error"]["code"], "not_stuck", "{}", again.stdout);
    assert_eq!(effects(&sandbox), ["do", "undo"]);
}

/// The payment was refunded, so it has to be made again, and its receipt must not be used.
#[test]
fn undone_step_cannot_be_kept_and_runs_again_even_if_it_runs_at_most_once() {
    let flow = |ship: &str| {
        format!(
            "name: f\nsteps:\n  - {{id: charge, at_most_once: true, command: echo charge >> effects, \
             compensate: {{command: echo refund >> effects}}}}\n  - {{id: ship, command: '{ship}'}}\n"
        )
    };
    let sandbox = Sandbox::with_flow(&flow("exit 1")).file("better.yaml", &flow("echo shipped >> effects"));
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
    let run = show(&sandbox, "@last")["run_id"].as_str().unwrap().to_owned();
    let fork = ["fork", &run, "--from", "ship", "--definition", "better.yaml", "-o", "json"];
    for kept in ["/main/charge", "charge"] {
        assert_error(&sandbox.run(&[&fork[..], &["--keep", kept]].concat()), 1, "step_undone");
    }
    assert_eq!(sandbox.run(&fork).code, 0);
    assert_eq!(effects(&sandbox), ["charge", "refund", "charge", "shipped"]);
}

/// `--failed` says that the step had no effect.
#[test]
fn step_resolved_as_failed_is_not_undone() {
    let sandbox = Sandbox::with_flow(
        "name: f\nsteps:\n  - {id: pay, at_most_once: true, command: 'test -f ok && echo pay >> effects || kill -9 $PPID', \
         compensate: {command: echo undo >> effects}}\n  - {id: last, command: echo last >> effects}\n",
    );
    sandbox.command(&["run", "flow.yaml"]).output().unwrap();
    assert_eq!(sandbox.run(&["resume", "@last"]).code, 8);
    assert_eq!(sandbox.run(&["resolve", "@last", "pay", "--failed"]).code, 1);
    assert_eq!(json_of(&sandbox, &["runs", "show", "@last"])["status"], "failed");
    std::fs::write(sandbox.path("ok"), "").unwrap();
    assert_eq!(sandbox.run(&["retry", "@last"]).code, 0);
    assert_eq!(effects(&sandbox), ["pay", "last"]);
}

/// A sub-workflow is undone as the same steps in a block are: between attempts, after a failed `finally`, and after an undo
/// that was given up.
#[test]
fn steps_of_a_sub_workflow_are_undone_like_those_of_a_block() {
    let pay = "{id: pay, command: echo pay >> effects, compensate: {command: echo undo >> effects}}";
    let attempts = |block: &str| {
        format!(
            "name: f\nsteps:\n  - id: kid\n    timeout: 2s\n    retries: {{max_attempts: 2, strategy: immediate}}\n    {block}\n  \
             - {{id: last, command: test -f fine}}\n"
        )
    };
    let slow = "{id: slow, command: 'test -f once || { touch once; sleep 9; }'}";
    let fails = "{id: slow, command: 'test -f once || { touch once; exit 1; }'}";
    for second in [slow, fails] {
        for ends in ["", "fine"] {
            let kid = format!(
                "type: workflow\n    workflow: kid\nworkflows: {{kid: {{name: kid, steps: [{pay}, {second}]}}}}"
            );
            let (kid, workflows) = kid.split_once("\nworkflows").unwrap();
            let in_child = format!("{}workflows{workflows}\n", attempts(kid));
            let in_block = attempts(&format!("steps: [{pay}, {second}]"));
            let outcomes: Vec<_> = [in_child, in_block]
                .iter()
                .map(|flow| {
                    let sandbox = Sandbox::with_flow(flow);
                    if !ends.is_empty() {
                        std::fs::write(sandbox.path(ends), "").unwrap();
                    }
                    let ended = sandbox.run(&["run", "flow.yaml"]);
                    (ended.code, effects(&sandbox), show(&sandbox, "@last")["status"].clone())
                })
                .collect();
            let expected = if ends.is_empty() { &["pay", "undo", "pay", "undo"][..] } else { &["pay", "undo", "pay"] };
            assert_eq!(outcomes[0].1, expected, "{second}");
            assert_eq!(outcomes[0], outcomes[1], "{second}");
        }
    }
}

#[test]
fn completed_steps_of_a_child_are_undone_although_its_finally_failed() {
    for handles in [false, true] {
        let on_error = if handles { ", on_error: continue" } else { "" };
        let sandbox = Sandbox::with_flow(&format!(
            "name: f\nsteps:\n  - {{id: kid, type: workflow, workflow: kid{on_error}}}\n  - {{id: last, command: exit 1}}\n\
             workflows:\n  kid:\n    name: kid\n    steps: [{{id: pay, command: echo pay >> effects, compensate: {{command: \
             echo undo >> effects}}}}]\n    finally: [{{id: tidy, command: 'echo tidy >> effects; exit 1'}}]\n"
        ));
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 1);
        assert_eq!(effects(&sandbox), ["pay", "tidy", "undo"], "{handles}");
        assert_eq!(show(&sandbox, "@last")["status"], "compensated", "{handles}");
    }
}

#[test]
fn parent_of_a_child_whose_undo_was_given_up_is_not_compensated() {
    let sandbox = Sandbox::with_flow(
        "name: f\nsteps:\n  - {id: first, command: echo first, compensate: {command: echo undo >> effects}}\n  \
         - {id: kid, type: workflow, workflow: kid}\nworkflows:\n  kid:\n    name: kid\n    steps:\n      \
         - {id: pay, command: echo pay, compensate: {command: exit 7}}\n      - {id: fails, command: exit 1}\n",
    );
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 8);
    assert_eq!(sandbox.run(&["resolve", "@last", "pay/$undo", "--failed"]).code, 1);
    assert_eq!(
        (effects(&sandbox), show(&sandbox, "@last")["status"].clone()),
        (vec!["undo".to_owned()], json!("failed"))
    );
}

/// The sub-workflow that was running when its sibling failed has been cancelled by its parent, and by nobody else.
#[test]
fn retry_continues_a_sub_workflow_that_a_killed_run_was_about_to_cancel() {
    // Asked to stop, the first sub-workflow kills the program.
    let slow = "\
if [ -f fixed ]; then exit 0; fi
if [ $N = 1 ]; then trap \"kill -9 $PPID; exit\" TERM; touch up; sleep 60 & wait; fi
until [ -f up ]; do sleep 0.01; done
exit 1
";
    let flow = "\
name: top
steps:
  - {id: each, items: [1, 2], mode: parallel, steps: [{id: one, workflow: kid.yaml, input: {n: '{{ loop.item }}'}}]}
";
    let kid = "\
name: kid
inputs: {n: {type: integer}}
steps:
  - {id: pay, command: 'echo pay >> effects'}
  - {id: slow, argv: [sh, slow.sh], env: {N: '{{ n }}'}}
  - {id: end, command: 'echo end >> effects'}
";
    for from in [None, Some("each[1]/one/main/slow")] {
        let sandbox = Sandbox::with_flow(flow).file("kid.yaml", kid).file("slow.sh", slow);
        let killed = sandbox.command(&["run", "flow.yaml"]).output().unwrap();
        assert_eq!(killed.status.code(), None, "the program was not killed");
        let resumed = sandbox.run(&["resume", "@last"]);
        assert_eq!(resumed.code, 1, "{}", resumed.stderr);
        std::fs::write(sandbox.path("fixed"), "").unwrap();
        let options = from.map_or(vec!["retry", "@last"], |from| vec!["retry", "@last", "--from", from]);
        let retried = sandbox.run(&options);
        assert_eq!(retried.code, 0, "{from:?}: {}", retried.stderr);
        assert_eq!((count(&sandbox, "pay"), count(&sandbox, "end")), (2, 2), "{from:?}");
    }
}

/// An undo that keeps failing can still be given up or declared done.
#[test]
fn compensation_that_failed_again_can_be_resolved_in_every_way() {
    for (options, status, expected) in
        [(&["--failed"][..], "failed", "skipped"), (&["--completed", "1"], "compensated", "completed")]
    {
        for path in ["a/$undo", "/main/a/$undo~2"] {
            let sandbox = Sandbox::with_flow(
                "name: f\nsteps:\n  - {id: a, command: echo a, compensate: {command: exit 7}}\n  - {id: d, command: exit 1}\n",
            );
            assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 8);
            assert_eq!(sandbox.run(&["resolve", "@last", "a/$undo", "--run-again"]).code, 8);
            let resolved = sandbox.run(&[&["resolve", "@last", path][..], options].concat());
            assert_eq!(resolved.code, 1, "{options:?} {path}: {}", resolved.stderr);
            let shown = show(&sandbox, "@last");
            assert_eq!(shown["status"], status, "{options:?} {path}: {shown}");
            let undo =
                shown["steps"].as_array().unwrap().iter().find(|step| step["path"] == "/main/a/$undo~2").unwrap();
            assert_eq!(undo["status"], expected, "{shown}");
            assert_eq!(sandbox.run(&["store", "verify"]).code, 0);
        }
    }
}

/// The next attempt of a block begins only once the one before is undone.
#[test]
fn block_whose_undo_fails_between_attempts_is_stuck_until_it_is_resolved() {
    for (options, effects_then) in [
        (&["--run-again"][..], &["do", "undo", "do", "undo"][..]),
        (&["--completed", "1"], &["do", "do", "undo"]),
        (&["--failed"], &["do", "do", "undo"]),
    ] {
        let sandbox = Sandbox::with_flow(
            "name: f\nsteps:\n  - id: block\n    retries: {max_attempts: 2, strategy: immediate}\n    steps:\n      \
             - {id: a, command: echo do >> effects, compensate: {command: test -f ok && echo undo >> effects}}\n      \
             - {id: b, command: exit 1}\n",
        );
        let ended = sandbox.run(&["run", "flow.yaml"]);
        assert_eq!((ended.code, effects(&sandbox)), (8, vec!["do".to_owned()]), "{}", ended.stderr);
        assert_eq!(show(&sandbox, "@last")["status"], "stuck");
        std::fs::write(sandbox.path("ok"), "").unwrap();
        let resolved = sandbox.run(&[&["resolve", "@last", "a/$undo"][..], options].concat());
        assert_eq!(
            (resolved.code, effects(&sandbox)),
            (1, effects_then.iter().map(ToString::to_string).collect()),
            "{options:?} {}",
            resolved.stderr
        );
        assert_eq!(sandbox.run(&["store", "verify"]).code, 0);
    }
}

/// The sibling's failure ends the block while the undo of a sub-workflow is stuck.
#[test]
fn given_up_undo_counts_even_if_a_sibling_ended_the_block() {
    for (option, status, undone) in [("--failed", "failed", 1), ("--run-again", "compensated", 2)] {
        let flow = "\
name: top
steps:
  - {id: first, command: echo first, compensate: {command: 'echo undo-first >> effects'}}
  - {id: each, items: [1, 2], mode: parallel, steps: [{id: one, workflow: kid.yaml, input: {n: '{{ loop.item }}'}}]}
";
        let kid = "\
name: kid
inputs: {n: {type: integer}}
steps:
  - {id: pay, command: echo pay, compensate: {command: '[ $N = 1 ] || [ -f fixed ] || { touch stuck; exit 7; }; echo undo >> effects', env: {N: '{{ input.env.N }}'}}, env: {N: '{{ n }}'}}
  - {id: fails, command: '[ $N = 2 ] || until [ -f stuck ]; do sleep 0.01; done; exit 1', env: {N: '{{ n }}'}}
";
        let sandbox = Sandbox::with_flow(flow).file("kid.yaml", kid);
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 8);
        std::fs::write(sandbox.path("fixed"), "").unwrap();
        let resolved = sandbox.run(&["resolve", "@last", "each[1]/one/main/pay/$undo", option]);
        assert_eq!(resolved.code, 1, "{option}: {}", resolved.stderr);
        assert_eq!((count(&sandbox, "undo"), count(&sandbox, "undo-first")), (undone, 1), "{option}");
        assert_eq!(show(&sandbox, "@last")["status"], status, "{option}");
        let children = json_of(&sandbox, &["runs", "list", "--parent", "@last"]);
        let open = children.as_array().unwrap().iter().find(|child| child["status"] == "interrupted");
        assert_eq!(open, None, "{option}: {children}");
    }
}

/// The steps that undo a sub-workflow are shown with the path of the step that ran it, also if another
/// process undoes it.
#[test]
fn compensation_of_a_sub_workflow_is_shown_at_its_place() {
    let flow = |last: &str| {
        format!(
            "name: f\nsteps:\n  - {{id: sub, type: workflow, workflow: kid}}\n  {last}\n  - {{id: bad, command: exit 1}}\n\
             workflows:\n  kid: {{name: kid, steps: [{{id: a, command: echo a, compensate: {{command: echo undone}}}}]}}\n"
        )
    };
    let sandbox = Sandbox::with_flow(&flow(""));
    let ended = sandbox.run(&["run", "flow.yaml", "--logs"]);
    let sandbox = Sandbox::with_flow(&flow("- {id: go, event: go}"));
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    assert_eq!(sandbox.run(&["signal", "@last", "go"]).code, 0);
    let resumed = sandbox.run(&["resume", "@last", "--logs"]);
    for ended in [ended, resumed] {
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        for line in ["✓ completed /main/sub/main/a/$undo", "/main/sub/main/a/$undo | undone"] {
            assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
        }
    }
}
