//! All kinds of journals, including kinds that allow only one process at a time.

use std::sync::Arc;

use llmspell_workflows_advanced::{
    DurableEnd, Executor, ExecutorError, FolderHome, Home, JournalKind, Message, StartOptions,
};
use llmspell_workflows_basic::{RunStatus, WorkflowInput, model::*};
use llmspell_workflows_state::store::RunQuery;
use serde_json::json;

use crate::lab::{Lab, finished, start};

/// Returns the kinds of journals that this program was built with.
fn kinds() -> impl Iterator<Item = JournalKind> {
    JournalKind::ALL.into_iter().filter(|kind| kind.is_available())
}

#[tokio::test]
async fn run_parks_and_resumes_in_every_kind_of_journal() {
    for kind in kinds() {
        let lab = Lab::new();
        let home: Arc<dyn Home> = lab.folder_home().with_journal(kind).into();
        let executor = Executor::new(home.clone(), lab.engine());
        let wait = WaitForEvent { event: "go".into(), ..WaitForEvent::default() };
        let steps = [Step::new("a", StepKind::WaitForEvent(wait)), Step::function("b", "echo", json!("done"))];
        let run = start(&executor, Definition::sequence("waits", steps)).await;
        let id = run.id().to_string();
        assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
        // The home lists the run, with this process as the holder.
        let known = home.find(&id).await.unwrap();
        assert!(known.status() == RunStatus::Waiting && known.holder.is_some(), "{known:?}");
        let other = Executor::new(home.clone(), lab.engine());
        assert!(matches!(other.resume(&known).await, Err(ExecutorError::Held { .. })), "{kind}");
        home.post(&known, &Message::Signal { name: "go".into(), payload: json!(1) }).await.unwrap();
        drop(executor);
        let known = home.find(&id).await.unwrap();
        assert_eq!(known.holder, None, "{kind}");
        let run = other.resume(&known).await.unwrap();
        assert_eq!(*finished(&other, run).await.output, json!("done"), "{kind}");
        assert_eq!(lab.performed.all(), ["/main/b#1"], "{kind}");
        assert_eq!(home.find(&id).await.unwrap().status(), RunStatus::Completed);
        assert_eq!(home.compact().await.unwrap().journals_held, 1, "{kind}");
        drop(other);
        let done = home.compact().await.unwrap();
        assert_eq!((done.archived, done.journals_held), (1, 0), "{kind}");
        assert_eq!(home.find(&id).await.unwrap().status(), RunStatus::Completed);
    }
}

#[tokio::test]
async fn error_names_the_process_that_has_the_journal_open() {
    for kind in kinds().filter(|kind| *kind != JournalKind::Log) {
        let lab = Lab::new();
        let executor = Executor::new(lab.folder_home().with_journal(kind), lab.engine());
        let run = start(&executor, Definition::sequence("one", [Step::function("a", "echo", json!(1))])).await;
        let id = run.id();
        finished(&executor, run).await;
        let other: Arc<dyn Home> = lab.folder_home().with_journal(kind).into();
        let error = other.find(&id.to_string()).await.unwrap_err();
        assert!(matches!(&error, ExecutorError::InUse { kind: found, .. } if *found == kind), "{error}");
        assert!(error.to_string().contains(&format!("process {} ", std::process::id())), "{error}");
        // A home with a different kind of journal must not overlook the runs.
        let error = lab.home().find("@last").await.unwrap_err();
        assert!(matches!(&error, ExecutorError::OtherJournal { found, .. } if *found == kind), "{error}");
    }
}

