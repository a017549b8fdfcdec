//! Backups of a home while runs are moved.

use std::sync::Arc;

use llmspell_workflows_advanced::{DurableEnd, FolderHome, Home};
use llmspell_workflows_basic::model::*;
use uuid::Uuid;

use crate::lab::{Lab, start};

/// The number of backups. The run is moved once during each of them.
const BACKUPS: usize = 25;

fn waits() -> Definition {
    let wait = WaitForEvent { event: "go".into(), ..WaitForEvent::default() };
    Definition::sequence("waits", [Step::new("a", StepKind::WaitForEvent(wait))])
}

/// Moves a run to another journal: resumes it and starts another run in the new journal.
async fn move_run(lab: &Lab, run: Uuid) {
    let executor = lab.executor();
    let known = lab.home().find(&run.to_string()).await.unwrap();
    let resumed = executor.resume(&known).await.unwrap();
    let DurableEnd::Waiting(_) = executor.drive(resumed).await.unwrap() else { panic!("the run waits") };
    let beside = start(&executor, waits()).await;
    let DurableEnd::Waiting(_) = executor.drive(beside).await.unwrap() else { panic!("the run waits") };
}

/// The run moves from a journal that the backup reads late to a journal that it read early or
/// that did not exist yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_contains_a_run_moved_during_the_backup() {
    let lab = Arc::new(Lab::new());
    let executor = lab.executor();
    let run = start(&executor, waits()).await;
    let id = run.id();
    executor.drive(run).await.unwrap();
    let beside = start(&executor, waits()).await;
    executor.drive(beside).await.unwrap();
    drop(executor);
    let copies = tempfile::tempdir().unwrap();
    let mut missing = Vec::new();
    for number in 0..BACKUPS {
        let moving = {
            let lab = lab.clone();
            tokio::spawn(async move { move_run(&lab, id).await })
        };
        let to = copies.path().join(number.to_string());
        lab.home().back_up(&to).await.unwrap();
        let copy: Arc<dyn Home> = FolderHome::new(&to).into();
        if copy.get(id).await.unwrap().is_none() {
            missing.push(number);
        }
        moving.await.unwrap();
    }
    assert!(missing.is_empty(), "the run is missing in the backups {missing:?} of {BACKUPS}");
}
