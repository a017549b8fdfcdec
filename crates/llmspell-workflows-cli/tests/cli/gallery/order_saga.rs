use std::fs;

use super::{follow_the_page, place_with};
use crate::support::{Place, show};

const WORKFLOW: &str = "examples/order-saga/order-saga.yaml";

fn ledger(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path("target/order-saga/ledger")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn it_prints_what_the_page_says() {
    follow_the_page(&place_with("order-saga"), "order-saga");
}

#[test]
fn what_was_done_is_undone_in_reverse_order_when_the_last_step_fails() {
    let place = place_with("order-saga");
    let ended = place.run(&["run", WORKFLOW]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let expected = ["reserved goods for o-1", "charged 42 for o-1", "refunded 42 of c-o-1", "released r-o-1"];
    assert_eq!(ledger(&place), expected);
    let run = show(&place, "@last");
    assert_eq!((&run["status"], &run["error"]["path"]), (&"compensated".into(), &"/main/ship".into()), "{run}");
}

#[test]
fn nothing_is_undone_when_all_steps_succeed() {
    let place = place_with("order-saga");
    let ended = place.run(&["run", WORKFLOW, "--input", "address=1 Main Street"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ledger(&place).last().map(String::as_str), Some("shipped o-1 to 1 Main Street"));
    assert_eq!(ledger(&place).len(), 3);
}
