//! Conformance tests for store adapters. Pass each function fresh [`Stores`], or pass [`all`] a function that creates
//! them.
//!
//! Each check panics at the first deviation and shows the expected result.

mod content;
mod listed;

use jiff::Timestamp;
use uuid::Uuid;

pub use content::{archives, blobs, definitions, inboxes, inboxes_of_several_threads, snapshots};
pub use listed::{lists, pages, summaries};

use super::{RunStatus, RunSummary, Stores};

/// Runs all checks, each with stores from `fresh`.
///
/// # Panics
/// Panics if the adapter fails a check.
pub fn all(fresh: impl Fn() -> Stores) {
    let checks: [fn(&Stores); 9] =
        [summaries, lists, pages, archives, definitions, snapshots, inboxes, inboxes_of_several_threads, blobs];
    for check in checks {
        check(&fresh());
    }
}

/// Checks that all data survives closing the stores; `reopen` opens the same stores.
///
/// # Panics
/// Panics if stored data is missing.
pub fn persists(reopen: impl Fn() -> Stores) {
    let run = summary(1, 0);
    let records = content::records(3);
    let (name, state) = ("here".to_owned(), serde_json::json!({"a": 1}));
    let snapshot = super::Snapshot { run: run.id, name, position: 2, at: run.started_at, state };
    let large = vec![7; 200_000];
    let hash = {
        let stores = reopen();
        wait(stores.runs.put(&run)).expect("a run is stored");
        wait(stores.archive.put(run.id, records.clone())).expect("records are stored");
        wait(stores.definitions.put("abc", r#"{"name": "w"}"#)).expect("a definition is stored");
        wait(stores.snapshots.put(&snapshot)).expect("a snapshot is stored");
        wait(stores.inbox.post(run.id, "one", &super::Message::Cancel)).expect("a message is posted");
        wait(stores.blobs.put(run.id, large.clone())).expect("a value is stored")
    };
    let stores = reopen();
    assert_eq!(wait(stores.runs.get(run.id)), Ok(Some(run.clone())));
    assert_eq!(wait(stores.runs.list(&super::RunQuery::default())).map(|page| page.runs), Ok(vec![run.clone()]));
    assert_eq!(wait(stores.archive.get(run.id)), Ok(Some(records)));
    assert_eq!(wait(stores.definitions.get("abc")), Ok(Some(r#"{"name": "w"}"#.to_owned())));
    assert_eq!(wait(stores.snapshots.list(run.id)), Ok(vec![snapshot]));
    assert_eq!(wait(stores.inbox.next(run.id, 0)), Ok(vec![(1, super::Message::Cancel)]));
    assert_eq!(wait(stores.blobs.get(&hash)), Ok(Some(large)));
    assert_eq!(wait(stores.blobs.owners(&hash)), Ok(1));
}

/// Returns the output of `future`, for tests that are not async.
///
/// # Panics
/// Panics if the runtime cannot start or this function is called from within a runtime.
pub fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("the runtime starts").block_on(future)
}

/// Returns the summary of a run that started `second` seconds after a fixed time; `number` varies its fields.
#[must_use]
pub fn summary(number: u64, second: i64) -> RunSummary {
    let at = |second| Timestamp::from_second(1_700_000_000 + second).expect("a valid timestamp");
    let status = RunStatus::ALL[usize::try_from(number).expect("a small number") % RunStatus::ALL.len()];
    RunSummary {
        id: Uuid::from_u128((u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64) | u128::from(number)),
        workflow: format!("workflow-{}", number % 7),
        version: "1.0.0".to_owned(),
        definition: format!("{:064x}", number % 7),
        status,
        started_at: at(second),
        updated_at: at(second + 1),
        ended_at: status.has_ended().then(|| at(second + 2)),
        wake_at: (status == RunStatus::Waiting).then(|| at(second + 3)),
        error: (status == RunStatus::Failed)
            .then(|| super::RunError { code: "timeout".to_owned(), message: "it took too long".to_owned() }),
        parent: (number % 5 == 4).then(|| Uuid::from_u128(u128::from(number % 3))),
        labels: (0..number % 3).map(|label| (format!("label-{label}"), format!("{}", number % 4))).collect(),
        owner: (!status.has_ended()).then(|| "process 1".to_owned()),
    }
}
