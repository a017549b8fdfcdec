//! Benchmarks of durable steps, runs and iterations, compared with the disk's limits.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, mpsc},
};

use llmspell_workflows_advanced::{DurableEnd, Executor, FolderHome, StartOptions};
use llmspell_workflows_basic::{
    Engine, WorkflowInput,
    activity::{Activities, function},
    model::{Definition, Loop, LoopSource, Step},
};
use serde_json::json;
use tokio::{runtime::Runtime, sync::oneshot, task::JoinSet};

use crate::figures::{Report, alternate};

/// The size of a record in the group commit benchmark, in bytes.
const RECORD_BYTES: usize = 300;

fn executor(folder: &Path) -> Executor {
    let mut activities = Activities::new();
    activities.register("function", "noop", function(|_| async { Ok(json!({"ok": true, "n": 1})) }));
    Executor::new(FolderHome::new(folder), Engine::builder().activities(activities))
}

fn steps(count: usize) -> Definition {
    Definition::sequence("steps", (0..count).map(|n| Step::function(format!("s{n}"), "noop", json!({}))))
}

fn iterations(count: i64) -> Definition {
    let over = LoopSource::Range { start: json!(0), end: json!(count), step: json!(1) };
    let body = [Step::function("work", "noop", json!({}))];
    Definition::sequence(
        "looped",
        [Loop { max_iterations: Some(1_000_000), ..Loop::new(over, body) }.into_step("each")],
    )
}

/// Drives `runs` concurrent runs until they end.
fn run(runtime: &Runtime, executor: &Executor, definition: &Definition, runs: usize) {
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..runs {
            let (executor, definition) = (executor.clone(), definition.clone());
            tasks.spawn(async move {
                let run = executor
                    .start(definition, WorkflowInput::default(), StartOptions::default())
                    .await
                    .expect("the definition is valid");
                let end = executor.drive(run).await.expect("the journal can be written");
                assert!(matches!(end, DurableEnd::Finished(finished) if finished.error.is_none()));
            });
        }
        while let Some(result) = tasks.join_next().await {
            result.expect("the task does not panic");
        }
    });
}

/// Runs `writers` tasks that each append `each` records. Each task waits until a record is durable
/// before appending the next one.
///
/// A single thread repeatedly writes all waiting records, syncs once, and notifies the waiting
/// tasks.
fn group_commit(runtime: &Runtime, folder: &Path, writers: usize, each: usize) {
    let path = folder.join("limit");
    let file = File::options().write(true).create(true).truncate(false).open(&path).expect("the folder is writable");
    let (records, queue) = mpsc::channel::<oneshot::Sender<()>>();
    let committer = std::thread::spawn(move || {
        let mut at = 0;
        while let Ok(first) = queue.recv() {
            let waiting: Vec<_> = std::iter::once(first).chain(queue.try_iter().take(2_047)).collect();
            file.write_all_at(&vec![b'x'; RECORD_BYTES * waiting.len()], at).expect("the disk has space");
            file.sync_data().expect("the disk works");
            at += (RECORD_BYTES * waiting.len()) as u64;
            waiting.into_iter().for_each(|done| done.send(()).expect("the task waits"));
        }
    });
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..writers {
            let records = records.clone();
            tasks.spawn(async move {
                for _ in 0..each {
                    let (done, receiver) = oneshot::channel();
                    records.send(done).expect("the committer is running");
                    receiver.await.expect("the committer responds");
                }
            });
        }
        while let Some(result) = tasks.join_next().await {
            result.expect("the task does not panic");
        }
    });
    drop(records);
    committer.join().expect("the thread does not panic");
}

pub(crate) fn measure(report: &mut Report) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("the runtime starts");
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    // Allocate the blocks of the file in advance, as the log does.
    std::fs::write(folder.path().join("limit"), vec![0; 64 << 20]).expect("the disk has space");
    File::open(folder.path().join("limit")).and_then(|file| file.sync_all()).expect("the disk works");
    let executor = Arc::new(executor(&folder.path().join("home")));

    let thousand = steps(1_000);
    report.ratio(
        "one of 1,000 durable steps vs. a group commit of one writer",
        1_000,
        "≤ 1.3 ×",
        alternate(|| run(&runtime, &executor, &thousand, 1), || group_commit(&runtime, folder.path(), 1, 1_000)),
    );
    let hundred = steps(100);
    report.ratio(
        "a durable step in 1,000 concurrent runs of 100 steps vs. a group commit of 1,000 writers",
        100_000,
        "≤ 6 ×",
        alternate(|| run(&runtime, &executor, &hundred, 1_000), || group_commit(&runtime, folder.path(), 1_000, 100)),
    );
    let looped = iterations(10_000);
    report.ratio(
        "10,000 durable iterations vs. as many syncs",
        10_000,
        "≤ 1.5 ×",
        alternate(|| run(&runtime, &executor, &looped, 1), || group_commit(&runtime, folder.path(), 1, 10_000)),
    );
}
