//! Prints timings of the stores on this machine; see [`print_store_timings`] for how to run it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use llmspell_workflows_state::{
    End, Record, RecordLines,
    record::StoredValue,
    store::{
        RunQuery, RunStatus, RunSummary, Stores,
        conformance::{summary, wait},
    },
};
use serde_json::json;
use uuid::Uuid;

use crate::support::{ON_DISK, folder};

const RUNS: u64 = 100_000;

fn finished(number: u64) -> RunSummary {
    let status = if number.is_multiple_of(1_000) { RunStatus::Failed } else { RunStatus::Completed };
    RunSummary { status, ..summary(number, number.cast_signed()) }
}

/// Returns 100 records of about 300 bytes each.
fn records() -> Vec<Record> {
    let text = "x".repeat(240);
    let end = |step| End::Completed { output: StoredValue::Value(json!([step, text]).into()), changes: Vec::new() };
    (0..100).map(|step| Record::Ended { path: format!("/main/step{step}"), end: end(step), time_us: 0 }).collect()
}

fn fill(stores: &Stores) {
    let all: Vec<_> = (0..RUNS).map(finished).collect();
    all.chunks(1_000).for_each(|part| wait(stores.runs.put_all(part)).unwrap());
}

/// Returns the median duration of `work`.
fn median(times: u64, mut work: impl FnMut(u64)) -> Duration {
    let mut took: Vec<_> = (0..times)
        .map(|number| {
            let began = Instant::now();
            work(number);
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}

fn print(name: &str, what: &str, took: Duration) {
    println!("{name:8} {what:44} {:>9.3} ms", took.as_secs_f64() * 1e3);
}

/// `cargo test --profile dist -p llmspell-workflows-state --test stores -- figures --ignored --nocapture`
#[test]
#[ignore = "prints timings and checks nothing"]
fn print_store_timings() {
    let memory = Stores::memory();
    fill(&memory);
    measure("memory", &memory);
    for adapter in ON_DISK {
        let folder = folder();
        let began = Instant::now();
        let stores = adapter.open_in(folder.path()).unwrap();
        print(adapter.name, "opening nothing", began.elapsed());
        fill(&stores);
        wait(stores.definitions.put("synced", "null")).unwrap();
        drop(stores);
        for round in ["first", "then"] {
            let began = Instant::now();
            let stores = adapter.open_in(folder.path()).unwrap();
            print(adapter.name, &format!("opening {RUNS} runs, {round}"), began.elapsed());
            assert_eq!(wait(stores.runs.list(&RunQuery::default())).unwrap().runs.len(), 50);
            print(adapter.name, &format!("  and listing 50 of them, {round}"), began.elapsed());
            let began = Instant::now();
            drop(stores);
            print(adapter.name, "  closing", began.elapsed());
        }
        let stores = adapter.open_in(folder.path()).unwrap();
        measure(adapter.name, &stores);
        println!("{:8} {} bytes on disk", adapter.name, size(&adapter.path(folder.path())));
    }
}

fn measure(name: &str, stores: &Stores) {
    let list = |query: RunQuery| assert_eq!(wait(stores.runs.list(&query)).unwrap().runs.len(), 50);
    print(name, "list of 50", median(51, |_| list(RunQuery::default())));
    let failed = || RunQuery { statuses: vec![RunStatus::Failed], ..RunQuery::default() };
    print(name, "list of 50 that failed, of 100", median(51, |_| list(failed())));
    let label = || RunQuery { labels: [("label-1".to_owned(), "3".to_owned())].into(), ..failed() };
    print(name, "list by label and status", median(5, |_| drop(wait(stores.runs.list(&label())).unwrap())));
    let id = finished(RUNS / 2).id.to_string();
    let by_id = || RunQuery { id_prefix: Some(id[..8].to_owned()), ..RunQuery::default() };
    print(name, "list by 8 digits of an id", median(5, |_| drop(wait(stores.runs.list(&by_id())).unwrap())));
    print(name, "put of a summary", median(1_001, |number| wait(stores.runs.put(&finished(RUNS + number))).unwrap()));
    let records = records();
    let put = |number: u64| wait(stores.archive.put(Uuid::from_u128(number.into()), records.clone())).unwrap();
    print(name, "archive put of 100 records", median(101, put));
    let ended: Vec<_> =
        (1_000..1_100_u128).map(|run| (Uuid::from_u128(run), RecordLines::of(&records).unwrap())).collect();
    print(
        name,
        "archive put of 100 records, 100 runs at once",
        median(5, |_| wait(stores.archive.put_all(ended.clone())).unwrap()),
    );
    let get = |number: u64| assert!(wait(stores.archive.get(Uuid::from_u128(number.into()))).unwrap().is_some());
    print(name, "archive get", median(101, get));
    let message = llmspell_workflows_state::store::Message::Pause;
    let post = |number: u64| assert!(wait(stores.inbox.post(Uuid::nil(), &number.to_string(), &message)).unwrap() > 0);
    print(name, "inbox post", median(101, post));
}

/// Returns the size of a file, or of all files in a folder, in bytes.
fn size(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.map(|entry| size(&entry.unwrap().path())).sum(),
        Err(_) => path.metadata().unwrap().len(),
    }
}
