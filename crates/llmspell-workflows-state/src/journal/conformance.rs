//! Conformance tests for journals. Pass [`all`] a function that creates empty journals, and [`persists`] and
//! [`is_exclusive`] a function that reopens the same journal.
//!
//! Each check panics at the first deviation and shows the expected result.

use std::sync::Arc;

use tokio::{runtime::Runtime, task::JoinSet};
use uuid::Uuid;

use super::{Epoch, Journal, JournalError, Opened, OpenedLines};
use crate::record::{Record, RecordLines};

/// A check to run on an empty journal.
type Check = fn(&Runtime, &Arc<dyn Journal>);

/// Checks all behaviour of an open journal; each check gets its own journal from `fresh`.
///
/// # Panics
/// Panics if the journal fails a check.
pub fn all(fresh: impl Fn() -> Arc<dyn Journal>) {
    let checks: [Check; 7] = [
        unknown_runs_are_empty,
        records_stay_in_order,
        opening_several_runs_takes_over_each,
        take_over_fences_the_previous_owner,
        receipts_grow_and_can_be_awaited_in_any_order,
        forgetting_is_atomic_and_fenced,
        concurrent_runs_stay_separate,
    ];
    for check in checks {
        check(&runtime(), &fresh());
    }
}

/// Checks that synced and written records survive closing the journal; `reopen` opens the same
/// journal.
///
/// # Panics
/// Panics if a record is missing or a forgotten run has reappeared.
pub fn persists(reopen: impl Fn() -> Arc<dyn Journal>) {
    let runtime = runtime();
    let (synced, written, forgotten) = (run(1), run(2), run(3));
    for process in 0..4 {
        let journal = reopen();
        let mut runs = journal.runs();
        runs.sort_unstable();
        assert_eq!(runs, if process == 0 { Vec::new() } else { vec![synced, written] }, "in process {process}");
        let epochs = [synced, written].map(|run| {
            let opened = open(&runtime, &journal, run);
            assert_eq!(opened.records, records(0..20 * process), "of {run} in process {process}");
            assert_eq!(opened.epoch, Epoch(process + 1), "epochs continue in the next process");
            opened.epoch
        });
        let reopened = open(&runtime, &journal, forgotten);
        assert_eq!(
            (reopened.epoch, reopened.records.len()),
            (Epoch(1), 0),
            "the run was forgotten in process {process}"
        );
        append(&journal, forgotten, reopened.epoch, 0..5);
        for number in 20 * process..20 * (process + 1) {
            append(&journal, written, epochs[1], number..number + 1);
            let receipt = journal.append(synced, epochs[0], &record(number)).expect("we own the run");
            runtime.block_on(journal.sync(receipt)).expect("the sync succeeds");
        }
        runtime.block_on(journal.forget(&[(forgotten, reopened.epoch)])).expect("we own the run");
    }
}

/// Checks that an open journal cannot be opened again, and that the error names its owner. `open` always opens the same
/// journal.
///
/// # Panics
/// Panics if the journal can be opened a second time or the error does not name its owner.
pub fn is_exclusive(open: impl Fn() -> Result<Arc<dyn Journal>, JournalError>) {
    let first = open().expect("the journal is free");
    let error = open().expect_err("the journal is in use");
    let own = format!("process {} (", std::process::id());
    assert!(matches!(&error, JournalError::Held { holder, .. } if holder.starts_with(&own)), "{error}");
    assert!(first.runs().is_empty(), "the first journal is still open");
    drop(first);
    drop(open().expect("the journal is free again"));
}

fn unknown_runs_are_empty(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    assert!(journal.runs().is_empty(), "{:?}", journal.runs());
    assert_eq!(journal.append(run(1), Epoch(1), &record(0)), Err(JournalError::Fenced { run: run(1) }));
    assert_eq!(runtime.block_on(journal.forget(&[(run(1), Epoch(1))])), Ok(()), "there is nothing to forget");
    assert_eq!(runtime.block_on(journal.records(run(1))), Ok(Vec::new()));
    assert_eq!(open(runtime, journal, run(1)), Opened { epoch: Epoch(1), records: Vec::new() });
}

fn records_stay_in_order(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    let runs = [run(1), run(2), run(u128::MAX)];
    let epochs = runs.map(|run| open(runtime, journal, run).epoch);
    for number in 0..300 {
        for (run, epoch) in runs.into_iter().zip(epochs) {
            append(journal, run, epoch, number..number + 1);
        }
    }
    // A record larger than any page of a storage engine.
    let large = Record::Stopped { path: "/main/".to_owned() + &"x".repeat(300_000), time_us: 0 };
    let receipt = journal.append(runs[0], epochs[0], &large).expect("we own the run");
    append(journal, runs[0], epochs[0], 300..301);
    runtime.block_on(journal.sync(receipt)).expect("the sync succeeds");
    let mut expected = records(0..300);
    assert_eq!(open(runtime, journal, runs[1]).records, expected);
    assert_eq!(open(runtime, journal, runs[2]).records, expected);
    expected.extend([large, record(300)]);
    assert_eq!(open(runtime, journal, runs[0]).records, expected);
    let mut known = journal.runs();
    known.sort_unstable();
    assert_eq!(known, runs);
}

