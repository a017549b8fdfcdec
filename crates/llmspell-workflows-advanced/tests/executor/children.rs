//! Sub-workflows are recorded, found, retried and forked with their parents.

use llmspell_workflows_advanced::{DurableEnd, ExecutorError, KnownRun, Message, RewindOptions, RunQuery};
use llmspell_workflows_basic::{RunStatus, model::*};
use serde_json::json;

use crate::lab::{Lab, finished, start};

fn echo(id: &str, value: serde_json::Value) -> Step {
    Step::function(id, "echo", value)
}

/// A workflow with a sub-workflow that contains a loop in a branch.
fn parent() -> Definition {
    let add = |id: &str, n: &str| Step::function(id, "add", json!({"key": "sum", "n": n}));
    let each = Loop::items(json!([10, 20, 30]), [add("sum", "{{ (state.sum || 0) + loop.item }}")]).into_step("each");
    let both = Parallel::new([Step::sequence("left", [each]), echo("right", json!("{{ start }}"))]).into_step("both");
    let child = Definition::sequence("child", [echo("begin", json!(1)), both, echo("total", json!("{{ state.sum }}"))]);
    let sub = Step::workflow("sub", "child", json!({"start": "{{ first }}"}));
    let steps = [echo("first", json!(7)), sub, echo("last", json!("{{ sub + 1000 }}"))];
    Definition::sequence("parent", steps).with_workflow(child)
}

#[tokio::test]
async fn child_is_a_separate_run_with_a_link_to_its_parent() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, parent()).await;
    let id = run.id();
    let end = finished(&executor, run).await;
    assert_eq!((end.error, &*end.output), (None, &json!(1063)));
    let children = lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap();
    assert_eq!(children.len(), 1);
    let child = &children[0];
    assert_eq!(
        (child.status(), &*child.summary.workflow, child.id().get_version_num()),
        (RunStatus::Completed, "child", 8)
    );
    let history = lab.home().history(child).await.unwrap();
    assert_eq!(history.started.parent.unwrap().path, "/main/sub");
    let of_parent = lab.home().history(&lab.known(id).await).await.unwrap();
    assert!(of_parent.steps.iter().any(|step| step.child == Some(child.id())));
    assert!(matches!(executor.resume(child).await, Err(ExecutorError::Ended { .. } | ExecutorError::IsChild { .. })));
}

#[tokio::test]
async fn retry_resumes_the_failed_child() {
    let lab = Lab::new();
    let executor = lab.executor();
    lab.performed.begin(None);
    let run = start(&executor, parent()).await;
    finished(&executor, run).await;
    let count = lab.performed.all().len();
    for number in 0..count {
        lab.performed.begin(Some(number));
        let run = start(&executor, parent()).await;
        let id = run.id();
        assert_eq!(finished(&executor, run).await.status, RunStatus::Failed, "{number}");
        let before = lab.performed.counts();
        let run = executor.retry(&lab.known(id).await, &RewindOptions::default()).await.unwrap();
        let end = finished(&executor, run).await;
        assert_eq!((end.error, &*end.output), (None, &json!(1063)), "{number}");
        let after = lab.performed.counts();
        for (effect, times) in &before {
            assert_eq!(after.get(effect), Some(times), "{effect} was executed again, {number}");
        }
        assert_eq!(lab.performed.all().len(), count + 1, "{number}");
    }
}

#[tokio::test]
async fn fork_from_a_step_in_a_child_forks_parent_and_child() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, parent()).await;
    let id = run.id();
    finished(&executor, run).await;
    let known = lab.known(id).await;
    let mut records = Vec::new();
    for run in lab.home().runs(&RunQuery::default()).await.unwrap() {
        records.push((run.id(), lab.home().records(&run).await.unwrap()));
    }
    lab.performed.begin(None);
    let again = RewindOptions {
        from: Some("/main/sub/main/both/left/each[1]/sum".to_owned()),
        step_input: Some(json!({"key": "sum", "n": 500})),
        definition: None,
    };
    let fork = executor.fork(&known, &again).await.unwrap();
    let forked = fork.id();
    let end = finished(&executor, fork).await;
    assert_eq!((end.error, &*end.output), (None, &json!(501 + 31 + 1000)));
    let expected = ["/main/both/left/each[1]/sum#1", "/main/both/left/each[2]/sum#1", "/main/total#1", "/main/last#1"];
    assert_eq!(lab.performed.all(), expected);
    for (old, before) in records {
        let run = lab.home().find(&old.to_string()).await.unwrap();
        assert_eq!(lab.home().records(&run).await.unwrap(), before, "the old run {old} has changed");
    }
    let children = lab.home().runs(&RunQuery { parent: Some(forked), ..RunQuery::default() }).await.unwrap();
    assert_eq!(children.len(), 1);
    // The end of a path is enough if only one step matches.
    lab.performed.begin(None);
    let again = RewindOptions { from: Some("total".to_owned()), step_input: None, ..Default::default() };
    let fork = executor.fork(&known, &again).await.unwrap();
    assert_eq!(*finished(&executor, fork).await.output, json!(1063));
    assert_eq!(lab.performed.all(), ["/main/total#1", "/main/last#1"]);
}

