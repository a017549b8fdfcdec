//! Compares the journal adapters by synced appends, run time, size on disk, and time to reopen.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use llmspell_workflows_basic::{
    Driven, Engine, RunOptions, WorkflowInput,
    activity::{Activities, function},
    engine::{Extensions, Position},
    model::{Definition, Step},
};
use llmspell_workflows_state::{
    Epoch, FjallJournal, Journal, JournalError, Journaling, Record, RunJournal, SledJournal, Started, WalJournal,
};
use serde_json::json;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::figures::median;

/// The number of rounds for each median; rounds alternate between the adapters.
const ROUNDS: usize = 5;

/// The number of writers and the number of appends, for each measurement.
const APPENDS: [(usize, usize); 3] = [(1, 1_000), (64, 20_000), (1_000, 50_000)];

/// The number of steps in the run.
const STEPS: u32 = 1_000;

type Open = fn(&Path) -> Result<Arc<dyn Journal>, JournalError>;

const ADAPTERS: [(&str, Open); 3] = [
    ("write-ahead log", |path| Ok(Arc::new(WalJournal::open_dir(path)?))),
    ("fjall", |path| Ok(Arc::new(FjallJournal::open_dir(path)?))),
    ("sled", |path| Ok(Arc::new(SledJournal::open_dir(path)?))),
];

/// The measurements of one adapter.
#[derive(Default)]
struct Figures {
    appends: [Vec<Duration>; 3],
    run: Vec<Duration>,
    opening: Vec<Duration>,
    bytes: u64,
}

/// Measures all adapters and prints a table.
pub(crate) fn measure() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("the runtime starts");
    let mut all: [Figures; 3] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, open), figures) in ADAPTERS.iter().zip(&mut all) {
            round(&runtime, *open, figures);
        }
    }
    let writers = APPENDS.map(|(writers, _)| format!("appends/s, {writers} at once")).join(" | ");
    println!("| journal | {writers} | a run of {STEPS} steps | bytes on disk a step | opening that run |");
    println!("|---|---|---|---|---|---|---|");
    for ((name, _), figures) in ADAPTERS.iter().zip(&all) {
        let rates: Vec<_> = figures.appends.iter().zip(APPENDS).map(|(took, (_, count))| rate(took, count)).collect();
        let [run, opening] = [&figures.run, &figures.opening].map(|took| median(took).as_secs_f64() * 1e3);
        let bytes = figures.bytes / u64::from(STEPS);
        println!("| {name} | {} | {run:.0} ms | {bytes} | {opening:.1} ms |", rates.join(" | "));
    }
}

fn round(runtime: &Runtime, open: Open, figures: &mut Figures) {
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let path = folder.path().join("appends");
    let journal = open(&path).expect("the folder is accessible");
    for (took, (writers, count)) in figures.appends.iter_mut().zip(APPENDS) {
        took.push(append(runtime, &journal, writers, count / writers));
    }
    drop(journal);
    let path = folder.path().join("run");
    let journal = open(&path).expect("the folder is accessible");
    let before = bytes_in(&path);
    figures.run.push(run(runtime, &journal));
    figures.bytes = bytes_in(&path) - before;
    drop(journal);
    let begin = Instant::now();
    let journal = open(&path).expect("the folder is accessible");
    runtime.block_on(RunJournal::open(journal, uuid::Uuid::nil())).expect("the run is complete");
    figures.opening.push(begin.elapsed());
}

/// Appends records with one run per writer. Each writer waits until a record is durable before
/// appending the next one.
fn append(runtime: &Runtime, journal: &Arc<dyn Journal>, writers: usize, each: usize) -> Duration {
    let runs: Vec<(uuid::Uuid, Epoch)> = (0..writers)
        .map(|_| {
            let run = uuid::Uuid::now_v7();
            (run, runtime.block_on(journal.open(run)).expect("the run can be opened").epoch)
        })
        .collect();
    let begin = Instant::now();
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for (run, epoch) in runs.clone() {
            let (journal, record) = (journal.clone(), record());
            tasks.spawn(async move {
                for _ in 0..each {
                    let receipt = journal.append(run, epoch, &record).expect("the disk works");
                    journal.sync(receipt).await.expect("the disk works");
                }
            });
        }
        while let Some(result) = tasks.join_next().await {
            result.expect("the task does not panic");
        }
    });
    let took = begin.elapsed();
    runtime.block_on(journal.forget(&runs)).expect("the runs are open here");
    took
}

/// Returns a record of about 300 bytes.
fn record() -> Record {
    Record::Stopped { path: format!("/main/{}", "x".repeat(270)), time_us: 0 }
}

/// Runs a sequence of no-op steps.
fn run(runtime: &Runtime, journal: &Arc<dyn Journal>) -> Duration {
    let mut activities = Activities::new();
    activities.register("function", "noop", function(|_| async { Ok(json!({"ok": true, "n": 1})) }));
    let engine = Engine::builder().activities(activities).interceptor(Position::Journal, Journaling).build();
    let steps = (0..STEPS).map(|n| Step::function(format!("s{n}"), "noop", json!({})));
    let definition = Definition::sequence("steps", steps);
    let hash = definition.hash().to_string();
    let started = json!({"at": "2026-01-01T00:00:00Z", "workflow": "steps", "definition": hash, "input": {}});
    let started: Started = serde_json::from_value(started).expect("the start record is complete");
    let plan = engine.prepare(definition).expect("the definition is valid");
    let begin = Instant::now();
    runtime.block_on(async {
        let journal =
            Arc::new(RunJournal::open(journal.clone(), uuid::Uuid::nil()).await.expect("the run can be opened"));
        journal.start(started).await.expect("the disk works");
        let extensions = Extensions::new().with_shared(journal.clone());
        let options = RunOptions { resume: journal.resume(), extensions, ..RunOptions::default() };
        let run = engine.start(&plan, WorkflowInput::default(), &options).expect("the workflow needs no input");
        assert!(matches!(engine.drive(&run).await, Driven::Done(finished) if finished.error.is_none()));
    });
    begin.elapsed()
}

/// Returns the total size of all files in a folder, without the preallocated zeros at their ends.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("the folder is accessible");
    let bytes = entries.map(|entry| {
        let path = entry.expect("the folder is accessible").path();
        if path.is_dir() {
            return bytes_in(&path);
        }
        // A file may have been removed since the folder was listed.
        let bytes = fs::read(&path).unwrap_or_default();
        bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
    });
    bytes.sum()
}

/// Formats a rate with about two significant digits.
fn rate(took: &[Duration], count: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate of two digits")]
    let rate = count as f64 / median(took).as_secs_f64();
    if rate < 10_000.0 { format!("{:.1}k", rate / 1e3) } else { format!("{:.0}k", rate / 1e3) }
}