#[tokio::test]
async fn using_a_journal_kind_that_was_not_built_in_fails() {
    for kind in JournalKind::ALL.into_iter().filter(|kind| !kind.is_available()) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(kind.as_str())).unwrap();
        let home: Arc<dyn Home> = FolderHome::new(folder.path()).with_journal(kind).into();
        let error = home.find("@last").await.unwrap_err();
        assert!(matches!(error, ExecutorError::JournalNotBuilt { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_runs_are_moved_to_the_store_while_others_run() {
    let lab = Lab::new();
    let executor = lab.executor();
    let definition = Arc::new(Definition::sequence("short", [Step::set("a", serde_json::Map::new())]));
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let (executor, definition) = (executor.clone(), definition.clone());
        runs.spawn(async move {
            let run = executor.start(definition, WorkflowInput::default(), StartOptions::default()).await.unwrap();
            executor.drive(run).await.unwrap();
        });
    }
    while let Some(ended) = runs.join_next().await {
        ended.unwrap();
    }
    let in_journals = async || {
        let query = RunQuery { limit: 1_000, ..RunQuery::default() };
        let runs = lab.home().runs(&query).await.unwrap();
        assert_eq!(runs.len(), 400);
        runs.iter().filter(|run| run.journal().is_some()).count()
    };
    let moved = async {
        // Runs may stay in the journal while there are too few of them to move.
        while in_journals().await > 32 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), moved).await.expect("timed out");
}

#[tokio::test]
async fn shut_down_waits_until_ended_runs_are_in_the_store() {
    let lab = Lab::new();
    let definition = Arc::new(Definition::sequence("short", [Step::set("a", serde_json::Map::new())]));
    // The last run of the second executor brings the number of ended runs to the threshold for a
    // move.
    for runs in [31, 1] {
        assert_eq!(in_store(&lab).await, 0);
        let executor = lab.executor();
        for _ in 0..runs {
            let run = executor.start(definition.clone(), WorkflowInput::default(), StartOptions::default()).await;
            executor.drive(run.unwrap()).await.unwrap();
        }
        executor.shut_down(std::time::Duration::ZERO).await;
    }
    assert_eq!(in_store(&lab).await, 32);
}

async fn in_store(lab: &Lab) -> usize {
    let runs = lab.home().runs(&RunQuery { limit: 1_000, ..RunQuery::default() }).await.unwrap();
    runs.iter().filter(|run| run.journal().is_none()).count()
}

#[tokio::test]
async fn partially_removed_journal_is_ignored_and_then_removed() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, Definition::sequence("one", [Step::function("a", "echo", json!(1))])).await;
    let id = run.id();
    finished(&executor, run).await;
    let journals = lab.folder.path().join("log");
    let journal = std::fs::read_dir(&journals).unwrap().next().unwrap().unwrap().path();
    // The process died after renaming the folder and removing a part of it.
    let rest = journals.join(format!(".removed-{}", uuid::Uuid::from_u128(7)));
    std::fs::create_dir(&rest).unwrap();
    for entry in std::fs::read_dir(&journal).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != "lock") {
        std::fs::copy(entry.path(), rest.join(entry.file_name())).unwrap();
    }
    drop(executor);
    let home = lab.home();
    assert_eq!(home.journals().await.unwrap().len(), 1, "only the journal is listed");
    assert_eq!(home.verify().await.unwrap().damage, Vec::<String>::new());
    assert_eq!(home.list(&RunQuery::default()).await.unwrap().runs.len(), 1);
    assert_eq!(home.compact().await.unwrap().journals_removed, 1);
    assert_eq!(std::fs::read_dir(&journals).unwrap().count(), 0, "the rest is removed with the next journal");
    assert_eq!(home.find(&id.to_string()).await.unwrap().status(), RunStatus::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_while_processes_are_running_loses_no_runs() {
    let lab = Arc::new(Lab::new());
    let work = {
        let lab = lab.clone();
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..40 {
                // Each executor has a separate journal, as in a separate process.
                let executor = lab.executor();
                let definition = Definition::sequence("one", [Step::function("a", "echo", json!(1))]);
                let run = start(&executor, definition).await;
                ids.push(run.id());
                finished(&executor, run).await;
            }
            ids
        })
    };
    let mut compactions = 0;
    while !work.is_finished() {
        lab.home().compact().await.unwrap();
        compactions += 1;
        tokio::task::yield_now().await;
    }
    let ids = work.await.unwrap();
    assert!(compactions > 0);
    lab.home().compact().await.unwrap();
    for id in ids {
        assert_eq!(lab.home().find(&id.to_string()).await.unwrap().status(), RunStatus::Completed);
    }
    assert_eq!(lab.home().journals().await.unwrap().len(), 0);
    assert_eq!(lab.home().verify().await.unwrap().damage, Vec::<String>::new());
}
