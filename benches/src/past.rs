//! Benchmarks of reading runs from another process and of forking runs.

use llmspell_workflows_advanced::{Executor, KnownRun, MemoryHome, RewindOptions, StartOptions};
use llmspell_workflows_basic::{
    Engine, WorkflowInput,
    model::{Definition, Loop, LoopSource, Step},
};
use llmspell_workflows_state::{Journal, Record, WalJournal};
use serde_json::{Map, json};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::figures::{Report, alternate};

/// The number of runs in the log.
const RUNS: u128 = 20_000;

/// The number of runs read in a round.
const LOOKS: u32 = 10;

pub(crate) fn measure(report: &mut Report) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("the runtime starts");
    forks(&runtime, report);
    looks(&runtime, report);
}

fn forks(runtime: &Runtime, report: &mut Report) {
    let executor = Executor::new(MemoryHome::new(), Engine::builder());
    let (large, small) = (ended(runtime, &executor, 10_000), ended(runtime, &executor, 1_000));
    let fork = |known: &KnownRun, at: usize| {
        let options =
            RewindOptions { from: Some(format!("/main/each[{at}]/sum")), step_input: None, ..Default::default() };
        drop(runtime.block_on(executor.fork(known, &options)).expect("the run can be forked"));
    };
    report.ratio(
        "a fork in the middle of 10,000 iterations vs. ten in the middle of 1,000",
        1,
        "linear",
        alternate(|| fork(&large, 5_000), || (0..10).for_each(|_| fork(&small, 500))),
    );
}

/// Returns an ended run of `count` iterations.
fn ended(runtime: &Runtime, executor: &Executor, count: usize) -> KnownRun {
    let over = LoopSource::Range { start: json!(0), end: json!(count), step: json!(1) };
    let sum = Step::set("sum", Map::from_iter([("sum".to_owned(), json!("{{ (state.sum || 0) + loop.item }}"))]));
    let definition = Definition::sequence("summed", [Loop::new(over, [sum]).into_step("each")]);
    runtime.block_on(async {
        let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await;
        let run = run.expect("the definition is valid");
        let id = run.id();
        executor.drive(run).await.expect("the journal can be written");
        executor.home().get(id).await.expect("the home can be read").expect("the run exists")
    })
}

fn looks(runtime: &Runtime, report: &mut Report) {
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let journal = WalJournal::open_dir(folder.path()).expect("the folder is empty");
    // The record is about as long as all of the records that a run writes before it waits.
    let record = Record::Stopped { path: format!("/main/{}", "x".repeat(1_000)), time_us: 0 };
    for number in 1..=RUNS {
        let run = Uuid::from_u128(number);
        let epoch = runtime.block_on(journal.open(run)).expect("the disk has space").epoch;
        let receipt = journal.append(run, epoch, &record).expect("the disk has space");
        if number % 500 == 0 {
            runtime.block_on(journal.sync(receipt)).expect("the disk works");
        }
    }
    let look = |number: u128| {
        let seen = WalJournal::read_run(folder.path(), Uuid::from_u128(number)).expect("the log is intact");
        assert!(seen.is_some());
    };
    report.ratio(
        "reading one of 20,000 live runs from another process vs. reading all",
        LOOKS,
        "≤ 0.5 ×",
        alternate(
            || (1..=u128::from(LOOKS)).for_each(|number| look(number * RUNS / 12)),
            || (0..LOOKS).for_each(|_| drop(WalJournal::read_all(folder.path()).expect("the log is intact"))),
        ),
    );
}
