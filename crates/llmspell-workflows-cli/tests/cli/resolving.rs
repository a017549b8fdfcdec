//! Stuck steps are resolved by giving their output.

use serde_json::json;

use crate::support::Sandbox;

const PAYMENT: &str = "
name: payment
steps:
  - {id: pay, type: shell, at_most_once: true, command: 'echo paid >> payments; kill -9 $PPID'}
  - {id: receipt, type: set, params: {text: '{{ pay.stdout }}'}}
  - {id: check, type: set, params: {code: '{{ steps.pay.output.exit_code }}'}}
outputs: {text: '{{ receipt.text }}'}
";

fn stuck() -> Sandbox {
    let sandbox = Sandbox::with_flow(PAYMENT);
    // The step kills the process.
    sandbox.command(&["run", "flow.yaml"]).output().unwrap();
    assert_eq!(sandbox.run(&["resume", "@last"]).code, 8);
    sandbox
}

/// Nothing is recorded, so the step can still be resolved.
#[test]
fn output_without_a_field_read_by_a_later_step_is_rejected() {
    let sandbox = stuck();
    for (output, fields, readers) in [
        ("{}", "\"exit_code\": VALUE, \"stdout\": VALUE", &["/main/receipt", "/main/check"][..]),
        ("{\"stdout\": \"r-7\"}", "\"exit_code\": VALUE", &["/main/check"]),
        ("{\"stdot\": \"r-7\", \"exit_code\": 0}", "\"stdout\": VALUE", &["/main/receipt"][..]),
        ("7", "\"exit_code\": VALUE, \"stdout\": VALUE", &["/main/receipt"]),
    ] {
        let refused = sandbox.run(&["resolve", "@last", "pay", "--completed", output, "-o", "json"]);
        assert_eq!(refused.code, 2, "{}", refused.stdout);
        let error = &refused.json()["error"];
        assert_eq!(error["code"], "unfit_output", "{output}: {error}");
        let help = format!("add to the JSON after `--completed`: {fields}; use `null` for a field without a value");
        assert_eq!(error["help"], help, "{output}");
        let message = error["message"].as_str().unwrap();
        readers.iter().for_each(|reader| assert!(message.contains(reader), "{output}: {message}"));
    }
    assert_eq!(sandbox.run(&["runs", "show", "@last", "-o", "json"]).json()["status"], "stuck");
    let output = "{\"stdout\": \"r-7\", \"exit_code\": null}";
    let resolved = sandbox.run(&["resolve", "@last", "pay", "--completed", output, "-o", "json"]);
    assert_eq!((resolved.code, &resolved.json()["output"]), (0, &json!({"text": "r-7"})), "{}", resolved.stderr);
}

/// The step may have had its effect, even though its run is cancelled.
#[test]
fn interrupted_at_most_once_step_is_stuck_even_if_its_run_is_cancelled() {
    const PAY: &str = "{id: pay, type: shell, at_most_once: true, command: 'echo paid >> payments; kill -9 $PPID'}";
    let kid = format!("workflows: {{kid: {{name: kid, steps: [{PAY}]}}}}\n");
    for (steps, workflows, path) in [
        (PAY.to_owned(), "", "/main/pay"),
        (format!("{{id: each, items: [1], steps: [{PAY}]}}"), "", "/main/each[0]/pay"),
        (
            format!("{{id: both, parallel_steps: [{{id: nap, type: sleep, duration: 1h}}, {PAY}]}}"),
            "",
            "/main/both/pay",
        ),
        ("{id: kid, type: workflow, workflow: kid}".to_owned(), kid.as_str(), "/main/kid/main/pay"),
    ] {
        for request in [&["cancel", "@last"][..], &["cancel", "@last", "--compensate"]] {
            let flow = format!(
                "name: f\n{workflows}steps:\n  - {steps}\n  - {{id: after, command: 'echo after >> payments'}}\n\
                 finally:\n  - {{id: tidy, command: 'echo tidy >> payments'}}\n"
            );
            let sandbox = Sandbox::with_flow(&flow);
            sandbox.command(&["run", "flow.yaml"]).output().unwrap();
            let payments = || std::fs::read_to_string(sandbox.path("payments")).unwrap();
            let cancelled = sandbox.run(request);
            assert_eq!((cancelled.code, payments()), (8, "paid\n".to_owned()), "{path}: {}", cancelled.stderr);
            let shown = sandbox.run(&["runs", "show", "@last", "-o", "json"]).json();
            assert_eq!((&shown["status"], &shown["error"]["path"]), (&json!("stuck"), &json!(path)), "{shown}");
            let text = sandbox.run(&["runs", "show", "@last"]).stdout;
            // A path with brackets is quoted.
            let command = text.lines().find(|line| line.starts_with("next: spellflow resolve")).unwrap_or_default();
            assert!(command.contains(path) && command.contains("--completed JSON"), "{text}");
            let output = "{\"exit_code\": 0, \"stdout\": \"\"}";
            let resolved = sandbox.run(&["resolve", "@last", path, "--completed", output]);
            let shown = sandbox.run(&["runs", "show", "@last", "-o", "json"]).json();
            assert_eq!(shown["status"], "cancelled", "{path}: {} {}", resolved.stdout, resolved.stderr);
            assert_eq!(payments(), "paid\ntidy\n", "{path}");
        }
    }
}

/// Under another name, the step would run a second time although its effect is unknown.
#[test]
fn stuck_step_cannot_be_renamed_or_removed() {
    let sandbox = stuck();
    let renamed =
        PAYMENT.replace("id: pay,", "id: pay2,").replace("pay.stdout", "pay2.stdout").replace("s.pay.", "s.pay2.");
    let removed = "name: payment\nsteps: [{id: note, command: echo done}]\n";
    for (name, text) in [("renamed.yaml", renamed.as_str()), ("removed.yaml", removed)] {
        std::fs::write(sandbox.path(name), text).unwrap();
        let refused = sandbox.run(&["resume", "@last", "--definition", name, "-o", "json"]);
        let error = &refused.json()["error"];
        assert_eq!((refused.code, &error["code"]), (1, &json!("cannot_run_again")), "{name}: {error}");
        assert!(error["help"].as_str().unwrap().contains("spellflow resolve"), "{error}");
    }
    let resolved = sandbox.run(&["resolve", "@last", "pay", "--completed", "{\"stdout\": \"r\", \"exit_code\": 0}"]);
    assert_eq!(resolved.code, 0, "{}", resolved.stderr);
    assert_eq!(std::fs::read_to_string(sandbox.path("payments")).unwrap(), "paid\n");
}

#[test]
fn retry_of_a_run_that_has_not_failed_suggests_the_right_command() {
    let sandbox = stuck();
    let help = |sandbox: &Sandbox| sandbox.run(&["retry", "@last", "-o", "json"]).json()["error"]["help"].clone();
    assert!(help(&sandbox).as_str().unwrap().contains("spellflow resolve"));
    let waiting = Sandbox::with_flow("name: w\nsteps: [{id: go, event: go}]\n");
    assert_eq!(waiting.run(&["run", "flow.yaml"]).code, 5);
    assert!(help(&waiting).as_str().unwrap().contains("spellflow resume"));
}