fn opening_several_runs_takes_over_each(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    let runs = [1, 2, 3].map(run);
    let epochs = runs.map(|run| open(runtime, journal, run).epoch);
    for number in 0..50 {
        for (at, (run, epoch)) in runs.into_iter().zip(epochs).enumerate() {
            // The runs have different numbers of records, and their records are interleaved.
            append(journal, run, epoch, number..number + at as u64);
        }
    }
    let unknown = run(9);
    let wanted = [runs[2], unknown, runs[0], runs[1]];
    let opened = runtime.block_on(journal.open_lines(&wanted)).expect("the runs open");
    let records_of = |times: u64| (0..50).flat_map(|number| records(number..number + times)).collect::<Vec<_>>();
    let expected = [(2, records_of(2)), (1, Vec::new()), (2, records_of(0)), (2, records_of(1))];
    let expected = expected.map(|(epoch, records)| OpenedLines {
        epoch: Epoch(epoch),
        records: RecordLines::of(&records).expect("records are encoded"),
    });
    assert_eq!(opened, expected);
    for (run, epoch) in runs.into_iter().zip(epochs) {
        assert_eq!(journal.append(run, epoch, &record(0)), Err(JournalError::Fenced { run }));
    }
    append(journal, unknown, opened[1].epoch, 0..1);
    assert_eq!(runtime.block_on(journal.open_lines(&[])), Ok(Vec::new()));
}

fn take_over_fences_the_previous_owner(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    let run = run(7);
    let first = open(runtime, journal, run).epoch;
    append(journal, run, first, 0..2);
    let second = open(runtime, journal, run);
    assert!(second.epoch > first, "{:?} after {first:?}", second.epoch);
    assert_eq!(second.records, records(0..2), "including records that were neither written nor synced");
    let fenced = Err(JournalError::Fenced { run });
    assert_eq!(journal.append(run, first, &record(9)), fenced);
    assert_eq!(runtime.block_on(journal.forget(&[(run, first)])), Err(JournalError::Fenced { run }));
    append(journal, run, second.epoch, 2..4);
    assert_eq!(runtime.block_on(journal.records(run)), Ok(records(0..4)), "reading does not take the run over");
    append(journal, run, second.epoch, 4..5);
    assert_eq!(open(runtime, journal, run).records, records(0..5));
}

fn receipts_grow_and_can_be_awaited_in_any_order(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    let epochs = [run(1), run(2)].map(|run| (run, open(runtime, journal, run).epoch));
    let mut last = None;
    for number in 0..50 {
        for (run, epoch) in epochs {
            let receipt = Some(journal.append(run, epoch, &record(number)).expect("we own the run"));
            assert!(receipt > last, "{receipt:?} after {last:?}");
            last = receipt;
        }
    }
    // Receipts can be awaited in any order, and repeatedly.
    let last = last.expect("records were appended").number();
    for receipt in [last, 1, last] {
        runtime.block_on(journal.write(super::Receipt(receipt))).expect("the write succeeds");
        runtime.block_on(journal.sync(super::Receipt(receipt))).expect("the sync succeeds");
    }
}

fn forgetting_is_atomic_and_fenced(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    let (retained, forgotten) = (run(1), run(2));
    let [retained_epoch, forgotten_epoch] = [retained, forgotten].map(|run| open(runtime, journal, run).epoch);
    for (run, epoch) in [(retained, retained_epoch), (forgotten, forgotten_epoch)] {
        append(journal, run, epoch, 0..30);
    }
    append(journal, forgotten, forgotten_epoch, 30..40);
    let fenced = runtime.block_on(journal.forget(&[(forgotten, forgotten_epoch), (retained, Epoch(99))]));
    assert_eq!(fenced, Err(JournalError::Fenced { run: retained }));
    assert_eq!(
        runtime.block_on(journal.records(forgotten)),
        Ok(records(0..40)),
        "either all runs are forgotten, or none"
    );
    runtime.block_on(journal.forget(&[(forgotten, forgotten_epoch)])).expect("we own the run");
    assert_eq!(journal.runs(), [retained]);
    assert_eq!(journal.append(forgotten, forgotten_epoch, &record(0)), Err(JournalError::Fenced { run: forgotten }));
    runtime.block_on(journal.forget(&[(forgotten, forgotten_epoch)])).expect("forgetting twice succeeds");
    assert_eq!(open(runtime, journal, retained).records, records(0..30));
    let again = open(runtime, journal, forgotten);
    assert_eq!(again.records, []);
    append(journal, forgotten, again.epoch, 5..6);
    assert_eq!(open(runtime, journal, forgotten).records, records(5..6));
}

fn concurrent_runs_stay_separate(_: &Runtime, journal: &Arc<dyn Journal>) {
    const RUNS: u64 = 40;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("the runtime starts");
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in 0..RUNS {
            let (journal, run) = (journal.clone(), run(number.into()));
            tasks.spawn(async move {
                let epoch = journal.open(run).await.expect("the run opens").epoch;
                for number in 0..25 {
                    let receipt = journal.append(run, epoch, &record(number)).expect("we own the run");
                    match number % 3 {
                        0 => journal.sync(receipt).await.expect("the sync succeeds"),
                        1 => journal.write(receipt).await.expect("the write succeeds"),
                        _ => {}
                    }
                }
                assert_eq!(journal.open(run).await.expect("the run opens").records, records(0..25));
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("the task succeeds");
        }
    });
    assert_eq!(journal.runs().len() as u64, RUNS);
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("the runtime starts")
}

fn open(runtime: &Runtime, journal: &Arc<dyn Journal>, run: Uuid) -> Opened {
    runtime.block_on(journal.open(run)).expect("the run opens")
}

fn append(journal: &Arc<dyn Journal>, run: Uuid, epoch: Epoch, numbers: std::ops::Range<u64>) {
    for number in numbers {
        journal.append(run, epoch, &record(number)).expect("we own the run");
    }
}

fn run(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn record(number: u64) -> Record {
    Record::Stopped { path: format!("/main/step{number}"), time_us: 0 }
}

fn records(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(record).collect()
}
