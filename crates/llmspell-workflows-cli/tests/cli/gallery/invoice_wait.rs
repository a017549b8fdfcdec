use std::fs;

use serde_json::{Value, json};

use super::{check_readme, sandbox_with};
use crate::support::{Sandbox, Terminal, show, wait_until};

const WORKFLOW: &str = "examples/invoice-wait/invoice-wait.yaml";

fn mail(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("target/invoice-wait/mail")).unwrap_or_default()
}

fn waiting_run(sandbox: &Sandbox) -> String {
    wait_until(|| {
        let runs = sandbox.run(&["runs", "list", "--status", "waiting", "-o", "json"]).json();
        runs[0]["run_id"].as_str().map(str::to_owned)
    })
}

/// The page says to stop the waiting process; here it is killed.
#[test]
fn output_matches_the_readme() {
    let sandbox = sandbox_with("invoice-wait");
    let first = Terminal::open(&sandbox, &["run", WORKFLOW, "--wait"]);
    waiting_run(&sandbox);
    first.kill();
    check_readme(&sandbox, "invoice-wait");
}

#[test]
fn kill_neither_moves_the_deadline_nor_resends_the_invoice() {
    let sandbox = sandbox_with("invoice-wait");
    let first = Terminal::open(&sandbox, &["run", WORKFLOW, "--wait"]);
    let run = waiting_run(&sandbox);
    let until_before = show(&sandbox, &run)["steps"][1]["waits_for"]["until"].clone();
    assert!(until_before.is_string(), "{until_before}");
    first.kill();

    let second = Terminal::open(&sandbox, &["resume", &run, "--wait"]);
    wait_until(|| {
        let listed = sandbox.run(&["runs", "list", "-o", "text"]).stdout;
        listed.contains(second.name().trim()).then_some(())
    });
    assert_eq!(show(&sandbox, &run)["steps"][1]["waits_for"]["until"], until_before);
    let sent = sandbox.run(&["signal", &run, "paid", "--data", r#"{"amount": 120}"#]);
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    let (code, _, stderr) = second.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(mail(&sandbox), "invoice over 120 to Ada\nreceipt to Ada\n");
    assert_eq!(show(&sandbox, &run)["output"], json!({"paid": true, "amount": 120}));
}

#[test]
fn insufficient_payment_does_not_end_the_wait() {
    let sandbox = sandbox_with("invoice-wait");
    let terminal = Terminal::open(&sandbox, &["run", WORKFLOW, "--wait", "-o", "json"]);
    let run = waiting_run(&sandbox);
    for amount in [1, 120] {
        let data = json!({"amount": amount}).to_string();
        assert_eq!(sandbox.run(&["signal", &run, "paid", "--data", &data]).code, 0);
    }
    let (code, printed, stderr) = terminal.end();
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&printed.join("\n")).unwrap();
    assert_eq!(report["output"]["amount"], 120);
}
