//! Damaged homes: damage is reported before a run starts, or repaired.

use llmspell_workflows_advanced::{ExecutorError, StartOptions};
use llmspell_workflows_basic::{
    WorkflowInput,
    model::{Definition, Step},
};
use serde_json::json;

use crate::lab::{Lab, finished, start};

fn echo() -> Definition {
    Definition::sequence("echo", [Step::function("a", "echo", json!(1))])
}

#[tokio::test]
async fn run_does_not_start_if_the_store_is_unreadable() {
    let lab = Lab::new();
    lab.home().stores().await.unwrap();
    let store = std::fs::read_dir(lab.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let store = store.into_iter().find(|path| path.is_file()).unwrap();
    std::fs::write(&store, "not a store, but long enough to be read as one".repeat(100)).unwrap();
    let started = lab.executor().start(echo(), WorkflowInput::default(), StartOptions::default()).await;
    assert!(matches!(started, Err(ExecutorError::Store(_))), "{started:?}");
    assert!(lab.performed.all().is_empty());
}

#[tokio::test]
async fn next_run_repairs_a_damaged_definition() {
    let lab = Lab::new();
    {
        let executor = lab.executor();
        let run = start(&executor, echo()).await;
        finished(&executor, run).await;
    }
    let hash = echo().hash();
    let path = lab.folder.path().join("definitions").join(format!("{hash}.json"));
    std::fs::write(&path, "{\"name\": ").unwrap();
    assert!(lab.home().definition(&hash).await.is_err());
    let executor = lab.executor();
    let run = start(&executor, echo()).await;
    assert_eq!(lab.home().definition(&hash).await.unwrap(), echo());
    finished(&executor, run).await;
}
