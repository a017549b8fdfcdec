//! The output that is given for a stuck step.

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
fn output_without_a_field_that_a_later_step_reads_is_refused() {
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
        let help = format!("add to the JSON after `--completed`: {fields}; for a field without a value, `null`");
        assert_eq!(error["help"], help, "{output}");
        let message = error["message"].as_str().unwrap();
        readers.iter().for_each(|reader| assert!(message.contains(reader), "{output}: {message}"));
    }
    assert_eq!(sandbox.run(&["runs", "show", "@last", "-o", "json"]).json()["status"], "stuck");
    let output = "{\"stdout\": \"r-7\", \"exit_code\": null}";
    let resolved = sandbox.run(&["resolve", "@last", "pay", "--completed", output, "-o", "json"]);
    assert_eq!((resolved.code, &resolved.json()["output"]), (0, &json!({"text": "r-7"})), "{}", resolved.stderr);
}
