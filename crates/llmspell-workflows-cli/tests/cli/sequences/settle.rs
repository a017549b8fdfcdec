//! Continues all runs until they end, and reads the stores.

use llmspell_workflows_testing::history::{Asked, Command, Outcome, What};
use serde_json::Value;

use super::{check_end, choose::Knowledge};
use crate::clients::Clients;

/// The maximum number of times that each run is continued.
const ROUNDS_MAX: usize = 20;

/// Continues all runs until they have ended.
pub(super) fn settle(clients: &mut Clients, knowledge: &mut Knowledge) {
    for store in knowledge.stores.clone() {
        let mut rounds = 0;
        loop {
            let open: Vec<(String, String)> = list(clients, &store)
                .into_iter()
                .filter(|(_, status, is_child)| !is_child && !has_ended(status))
                .map(|(run, status, _)| (run, status))
                .collect();
            if open.is_empty() {
                break;
            }
            rounds += 1;
            assert!(rounds <= ROUNDS_MAX, "these runs of `{store}` do not end: {open:?}");
            for (run, status) in open {
                proceed(clients, knowledge, &store, &run, &status);
            }
        }
    }
}

fn has_ended(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled" | "compensated")
}

fn asked(store: &str, command: Command) -> Asked {
    Asked { store: store.to_owned(), command }
}

/// Runs the command required by the status of a run.
fn proceed(clients: &mut Clients, knowledge: &mut Knowledge, store: &str, run: &str, status: &str) {
    let id = run.to_owned();
    let repeats_nothing = |clients: &Clients| {
        let nothing = What::MayRepeat { run: run.to_owned(), steps: Vec::new() };
        clients.observe(&clients.next_name(), nothing);
    };
    match status {
        "stuck" => {
            let shown = clients.run(asked(store, Command::Other { name: "show".to_owned() }), &["runs", "show", run]);
            let steps = shown.said[0]["steps"].as_array().unwrap().clone();
            let step = steps.iter().find(|step| step["status"] == "stuck").map(|step| step["path"].as_str().unwrap());
            let step = step.unwrap_or_else(|| panic!("no step of {run} is stuck: {steps:?}"));
            let outcome = *knowledge.random.pick(&["--run-again", "--failed"]).unwrap();
            repeats_nothing(clients);
            check_end(&clients.run(asked(store, Command::Resolve { run: id }), &["resolve", run, step, outcome]));
        }
        "waiting" => {
            check_end(&clients.run(asked(store, Command::Signal { run: id.clone() }), &["signal", run, "go"]));
            repeats_nothing(clients);
            check_end(&clients.run(asked(store, Command::Resume { run: id }), &["resume", run]));
        }
        _ => {
            repeats_nothing(clients);
            check_end(&clients.run(asked(store, Command::Resume { run: id }), &["resume", run]));
        }
    }
}

/// Lists the runs of a store: their ids, their statuses, and whether they are runs of
/// sub-workflows.
fn list(clients: &mut Clients, store: &str) -> Vec<(String, String, bool)> {
    let ended = clients.run(asked(store, Command::List), &["runs", "list"]);
    assert_eq!(ended.outcome, Outcome::Done, "{:?}", ended.said);
    let runs = ended.said.iter().filter(|line| line["run_id"].is_string());
    let text = |run: &Value, field: &str| run[field].as_str().unwrap_or_default().to_owned();
    runs.map(|run| (text(run, "run_id"), text(run, "status"), run["parent_run_id"].is_string())).collect()
}

/// Verifies the stores and reads every run.
pub(super) fn read(clients: &mut Clients, knowledge: &Knowledge) {
    for store in &knowledge.stores {
        let command = Command::Other { name: "verify".to_owned() };
        let verified = clients.run(asked(store, command), &["store", "verify"]);
        assert_eq!(verified.code, Some(0), "`{store}` is damaged: {:?}", verified.said);
        for (run, _, is_child) in list(clients, store) {
            if !is_child {
                let file = format!("export-{}.json", clients.next_name());
                let command = Command::Export { run: run.clone() };
                let exported = clients.run(asked(store, command), &["runs", "export", &run, "--file", &file]);
                assert_eq!(exported.code, Some(0), "{:?}", exported.said);
            }
        }
    }
}
