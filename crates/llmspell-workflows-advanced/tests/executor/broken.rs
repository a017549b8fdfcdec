//! Damage to a home is repaired, or reported before a run starts.

use llmspell_workflows_advanced::{DurableEnd, ExecutorError, Message, StartOptions};
use llmspell_workflows_basic::{
    RunStatus, WorkflowInput,
    model::{Definition, Step, StepKind, WaitForEvent},
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

/// A sub-workflow that cannot be resumed must not fail its parent, because a failed parent
/// would undo its steps.
#[tokio::test]
async fn run_is_refused_while_the_definition_of_its_sub_workflow_is_unreadable() {
    let wait = StepKind::WaitForEvent(WaitForEvent { event: "go".into(), ..Default::default() });
    let inner = Definition::sequence("inner", [Step::new("wait", wait)]);
    let hash = inner.hash();
    let outer =
        Definition::sequence("outer", [Step::workflow("inside", "inner", json!(null))]).with_workflow(inner.clone());
    // The damaged definition is used by a child or a grandchild.
    for (workflow, step) in [("inner", inner), ("outer", outer)] {
        let lab = Lab::new();
        let before = Step::function("before", "echo", json!(1));
        let before = before.with_compensation(Step::function("undo", "echo", json!(2)));
        let parent = Definition::sequence("parent", [before, Step::workflow("sub", workflow, json!(null))]);
        let parent =
            Definition { finally: vec![Step::function("tidy", "echo", json!(1)).into()], ..parent.with_workflow(step) };
        let executor = lab.executor();
        let run = start(&executor, parent).await;
        let id = run.id();
        assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
        drop(executor);
        let path = lab.folder.path().join("definitions").join(format!("{hash}.json"));
        let whole = std::fs::read(&path).unwrap();
        for cancels in [false, true] {
            std::fs::write(&path, "").unwrap();
            let known = lab.known(id).await;
            if cancels {
                lab.home().post(&known, &Message::CancelAndCompensate).await.unwrap();
            }
            let executor = lab.executor();
            let run = executor.resume(&known).await.unwrap();
            let refused = executor.drive(run).await;
            assert!(matches!(refused, Err(ExecutorError::Definition { .. })), "{workflow}: {refused:?}");
            assert!(!lab.known(id).await.status().has_ended(), "{workflow}");
            assert_eq!(lab.performed.all(), ["/main/before#1"], "{workflow}");
        }
        std::fs::write(&path, whole).unwrap();
        let executor = lab.executor();
        let run = executor.resume(&lab.known(id).await).await.unwrap();
        assert_eq!(finished(&executor, run).await.status, RunStatus::Compensated, "{workflow}");
        assert_eq!(lab.performed.all(), ["/main/before#1", "/main/before/$undo#1", "/main/$finally/tidy#1"]);
    }
}
