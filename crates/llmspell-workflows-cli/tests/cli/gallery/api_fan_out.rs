use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::json;

use super::{check_readme_with, sandbox_with};

#[path = "../../../../../examples/rust/flaky_api/api.rs"]
mod api;

use api::AnsweredRequest;

const WORKFLOW: &str = "examples/api-fan-out/api-fan-out.yaml";

/// Starts the API, which answers its first `together` requests only once all of them have arrived.
/// Returns the API's address and the requests it has answered.
fn serve(together: usize) -> (String, Arc<Mutex<Vec<AnsweredRequest>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let seen = answered.clone();
    thread::spawn(move || api::serve(&listener, together, move |served| seen.lock().unwrap().push(served)));
    (address, answered)
}

#[test]
fn output_matches_the_readme() {
    let (address, _) = serve(1);
    check_readme_with(&sandbox_with("api-fan-out"), "api-fan-out", |command| {
        let input = format!("--input api=http://{address} --allow-host");
        command.replace("127.0.0.1:8099", &address).replace("--allow-host", &input)
    });
}

#[test]
fn requests_in_flight_are_limited_and_rejected_requests_are_retried() {
    // The first three requests wait for each other, so they must all be in flight at once.
    let (address, answered) = serve(3);
    let sandbox = sandbox_with("api-fan-out");
    let api = format!("api=http://{address}");
    let ended = sandbox.run(&["run", WORKFLOW, "--allow-host", &address, "--input", &api, "-o", "json"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let answered = answered.lock().unwrap();
    assert_eq!(answered.iter().map(|served| served.in_flight).max(), Some(3), "{answered:?}");
    let mut statuses: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
    answered.iter().for_each(|served| statuses.entry(served.item).or_default().push(served.status));
    for (item, expected) in
        [(1, &[200][..]), (3, &[429, 200]), (4, &[429, 503, 200]), (7, &[429, 503, 503, 503]), (12, &[429, 503, 200])]
    {
        assert_eq!(statuses[&item], expected, "item {item}");
    }
    let output = &ended.json()["output"];
    assert_eq!(output["fetched"].as_array().unwrap().len(), 11, "{output}");
    assert_eq!((&output["failed"][0]["item"], &output["failed"][0]["status"]), (&json!(7), &json!(503)), "{output}");
}

#[test]
fn missing_item_is_not_retried() {
    let (address, answered) = serve(1);
    let sandbox = sandbox_with("api-fan-out");
    let api = format!("api=http://{address}");
    let arguments =
        ["run", WORKFLOW, "--allow-host", &address, "--input", &api, "--input", "items:=[101]", "-o", "json"];
    let ended = sandbox.run(&arguments);
    assert_eq!(ended.json()["output"]["failed"][0]["status"], 404, "{}", ended.stdout);
    assert_eq!(answered.lock().unwrap().len(), 1);
}
