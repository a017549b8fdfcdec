//! For a growing list in the state, only the new items are stored, both in memory and in records.

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

/// Returns a definition that appends a string in each iteration, with an expression that rebuilds the whole list.
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

/// Returns the number of bytes recorded in iteration `number`.
fn iteration_length(records: &[Record], number: u64) -> usize {
    let iteration = format!("/main/each[{number}]");
    let is_inside = |record: &&Record| record.path().is_some_and(|path| path.starts_with(&iteration));
    records.iter().filter(is_inside).map(length).sum()
}

#[test]
fn each_iteration_records_only_its_new_item() {
    let (_, records) = run(1_000);
    let lengths = [10, 100, 500, 999].map(|number| iteration_length(&records, number));
    // Paths and numbers become a few digits longer.
    assert!(lengths.iter().all(|length| *length <= lengths[0] + 64), "{lengths:?}");
}

#[test]
fn records_of_enclosing_blocks_grow_linearly_with_iterations() {
    let of_blocks = |iterations| {
        let (_, records) = run(iterations);
        let blocks = records.iter().filter(|record| matches!(record.path(), None | Some("/main" | "/main/each")));
        blocks.map(length).sum::<usize>()
    };
    let (few, many) = (of_blocks(100), of_blocks(1_000));
    assert!(many < few * 11, "{few} bytes for 100 iterations, {many} for 1,000");
}

#[test]
fn a_growing_list_is_kept_as_appends() {
    let (finished, _) = run(200);
    let appended = finished.state_changes.iter().filter(|change| matches!(change.edit, Edit::Append(_)));
    assert_eq!(appended.count(), 199);
    let mut adds = finished.steps.iter().filter(|step| step.path.id().is_some_and(|id| id.as_str() == "add"));
    let last = adds.next_back().unwrap().output.clone().unwrap();
    assert_eq!(last["all"].as_array().unwrap().len(), 200);
}

#[test]
fn recorded_lists_are_read_back_whole() {
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
fn a_crash_at_any_boundary_does_not_change_the_list() {
    run(4);
    let report = CrashTest::new(collecting(4), json!({})).crash_everywhere();
    report.unwrap_or_else(|difference| panic!("{difference}"));
}
