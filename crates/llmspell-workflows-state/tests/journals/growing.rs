//! A list that grows in the state takes what is added to it, in memory and in the records.

use std::sync::Arc;

use llmspell_workflows_basic::{
    Finished,
    model::{Definition, Loop, LoopSource, Step},
    state::Edit,
};
use llmspell_workflows_state::{History, Journal, MemoryJournal, Record};
use llmspell_workflows_testing::crash::CrashTest;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::support::runtime;

fn set(id: &str, key: &str, value: Value) -> Step {
    Step::set(id, Map::from_iter([(key.to_owned(), value)]))
}

/// Collects a text each iteration, by an expression that makes the whole list anew.
fn collecting(iterations: u64) -> Definition {
    let item = "item number {{ loop.index }}, which is as long as a sentence, so that copies of it would be seen";
    let added = json!("{{ state.all.concat([state.item.text]) }}");
    let body = [set("make", "item", json!({"text": item})), set("add", "all", added)];
    let over = LoopSource::Range { start: json!(0), end: json!(iterations), step: json!(1) };
    let steps = [
        set("none", "all", json!([])),
        Loop::new(over, body).into_step("each"),
        set("count", "count", json!("{{ state.all.length }}")),
    ];
    Definition::sequence("collecting", steps)
}

fn run(iterations: u64) -> (Finished, Vec<Record>) {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let finished = CrashTest::new(collecting(iterations), json!({})).run_on(&journal).unwrap();
    assert_eq!((&finished.error, &*finished.output), (&None, &json!({"count": iterations})));
    (finished, runtime().block_on(journal.open(Uuid::nil())).unwrap().records)
}

fn length(record: &Record) -> usize {
    serde_json::to_string(record).unwrap().len()
}

/// How many bytes are recorded in iteration `number`.
fn of_iteration(records: &[Record], number: u64) -> usize {
    let iteration = format!("/main/each[{number}]");
    let is_inside = |record: &&Record| record.path().is_some_and(|path| path.starts_with(&iteration));
    records.iter().filter(is_inside).map(length).sum()
}

#[test]
fn each_iteration_records_what_it_adds_however_long_the_list_is() {
    let (_, records) = run(1_000);
    let lengths = [10, 100, 500, 999].map(|number| of_iteration(&records, number));
    // Paths and numbers get a few digits longer.
    assert!(lengths.iter().all(|length| *length <= lengths[0] + 64), "{lengths:?}");
}

#[test]
fn what_is_recorded_of_the_blocks_around_grows_with_the_number_of_iterations() {
    let of_blocks = |iterations| {
        let (_, records) = run(iterations);
        let blocks = records.iter().filter(|record| matches!(record.path(), None | Some("/main" | "/main/each")));
        blocks.map(length).sum::<usize>()
    };
    let (few, many) = (of_blocks(100), of_blocks(1_000));
    assert!(many < few * 11, "{few} bytes for 100 iterations, {many} for 1,000");
}

#[test]
fn a_run_keeps_of_the_list_what_was_added() {
    let (finished, _) = run(200);
    let appended = finished.state_changes.iter().filter(|change| matches!(change.edit, Edit::Append(_)));
    assert_eq!(appended.count(), 199);
    let mut adds = finished.steps.iter().filter(|step| step.path.id().is_some_and(|id| id.as_str() == "add"));
    let last = adds.next_back().unwrap().output.clone().unwrap();
    assert_eq!(last["all"].as_array().unwrap().len(), 200);
}

#[test]
fn what_was_recorded_is_read_back_as_the_whole() {
    let (finished, records) = run(20);
    let history = History::read(&records).unwrap().unwrap();
    for step in finished.steps.iter() {
        let path = step.path.to_string();
        let Some(past) = history.steps.iter().find(|past| past.path == path) else { continue };
        let Some(llmspell_workflows_basic::engine::Outcome::Completed(output)) = &past.outcome else { continue };
        assert_eq!(Some(&output.value), step.output.as_ref(), "{path}");
    }
}

#[test]
fn crashes_at_every_boundary_make_no_difference() {
    run(4);
    let report = CrashTest::new(collecting(4), json!({})).crash_everywhere();
    report.unwrap_or_else(|difference| panic!("{difference}"));
}