#[tokio::test]
async fn fork_does_not_own_the_sub_workflows_of_its_source() {
    let lab = Lab::new();
    let executor = lab.executor();
    let run = start(&executor, parent()).await;
    let id = run.id();
    finished(&executor, run).await;
    let again = RewindOptions { from: Some("last".to_owned()), step_input: None, ..Default::default() };
    let fork = executor.fork(&lab.known(id).await, &again).await.unwrap();
    let forked = fork.id();
    assert_eq!(*finished(&executor, fork).await.output, json!(1063));
    drop(executor);
    let exported = lab.home().export(&lab.known(forked).await).await.unwrap();
    assert_eq!(exported["children"], json!([]));
    lab.home().delete(&[lab.known(forked).await]).await.unwrap();
    let children = lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap();
    assert_eq!(children.len(), 1, "deleting the fork deleted the sub-workflow of its source");
    assert_eq!(lab.home().import(&exported).await.unwrap().id(), forked);
}

fn wait(event: &str) -> Step {
    Step::new("wait", StepKind::WaitForEvent(WaitForEvent { event: event.into(), ..Default::default() }))
}

#[tokio::test]
async fn waiting_child_parks_with_its_parent_and_receives_its_signals() {
    let lab = Lab::new();
    let executor = lab.executor();
    let child =
        Definition::sequence("child", [echo("before", json!(1)), wait("go"), echo("after", json!("{{ wait.data }}"))]);
    let parent = Definition::sequence("parent", [Step::workflow("sub", "child", json!(null))]).with_workflow(child);
    let run = start(&executor, parent).await;
    let id = run.id();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    let known = lab.known(id).await;
    drop(executor);
    let child = lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap().swap_remove(0);
    lab.home().post(&child, &Message::Signal { name: "go".into(), payload: json!("heard") }).await.unwrap();
    let executor = lab.executor();
    let is_child = executor.resume(&child).await.unwrap_err();
    assert!(is_child.to_string().contains("is resumed with it"), "{is_child}");
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(*finished(&executor, run).await.output, json!("heard"));
    assert_eq!(lab.performed.all(), ["/main/before#1", "/main/after#1"]);
}

#[tokio::test]
async fn retry_resumes_a_child_cancelled_by_a_sibling_failure() {
    let lab = Lab::new();
    let child = Definition::sequence("child", [echo("before", json!(1)), wait("go"), echo("after", json!(2))]);
    let beside = Step::sequence("beside", [wait("fail"), echo("fails", json!(3))]);
    let both = Parallel {
        error_mode: ErrorMode::FailFast,
        ..Parallel::new([Step::workflow("sub", "child", json!(null)), beside])
    };
    let parent = Definition::sequence("parent", [both.into_step("both")]).with_workflow(child);
    let executor = lab.executor();
    let run = start(&executor, parent).await;
    let id = run.id();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    let known = lab.known(id).await;
    let child =
        async || lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap().swap_remove(0);
    let post = async |to: &KnownRun, name: &str| {
        lab.home().post(to, &Message::Signal { name: name.into(), payload: json!(null) }).await.unwrap();
    };
    drop(executor);
    post(&known, "fail").await;
    lab.performed.begin(Some(0));
    let executor = lab.executor();
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Failed);
    assert_eq!(child().await.status(), RunStatus::Cancelled);
    let cancelled = child().await.id();
    lab.performed.begin(None);
    let run = executor.retry(&lab.known(id).await, &RewindOptions::default()).await.unwrap();
    assert!(matches!(executor.drive(run).await.unwrap(), DurableEnd::Waiting(_)));
    assert_eq!(child().await.id(), cancelled);
    drop(executor);
    post(&child().await, "go").await;
    let executor = lab.executor();
    let run = executor.resume(&known).await.unwrap();
    assert_eq!(finished(&executor, run).await.status, RunStatus::Completed);
    assert_eq!(lab.performed.all(), ["/main/both/beside/fails~2#1", "/main/after#1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_child_cancels_its_parent() {
    let lab = Lab::new();
    let executor = lab.executor().parking(llmspell_workflows_advanced::Parking::Never);
    let child = Definition::sequence("child", [wait("never")]);
    let parent = Definition::sequence("parent", [Step::workflow("sub", "child", json!(null)), echo("after", json!(1))]);
    let run = start(&executor, parent.with_workflow(child)).await;
    let (id, in_memory) = (run.id(), run.run().clone());
    let driven = tokio::spawn(async move { finished(&executor, run).await });
    in_memory.until_waiting().await;
    let child = lab.home().runs(&RunQuery { parent: Some(id), ..RunQuery::default() }).await.unwrap().swap_remove(0);
    lab.home().post(&child, &Message::Cancel).await.unwrap();
    assert_eq!(driven.await.unwrap().status, RunStatus::Cancelled);
    assert_eq!(lab.home().find(&child.id().to_string()).await.unwrap().status(), RunStatus::Cancelled);
    assert_eq!(lab.performed.all().len(), 0);
}
