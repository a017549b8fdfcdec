//! What every journal does alike: give [`all`] a way to make empty ones, and [`lasts`] and [`held`] a way to open the
//! same one again.
//!
//! Each panics at the first difference, with what was expected.

use std::sync::Arc;

use tokio::{runtime::Runtime, task::JoinSet};
use uuid::Uuid;

use super::{Epoch, Journal, JournalError, Opened};
use crate::record::Record;

/// A check of a journal that is empty.
type Check = fn(&Runtime, &Arc<dyn Journal>);

/// Everything that an open journal does, each with one that `fresh` makes.
///
/// # Panics
/// A journal does something else.
pub fn all(fresh: impl Fn() -> Arc<dyn Journal>) {
    let checks: [Check; 6] = [unknown_runs, order, epochs, receipts, forgotten_runs, runs_at_once];
    for check in checks {
        check(&runtime(), &fresh());
    }
}

/// What was synced or written comes back after the journal was closed: `reopen` opens the same one anew.
///
/// # Panics
/// Something is missing, or has come back.
pub fn lasts(reopen: impl Fn() -> Arc<dyn Journal>) {
    let runtime = runtime();
    let (synced, written, gone) = (run(1), run(2), run(3));
    for process in 0..4 {
        let journal = reopen();
        let mut runs = journal.runs();
        runs.sort_unstable();
        assert_eq!(runs, if process == 0 { Vec::new() } else { vec![synced, written] }, "in process {process}");
        let epochs = [synced, written].map(|run| {
            let opened = open(&runtime, &journal, run);
            assert_eq!(opened.records, records(0..20 * process), "of {run} in process {process}");
            assert_eq!(opened.epoch, Epoch(process + 1), "epochs go on in the next process");
            opened.epoch
        });
        let left = open(&runtime, &journal, gone);
        assert_eq!((left.epoch, left.records.len()), (Epoch(1), 0), "it was forgotten in process {process}");
        append(&journal, gone, left.epoch, 0..5);
        for number in 20 * process..20 * (process + 1) {
            append(&journal, written, epochs[1], number..number + 1);
            let receipt = journal.append(synced, epochs[0], &record(number)).expect("it is ours");
            runtime.block_on(journal.sync(receipt)).expect("it is synced");
        }
        runtime.block_on(journal.forget(&[(gone, left.epoch)])).expect("it is ours");
    }
}

/// One process has a journal at a time, and the other is told which: `open` opens the same one.
///
/// # Panics
/// A second one is opened, or the first is not named.
pub fn held(open: impl Fn() -> Result<Arc<dyn Journal>, JournalError>) {
    let first = open().expect("nobody has it");
    let error = open().expect_err("the first still has it");
    let own = format!("process {} (", std::process::id());
    assert!(matches!(&error, JournalError::Held { holder, .. } if holder.starts_with(&own)), "{error}");
    assert!(first.runs().is_empty(), "it is still open");
    drop(first);
    drop(open().expect("nobody has it any more"));
}

fn unknown_runs(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    assert!(journal.runs().is_empty(), "{:?}", journal.runs());
    assert_eq!(journal.append(run(1), Epoch(1), &record(0)), Err(JournalError::Fenced { run: run(1) }));
    assert_eq!(runtime.block_on(journal.forget(&[(run(1), Epoch(1))])), Ok(()), "there is nothing to forget");
    assert_eq!(runtime.block_on(journal.records(run(1))), Ok(Vec::new()));
    assert_eq!(open(runtime, journal, run(1)), Opened { epoch: Epoch(1), records: Vec::new() });
}

fn order(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    let runs = [run(1), run(2), run(u128::MAX)];
    let epochs = runs.map(|run| open(runtime, journal, run).epoch);
    for number in 0..300 {
        for (run, epoch) in runs.into_iter().zip(epochs) {
            append(journal, run, epoch, number..number + 1);
        }
    }
    // One that no page of an engine holds.
    let large = Record::Stopped { path: "/main/".to_owned() + &"x".repeat(300_000), time_us: 0 };
    let receipt = journal.append(runs[0], epochs[0], &large).expect("it is ours");
    append(journal, runs[0], epochs[0], 300..301);
    runtime.block_on(journal.sync(receipt)).expect("it is synced");
    let mut expected = records(0..300);
    assert_eq!(open(runtime, journal, runs[1]).records, expected);
    assert_eq!(open(runtime, journal, runs[2]).records, expected);
    expected.extend([large, record(300)]);
    assert_eq!(open(runtime, journal, runs[0]).records, expected);
    let mut known = journal.runs();
    known.sort_unstable();
    assert_eq!(known, runs);
}

