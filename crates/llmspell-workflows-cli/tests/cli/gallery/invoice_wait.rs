use std::fs;

use serde_json::{Value, json};

use super::{follow_the_page, place_with};
use crate::support::{Place, Terminal, show, until};

const WORKFLOW: &str = "examples/invoice-wait/invoice-wait.yaml";

fn mail(place: &Place) -> String {
    fs::read_to_string(place.path("target/invoice-wait/mail")).unwrap_or_default()
}

fn run_that_waits(place: &Place) -> String {
    until(|| {
        let runs = place.run(&["runs", "list", "--status", "waiting", "-o", "json"]).json();
        runs[0]["run_id"].as_str().map(str::to_owned)
    })
}

/// The page stops the process that waits; a kill is no different.
#[test]
fn it_prints_what_the_page_says() {
    let place = place_with("invoice-wait");
    let first = Terminal::open(&place, &["run", WORKFLOW]);
    run_that_waits(&place);
    first.kill();
    follow_the_page(&place, "invoice-wait");
}

#[test]
fn a_killed_process_neither_ends_the_wait_nor_moves_its_end_nor_sends_the_invoice_again() {
    let place = place_with("invoice-wait");
    let first = Terminal::open(&place, &["run", WORKFLOW, "--wait"]);
    let run = run_that_waits(&place);
    let until_before = show(&place, &run)["steps"][1]["waits_for"]["until"].clone();
    assert!(until_before.is_string(), "{until_before}");
    first.kill();

    let second = Terminal::open(&place, &["resume", &run, "--wait"]);
    until(|| {
        let listed = place.run(&["runs", "list", "-o", "text"]).stdout;
        listed.contains(second.name().trim()).then_some(())
    });
    assert_eq!(show(&place, &run)["steps"][1]["waits_for"]["until"], until_before);
    let told = place.run(&["signal", &run, "paid", "--data", r#"{"amount": 120}"#]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let (code, _, said) = second.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(mail(&place), "invoice over 120 to Ada\nreceipt to Ada\n");
    assert_eq!(show(&place, &run)["output"], json!({"paid": true, "amount": 120}));
}

#[test]
fn a_payment_of_too_little_is_left_for_others() {
    let place = place_with("invoice-wait");
    let terminal = Terminal::open(&place, &["run", WORKFLOW, "-o", "json"]);
    let run = run_that_waits(&place);
    for amount in [1, 120] {
        let data = json!({"amount": amount}).to_string();
        assert_eq!(place.run(&["signal", &run, "paid", "--data", &data]).code, 0);
    }
    let (code, printed, said) = terminal.end();
    assert_eq!(code, Some(0), "{said}");
    let report: Value = serde_json::from_str(&printed.join("\n")).unwrap();
    assert_eq!(report["output"]["amount"], 120);
}
