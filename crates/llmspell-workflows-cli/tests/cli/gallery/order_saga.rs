use std::fs;

use super::{check_readme, sandbox_with};
use crate::support::{Sandbox, show};

const WORKFLOW: &str = "examples/order-saga/order-saga.yaml";

fn ledger(sandbox: &Sandbox) -> Vec<String> {
    let text = fs::read_to_string(sandbox.path("target/order-saga/ledger")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn output_matches_the_readme() {
    check_readme(&sandbox_with("order-saga"), "order-saga");
}

#[test]
fn completed_steps_are_compensated_in_reverse_order() {
    let sandbox = sandbox_with("order-saga");
    let ended = sandbox.run(&["run", WORKFLOW]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let expected = ["reserved goods for o-1", "charged 42 for o-1", "refunded 42 of c-o-1", "released r-o-1"];
    assert_eq!(ledger(&sandbox), expected);
    let run = show(&sandbox, "@last");
    assert_eq!((&run["status"], &run["error"]["path"]), (&"compensated".into(), &"/main/ship".into()), "{run}");
}

#[test]
fn successful_order_compensates_nothing() {
    let sandbox = sandbox_with("order-saga");
    let ended = sandbox.run(&["run", WORKFLOW, "--input", "address=1 Main Street"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ledger(&sandbox).last().map(String::as_str), Some("shipped o-1 to 1 Main Street"));
    assert_eq!(ledger(&sandbox).len(), 3);
}
