use std::{collections::BTreeSet, fs};

use super::{check_readme, sandbox_with};

const WORKFLOW: &str = "examples/orders-etl/orders-etl.yaml";

#[test]
fn output_matches_the_readme() {
    check_readme(&sandbox_with("orders-etl"), "orders-etl");
}

/// Checks that no row is lost or duplicated.
#[test]
fn every_row_is_clean_or_rejected_with_a_reason() {
    let sandbox = sandbox_with("orders-etl");
    let ended = sandbox.run(&["run", WORKFLOW]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let clean = fs::read_to_string(sandbox.path("target/orders-etl/clean.csv")).unwrap();
    let expected = "order_id,date,customer,country,quantity,unit_price\n\
        2001,2026-02-01,\"Lovelace, Ada\",UK,2,49.9\n\
        2002,2026-02-03,Grace Hopper,US,1,229.0\n\
        2006,2026-02-08,\"Edsger \"\"EWD\"\" Dijkstra\",NL,25,4.5\n\
        2009,2026-02-14,Alan Turing,UK,1,1049.0\n";
    assert_eq!(clean, expected);
    let rejected = fs::read_to_string(sandbox.path("target/orders-etl/rejected.csv")).unwrap();
    let lines: BTreeSet<u32> =
        rejected.lines().skip(1).map(|row| row.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(lines, BTreeSet::from([4, 5, 6, 8, 9, 10, 12, 14]), "{rejected}");
    assert!(rejected.lines().skip(1).all(|row| !row.split(',').nth(1).unwrap().is_empty()), "{rejected}");
}

#[test]
fn clean_table_produces_no_rejected_rows() {
    let sandbox = sandbox_with("orders-etl")
        .file("good.csv", "order_id,date,customer,country,quantity,unit_price\r\n1,2026-01-01,Ada,UK,1,2\r\n");
    let ended = sandbox.run(&["run", WORKFLOW, "--input", "table=good.csv", "-o", "json"]);
    let output = &ended.json()["output"];
    assert_eq!((&output["clean"], &output["rejected"]), (&1.into(), &0.into()), "{output}");
}
