use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::{Value, json};

use super::{check_readme, sandbox_with};

const WORKFLOW: &str = "examples/orders-etl/orders-etl.yaml";

/// The number of rows in the generated table; every 100 rows contain each kind of bad data.
const ROWS: u64 = 1000;

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

/// Returns the reason why row `number` of the generated table is rejected, if it is bad.
fn reason(number: u64) -> Option<String> {
    let date = "date: must be a date such as 2024-02-29 or 2024-02-29T12:00:00Z";
    let customer = "customer: must not be empty";
    let quantity = "quantity: must be an integer";
    Some(match number % 100 {
        3 => customer.to_owned(),
        13 => date.to_owned(),
        23 => quantity.to_owned(),
        33 => "expected 6 fields, got 5".to_owned(),
        43 => "expected 6 fields, got 7".to_owned(),
        53 => format!("order_id: {} is a duplicate", number - 1),
        63 => "unclosed quote".to_owned(),
        83 => format!("{date}; quantity: must be at least 1"),
        93 => format!("{customer}; {quantity}"),
        _ => return None,
    })
}

#[test]
fn all_problems_of_a_generated_table_are_found() {
    let sandbox = sandbox_with("orders-etl");
    let table = "target/orders-etl/orders.csv";
    let made = sandbox.run(&["run", "examples/orders-etl/make-orders.yaml", "--input", &format!("rows:={ROWS}")]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let ended = sandbox.run(&["run", WORKFLOW, "--input", &format!("table={table}"), "-o", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    // One row contains a line break and takes two lines; another row is followed by an empty line.
    let line = |number: u64| number + 1 + (1..number).filter(|number| matches!(number % 100, 17 | 57)).count() as u64;
    let rejected: Vec<_> = (1..=ROWS).filter_map(|number| Some((line(number), reason(number)?))).collect();
    let rows = fs::read_to_string(sandbox.path("target/orders-etl/steps/rejected.jsonl")).unwrap();
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    let found = rows.iter().map(|row| (row["line"].as_u64().unwrap(), row["reason"].as_str().unwrap().to_owned()));
    assert_eq!(found.collect::<Vec<_>>(), rejected);
    let lines = fs::read_to_string(sandbox.path(table)).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    for row in &rows {
        assert_eq!(row["text"], lines[usize::try_from(row["line"].as_u64().unwrap()).unwrap() - 1]);
    }

    let mut cents = BTreeMap::new();
    for number in (1..=ROWS).filter(|number| reason(*number).is_none()) {
        let price = if number % 100 == 47 { 104_950 } else { number % 500 * 100 + number % 90 + 10 };
        let country = ["UK", "US", "FI", "NL"][usize::try_from(number % 4).unwrap()];
        *cents.entry(country).or_insert(0) += (number % 9 + 1) * price;
    }
    let output = &ended.json()["output"];
    let in_cents = |amount: &Value| json!((amount.as_f64().unwrap() * 100.0).round());
    let revenue = output["revenue"].as_object().unwrap().iter().map(|(key, amount)| (key.clone(), in_cents(amount)));
    let expected: BTreeMap<String, Value> =
        cents.into_iter().map(|(key, cents)| (key.to_owned(), json!(cents as f64))).collect();
    assert_eq!(revenue.collect::<BTreeMap<_, _>>(), expected);
    let clean = ROWS - rejected.len() as u64;
    let counts = ["rows", "clean", "rejected"].map(|name| output[name].as_u64());
    assert_eq!(counts, [Some(ROWS), Some(clean), Some(rejected.len() as u64)]);
    let written = fs::read_to_string(sandbox.path("target/orders-etl/clean.csv")).unwrap();
    assert_eq!(written.lines().count() as u64, 1 + clean + ROWS / 100);
}

/// Checks that the records of a run do not contain the rows.
#[test]
fn records_contain_only_paths_and_counts() {
    let sandbox = sandbox_with("orders-etl");
    let ended = sandbox.run(&["run", WORKFLOW, "-o", "json"]);
    let steps = ended.json()["steps"].as_array().unwrap().clone();
    let size = |step: &Value| step["output"].to_string().len();
    // `check` lists the first problems.
    assert!(steps.iter().all(|step| size(step) < 400 || step["path"] == "/main/check"), "{steps:#?}");
    assert!(!steps.iter().any(|step| step["output"].to_string().contains("Dijkstra")), "{steps:#?}");
}