fn epochs(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    let run = run(7);
    let first = open(runtime, journal, run).epoch;
    append(journal, run, first, 0..2);
    let second = open(runtime, journal, run);
    assert!(second.epoch > first, "{:?} after {first:?}", second.epoch);
    assert_eq!(second.records, records(0..2), "also what nobody has written or synced");
    let fenced = Err(JournalError::Fenced { run });
    assert_eq!(journal.append(run, first, &record(9)), fenced);
    assert_eq!(runtime.block_on(journal.forget(&[(run, first)])), Err(JournalError::Fenced { run }));
    append(journal, run, second.epoch, 2..4);
    assert_eq!(runtime.block_on(journal.records(run)), Ok(records(0..4)), "a look takes nothing over");
    append(journal, run, second.epoch, 4..5);
    assert_eq!(open(runtime, journal, run).records, records(0..5));
}

fn receipts(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    let epochs = [run(1), run(2)].map(|run| (run, open(runtime, journal, run).epoch));
    let mut last = None;
    for number in 0..50 {
        for (run, epoch) in epochs {
            let receipt = Some(journal.append(run, epoch, &record(number)).expect("it is ours"));
            assert!(receipt > last, "{receipt:?} after {last:?}");
            last = receipt;
        }
    }
    // In any order, and more than once.
    let last = last.expect("there were some").number();
    for receipt in [last, 1, last] {
        runtime.block_on(journal.write(super::Receipt(receipt))).expect("it is written");
        runtime.block_on(journal.sync(super::Receipt(receipt))).expect("it is synced");
    }
}

fn forgotten_runs(runtime: &Runtime, journal: &Arc<dyn Journal>) {
    let (kept, gone) = (run(1), run(2));
    let [kept_epoch, gone_epoch] = [kept, gone].map(|run| open(runtime, journal, run).epoch);
    for (run, epoch) in [(kept, kept_epoch), (gone, gone_epoch)] {
        append(journal, run, epoch, 0..30);
    }
    append(journal, gone, gone_epoch, 30..40);
    let fenced = runtime.block_on(journal.forget(&[(gone, gone_epoch), (kept, Epoch(99))]));
    assert_eq!(fenced, Err(JournalError::Fenced { run: kept }));
    assert_eq!(runtime.block_on(journal.records(gone)), Ok(records(0..40)), "all of them are forgotten, or none");
    runtime.block_on(journal.forget(&[(gone, gone_epoch)])).expect("it is ours");
    assert_eq!(journal.runs(), [kept]);
    assert_eq!(journal.append(gone, gone_epoch, &record(0)), Err(JournalError::Fenced { run: gone }));
    runtime.block_on(journal.forget(&[(gone, gone_epoch)])).expect("it is forgotten already");
    assert_eq!(open(runtime, journal, kept).records, records(0..30));
    let again = open(runtime, journal, gone);
    assert_eq!(again.records, []);
    append(journal, gone, again.epoch, 5..6);
    assert_eq!(open(runtime, journal, gone).records, records(5..6));
}

fn runs_at_once(_: &Runtime, journal: &Arc<dyn Journal>) {
    const RUNS: u64 = 40;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("two threads");
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in 0..RUNS {
            let (journal, run) = (journal.clone(), run(number.into()));
            tasks.spawn(async move {
                let epoch = journal.open(run).await.expect("it opens").epoch;
                for number in 0..25 {
                    let receipt = journal.append(run, epoch, &record(number)).expect("it is ours");
                    match number % 3 {
                        0 => journal.sync(receipt).await.expect("it is synced"),
                        1 => journal.write(receipt).await.expect("it is written"),
                        _ => {}
                    }
                }
                assert_eq!(journal.open(run).await.expect("it opens").records, records(0..25));
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no difference");
        }
    });
    assert_eq!(journal.runs().len() as u64, RUNS);
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

fn open(runtime: &Runtime, journal: &Arc<dyn Journal>, run: Uuid) -> Opened {
    runtime.block_on(journal.open(run)).expect("it opens")
}

fn append(journal: &Arc<dyn Journal>, run: Uuid, epoch: Epoch, numbers: std::ops::Range<u64>) {
    for number in numbers {
        journal.append(run, epoch, &record(number)).expect("it is ours");
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
