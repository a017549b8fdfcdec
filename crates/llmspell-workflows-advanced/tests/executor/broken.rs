//! Homes in which something is broken: told before a run begins, or made whole.

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
async fn no_run_begins_beside_a_store_that_is_not_understood() {
    let lab = Lab::new();
    lab.home().stores().await.unwrap();
    let store = std::fs::read_dir(lab.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let store = store.into_iter().find(|path| path.is_file()).unwrap();
    std::fs::write(&store, "no store at all, and long enough to be looked at".repeat(100)).unwrap();
    let started = lab.executor().start(echo(), WorkflowInput::default(), StartOptions::default()).await;
    assert!(matches!(started, Err(ExecutorError::Store(_))), "{started:?}");
    assert!(lab.performed.all().is_empty());
}

#[tokio::test]
async fn a_definition_that_is_not_whole_is_kept_again_by_the_next_run_of_it() {
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
